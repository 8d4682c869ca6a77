"""Records engagement events with group commit: many callers share one transaction and wait for its commit.

One transaction inserts the events (once per dedupe key) and revises verdicts on earlier clicks. It also updates the
summaries of the emails, appends to the change log for the sender's feed, and queues invalidations. While the database
is unavailable, events from tracking links wait in a retry buffer in memory.
"""

import asyncio
import copy
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeAlias

from command_center import ids
from command_center.actions import summaries, verdict_revisions
from command_center.actions.context import ActionContext
from command_center.actions.fair_queue import BatchPart, FairQueue
from command_center.actions.inputs import check_event_count, check_line, check_text
from command_center.actions.retry_buffer import RetryBuffer
from command_center.actions.verdicts import Evidence, Judgement, judge
from command_center.changes.idempotency import IdempotencyClaim
from command_center.changes.unit_of_work import UnitOfWork
from command_center.changes.wakeups import wait_for
from command_center.database.connections import ColumnValue, Connection, Row, Statement
from command_center.database.errors import FailureLog, Unavailable
from command_center.errors import ErrorCollector, UserError
from command_center.search.text import fold
from models.enums import (
    ChangeCauseKind,
    EmailStatus,
    EngagementKind,
    EngagementVerdict,
    InvalidationKind,
    UserErrorCode,
)
from models.viewers import Viewer

MAX_AHEAD_MICROS = 5 * 60 * 1_000_000
"""How far in the future an event may lie, because clocks differ."""
EVENTS_PER_YIELD = 100
"""Number of events that are validated before the event loop can run other requests."""
READER_WAIT_SECONDS = 1.0
"""The longest time that a reader's picture or page is delayed to store the view or click."""
MAX_URL_CHARACTERS, MAX_DEDUPE_KEY_CHARACTERS = 4096, 255
_EVENT_COLUMNS = {
    "team_id": "bigint",
    "email_id": "bigint",
    "sender_id": "bigint",
    "kind": "smallint",
    "verdict": "smallint",
    "verdict_reason": "text",
    "judged": "bool",
    "url": "text",
    "url_folded": "text",
    "user_agent": "text",
    "ip_address": "text",
    "occurred_at": "bigint",
    "recorded_at": "bigint",
    "dedupe_key": "text",
}
_EMAIL_COLUMNS = (
    "id",
    "team_id",
    "sender_id",
    "status",
    "archived",
    "sent_at",
    "latest_engagement_id",
    "latest_activity_at",
)
_logger = logging.getLogger("command_center.engagements")


class NewEvent(NamedTuple):
    """One observed event; `occurred_at` is in microseconds.

    `prefetch` means that the client declared a prefetch, and `head` that it sent a HEAD request. `device` is the key of
    the user whose signed cookie the client sent.
    """

    email_id: str
    kind: EngagementKind
    occurred_at: int
    dedupe_key: str
    verdict: EngagementVerdict | None = None
    url: str | None = None
    user_agent: str | None = None
    ip_address: str | None = None
    prefetch: bool = False
    head: bool = False
    device: int | None = None


_RecordedEvent = tuple[tuple[int, EngagementVerdict], NewEvent, Row]
"""The key and the verdict of a recorded event, the event, and the row of its email."""


@dataclass(slots=True)
class EngagementRecordResult:
    """Counts the events of one request, and holds the errors. `ignored` counts views and clicks of archived emails."""

    recorded: int = 0
    duplicates: int = 0
    ignored: int = 0
    errors: list[UserError] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Request:
    """The valid events of one caller, who waits for `done`."""

    events: Sequence[tuple[int, int, NewEvent]]
    """Each event with its position in the request, and with the key of its email: 0 if the email's id is invalid."""
    viewer: Viewer | None
    outcome: EngagementRecordResult
    done: asyncio.Future[None]
    claim: IdempotencyClaim | None = None
    durable: bool = False
    """Whether the request stays in the retry buffer until it is stored, instead of failing with the database."""
    taken: int = 0
    """Number of events that are committed or in the current batch."""

    @property
    def team_id(self) -> int | None:
        return None if self.viewer is None else self.viewer.team_id

    def resolve(self) -> None:
        """Complete the waiting caller's future."""
        if not self.done.done():
            self.done.set_result(None)

    def reset(self) -> "_Request":
        """Return this request with all its events to be recorded again."""
        self.taken = 0
        return self

    def sees(self, email: Row) -> bool:
        """Return whether the caller may record events of this email. A request without a viewer has a signed link."""
        return self.viewer is None or self.viewer.sees_mail_of(email["team_id"], email["sender_id"])


_Part: TypeAlias = BatchPart[_Request]


class Recorder:
    """The only writer of new rows in `engagements`. One loop commits the events of all waiting callers."""

    def __init__(self, ctx: ActionContext) -> None:
        self._ctx = ctx
        self._waiting = FairQueue[_Request]()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._outage = FailureLog(_logger, "events wait for the database")
        self.retry_buffer: RetryBuffer[_Request] = RetryBuffer(self._outage)
        self.tally: Counter[str] = Counter(recorded=0, duplicate=0, ignored=0, refused=0)
        """Counts the events since the start of the process by result."""

    async def start(self) -> None:
        """Start the loop that commits batches."""
        self._loop = asyncio.create_task(self._run(), name="recorder")

    async def stop(self) -> None:
        """Stop the loop. Callers that still wait get a ConnectionError."""
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop
        for request in self._waiting:
            if not request.done.done() and not request.durable:
                request.done.set_exception(ConnectionError("the server is stopping"))
        if unstored := len(self.retry_buffer) + sum(request.durable for request in self._waiting):
            _logger.error("%d views and clicks are lost: the server stopped before the database was back", unstored)

    async def record(
        self, events: Sequence[NewEvent], viewer: Viewer | None, claim: IdempotencyClaim | None = None
    ) -> EngagementRecordResult:
        """Record the new events among these. The error of a refused event has its position in the path.

        `claim` belongs to a request with an Idempotency-Key; the last commit of the request marks it as done.
        Raises: UserErrors (LIMIT_REACHED) for too many events, Unavailable if the database fails.
        """
        check_event_count(len(events), self._ctx.limits.events_per_request, ("events",))
        outcome = EngagementRecordResult()
        errors = ErrorCollector()
        valid: list[tuple[int, int, NewEvent]] = []
        for index, event in enumerate(events):
            if _validate(event, index, errors):
                valid.append((index, _email_key(event), _with_trimmed_key(event)))
            if index % EVENTS_PER_YIELD == EVENTS_PER_YIELD - 1:
                await asyncio.sleep(0)
        outcome.errors.extend(errors)
        if valid:
            request = _Request(valid, viewer, outcome, asyncio.get_running_loop().create_future(), claim)
            self._waiting.add(request)
            self._wake.set()
            await request.done
        outcome.errors.sort(key=lambda error: int(error.path[1]))
        return outcome

    async def record_from_reader(self, event: NewEvent) -> None:
        """Record a view or click from a tracking link, waiting at most `READER_WAIT_SECONDS` for its commit.

        An event that cannot be stored by then is stored later. An invalid event is only logged.
        """
        if not _validate(event, 0, errors := ErrorCollector()):
            _logger.warning("an event of a tracking link is refused: %s", next(iter(errors)).message)
            return
        done = asyncio.get_running_loop().create_future()
        request = _Request(
            [(0, _email_key(event), _with_trimmed_key(event))], None, EngagementRecordResult(), done, durable=True
        )
        if self.retry_buffer:
            self.retry_buffer.add([request])
            return
        self._waiting.add(request)
        self._wake.set()
        await asyncio.wait({done}, timeout=READER_WAIT_SECONDS)

    async def _run(self) -> None:
        """Commit batches, and retry buffered requests, until cancelled."""
        while True:
            await wait_for(self._wake, self.retry_buffer.seconds_until_retry())
            self._wake.clear()
            self._waiting.add_first([*map(_Request.reset, self.retry_buffer.take_due())])
            while self._waiting:
                await self._process(self._waiting.take_batch())

    async def _process(self, batch: list[_Part]) -> None:
        """Commit a batch, and handle its failure."""
        try:
            await self._commit(batch)
            self.retry_buffer.reset()
        except Unavailable as exc:
            self._postpone(batch, exc)
        except Exception as exc:
            await self._commit_separately(batch, exc)

    def _postpone(self, batch: Sequence[_Part], cause: Unavailable) -> None:
        """Fail all waiting requests, and move the durable ones to the retry buffer.

        The callers have waited long enough for this attempt, so none waits for another one.
        """
        self._outage.warn(cause)
        in_batch = [part.request for part in batch]
        others = [request for request in self._waiting.clear() if request not in in_batch]
        self.retry_buffer.add([request for request in (*in_batch, *others) if request.durable])
        self.retry_buffer.back_off()
        for request in in_batch:
            _fail(request, copy.copy(cause))
        not_written = Unavailable(*cause.args)
        not_written.rolled_back = True
        for request in others:
            _fail(request, copy.copy(not_written))

    async def _commit(self, batch: Sequence[_Part]) -> None:
        """Commit a batch in one transaction, then add up the outcomes and resolve the completed requests."""
        results = await self._ctx.writer.run_in_transaction(
            partial(_write_batch, batch), partial(_lock_statement, batch)
        )
        for part, outcome in zip(batch, results, strict=True):
            total = part.request.outcome
            total.recorded += outcome.recorded
            total.duplicates += outcome.duplicates
            total.ignored += outcome.ignored
            total.errors.extend(outcome.errors)
            if part.last:
                part.request.resolve()
            self.tally["recorded"] += outcome.recorded
            self.tally["duplicate"] += outcome.duplicates
            self.tally["ignored"] += outcome.ignored
            self.tally["refused"] += len(outcome.errors)

    async def _commit_separately(self, batch: Sequence[_Part], cause: Exception) -> None:
        """Commit each part of a failed batch separately, so that one bad request does not fail the others."""
        if len(batch) == 1:
            self._waiting.discard(batch[0].request)
            _fail(batch[0].request, cause)
            return
        _logger.warning("a shared commit failed and is repeated in parts: %s", cause)
        for index, part in enumerate(batch):
            try:
                await self._commit([part])
            except Unavailable as exc:
                self._postpone(batch[index:], exc)
                return
            except Exception as exc:
                self._waiting.discard(part.request)
                _fail(part.request, exc)


def _fail(request: _Request, cause: Exception) -> None:
    """Raise the failure in the waiting caller. The caller of a durable request only stops waiting."""
    if request.durable:
        # The reader gets no error. A failure is logged, unless the request is in the retry buffer.
        request.resolve()
        if not isinstance(cause, Unavailable):
            _logger.error("a view or click could not be recorded", exc_info=cause)
    elif not request.done.done():
        request.done.set_exception(cause)


def _validate(event: NewEvent, index: int, errors: ErrorCollector) -> bool:
    """Return whether the event at this position of a request is valid, and add its errors."""
    path = ("events", str(index))
    before = len(errors)
    check_line(errors, event.dedupe_key, (*path, "dedupeKey"), "A dedupeKey", MAX_DEDUPE_KEY_CHARACTERS)
    if event.kind is EngagementKind.CLICK:
        check_line(errors, event.url or "", (*path, "url"), "The link of a click", MAX_URL_CHARACTERS)
    elif event.url is not None:
        errors.add(UserErrorCode.INVALID, (*path, "url"), "Only a click has a link.")
    if event.user_agent is not None:
        check_text(errors, event.user_agent, (*path, "userAgent"), "A user agent", MAX_URL_CHARACTERS)
    if event.ip_address is not None:
        check_text(errors, event.ip_address, (*path, "ipAddress"), "An IP address", 64)
    return len(errors) == before


def _with_trimmed_key(event: NewEvent) -> NewEvent:
    """Return the event without white space around its dedupe key."""
    key = event.dedupe_key.strip()
    return event if key == event.dedupe_key else event._replace(dedupe_key=key)


def _email_key(event: NewEvent) -> int:
    return ids.decode_key("Email", event.email_id) or 0


async def _write_batch(batch: Sequence[_Part], uow: UnitOfWork) -> list[EngagementRecordResult]:
    """Write all events of a batch in one unit of work, and return the outcome of each part."""
    uow.claims.extend(part.request.claim for part in batch if part.last and part.request.claim)
    emails = {row["id"]: row for row in (dict(zip(_EMAIL_COLUMNS, values, strict=True)) for values in uow.first_rows)}
    outcomes = [EngagementRecordResult() for _ in batch]
    new_events: dict[tuple[int, str], tuple[EngagementRecordResult, NewEvent, Row]] = {}
    for part, outcome in zip(batch, outcomes, strict=True):
        for index, number, event in part.events:
            email = emails.get(number)
            error = _find_error(part.request, event, index, email, uow.now)
            if error is not None or email is None:
                outcome.errors.extend([error] if error else [])
            elif _is_ignored(email, event):
                outcome.ignored += 1
            elif (email["team_id"], event.dedupe_key) in new_events:
                outcome.duplicates += 1
            else:
                new_events[email["team_id"], event.dedupe_key] = (outcome, event, email)
    await _load_simultaneous_keys(uow, new_events.values())
    recorded = await _insert(uow, new_events)
    for key, (outcome, _, _) in new_events.items():
        if key in recorded:
            outcome.recorded += 1
        else:
            outcome.duplicates += 1
    recorded_events = [
        (recorded[key], event, email) for key, (_, event, email) in new_events.items() if key in recorded
    ]
    await _publish(uow, recorded_events, await _revise_clicks(uow, recorded_events))
    return outcomes


def _is_ignored(email: Row, event: NewEvent) -> bool:
    """Return whether an event is not recorded because its email is archived. Replies always are."""
    archived = bool(email["archived"]) and email["status"] == EmailStatus.SENT
    return archived and event.kind is not EngagementKind.REPLY


def _find_error(request: _Request, event: NewEvent, index: int, email: Row | None, now: int) -> UserError | None:
    """Return the error of an event that depends on the database, or None."""
    path = ("events", str(index))
    if email is None or not request.sees(email):
        return UserError("There is no such email.", (*path, "emailId"), UserErrorCode.NOT_FOUND)
    # The time of a tracking link's event comes from our own clock, so it is accepted.
    if event.occurred_at > now + MAX_AHEAD_MICROS and not request.durable:
        return UserError(
            "An event may lie at most 5 minutes in the future.", (*path, "occurredAt"), UserErrorCode.INVALID
        )
    return None


def _lock_statement(batch: Iterable[_Part], connection: Connection) -> tuple[Sequence[str], Statement]:
    """Return the columns and the SELECT statement that locks the emails of a batch in the order of their keys."""
    lock = (
        f"SELECT {', '.join(_EMAIL_COLUMNS)} FROM emails WHERE {connection.in_any('id')} ORDER BY id"
        + connection.for_update("NO KEY UPDATE")
    )
    return _EMAIL_COLUMNS, (
        lock,
        [connection.array_param(sorted({key for part in batch for _, key, _ in part.events}))],
    )


async def _load_simultaneous_keys(
    uow: UnitOfWork, new_events: Iterable[tuple[EngagementRecordResult, NewEvent, Row]]
) -> None:
    """Load the dedupe keys of the emails' latest events that occurred at the same time as a new event.

    Of two simultaneous events, the one with the greater dedupe key is the later one.
    """
    simultaneous = {
        email["latest_engagement_id"]: email
        for _, event, email in new_events
        if email["latest_activity_at"] == min(event.occurred_at, uow.now)
    }
    if simultaneous:
        # A separate query after the lock: a join in the locking query could miss an event that was just committed.
        for key, name in await uow.connection.fetch_tuples(
            ("id", "dedupe_key"),
            f"SELECT id, dedupe_key FROM engagements WHERE {uow.connection.in_any('id')}",
            uow.connection.array_param(simultaneous),
        ):
            simultaneous[key]["latest_key"] = name


async def _insert(
    uow: UnitOfWork, new_events: dict[tuple[int, str], tuple[EngagementRecordResult, NewEvent, Row]]
) -> dict[tuple[int, str], tuple[int, EngagementVerdict]]:
    """Insert events, and return their keys and verdicts by team and dedupe key.

    The result does not contain duplicates of earlier events.
    """
    verdicts = {key: judge(event.verdict, _evidence(event, email)) for key, (_, event, email) in new_events.items()}
    inserted = await uow.connection.insert(
        "engagements",
        _EVENT_COLUMNS,
        [_row(event, email, verdicts[key], uow.now) for key, (_, event, email) in new_events.items()],
        "ON CONFLICT (team_id, dedupe_key) DO NOTHING",
        ("id", "team_id", "dedupe_key"),
    )
    return {(team_id, name): (key, verdicts[team_id, name].verdict) for key, team_id, name in inserted}


def _row(event: NewEvent, email: Row, verdict: Judgement, now: int) -> tuple[ColumnValue, ...]:
    """Return the values of _EVENT_COLUMNS for an event."""
    url = event.url.strip() if event.url else None
    return (
        *(email["team_id"], email["id"], email["sender_id"]),
        *(int(event.kind), int(verdict.verdict), verdict.reason, verdict.judged),
        *(url, None if url is None else fold(url), event.user_agent, event.ip_address),
        *(min(event.occurred_at, now), now, event.dedupe_key),
    )


def _evidence(event: NewEvent, email: Row) -> Evidence:
    """Return the evidence for the verdict on an event; the email shows whether the device is the sender's."""
    own_device = event.device is not None and event.device == email["sender_id"]
    return Evidence(event.kind, event.user_agent, event.ip_address, event.prefetch, event.head, own_device)


async def _revise_clicks(uow: UnitOfWork, recorded: Sequence[_RecordedEvent]) -> dict[int, Row]:
    """Revise the verdicts on clicks whose timing, together with the new ones, shows a machine.

    Returns the revised clicks by key, both new and earlier ones.
    """
    clicks = [
        (min(event.occurred_at, uow.now), email)
        for _, event, email in recorded
        if event.kind is EngagementKind.CLICK and (event.ip_address or event.user_agent)
    ]
    if not clicks:
        return {}
    times = [occurred_at for occurred_at, _ in clicks]
    sent = {email["id"]: email["sent_at"] for _, email in clicks}
    revised = await verdict_revisions.revise_by_clicks(uow, sent, min(times), max(times))
    return {row["id"]: row for row in revised}


async def _publish(uow: UnitOfWork, recorded: Sequence[_RecordedEvent], revised: dict[int, Row]) -> None:
    """Update summaries, append to the change log and queue invalidations for recorded and for revised events."""
    new = {key for (key, _), _, _ in recorded}
    earlier = [row for key, row in revised.items() if key not in new]
    verdict_revisions.publish(uow, earlier)
    recounted = {row["email_id"] for row in earlier}
    counted: dict[int, Row] = {}
    latest: dict[int, tuple[int, Row]] = {}
    for (key, judged), event, email in recorded:
        verdict = EngagementVerdict.MACHINE if key in revised else judged
        latest[email["id"]] = (key, email)
        if verdict is EngagementVerdict.HUMAN and email["id"] not in recounted:
            counted[email["id"]] = email
            summaries.count_event(email, key, event.kind, min(event.occurred_at, uow.now), event.dedupe_key)
        if verdict is not EngagementVerdict.SELF:
            verdict_revisions.log_event(uow, email["team_id"], email["sender_id"], email["id"], key)
    if counted:
        uow.defer(*summaries.update_statement(uow.connection, counted))
    await summaries.recount(uow.connection, recounted)
    for email_id, (key, email) in latest.items():
        uow.invalidate(InvalidationKind.EMAIL, email["team_id"], email_id, ChangeCauseKind.ENGAGEMENT, key)
