"""Engagement events on their way in. Many callers share one commit, and nobody is answered before it.

In one transaction: the events (once for each dedupe key), what they tell of earlier ones, the emails' summaries, the
feed's log rows, and the marks. While the database fails, what readers did is kept in memory until it is back.
"""

import asyncio
import copy
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from command_center import ids
from command_center.actions import summaries, verdict_revisions
from command_center.actions.context import ActionContext
from command_center.actions.fair_queue import FairQueue, Part
from command_center.actions.inputs import ErrorCollector, check_event_count
from command_center.actions.retry_buffer import RetryBuffer
from command_center.actions.verdicts import Evidence, Judgement, judge
from command_center.changes.idempotency import IdempotencyClaim
from command_center.changes.unit_of_work import UnitOfWork
from command_center.changes.wakeups import wait_for
from command_center.database.connections import Connection, Row, Statement
from command_center.database.errors import FailureLog, Unavailable
from command_center.errors import UserError
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
"""How far, in microseconds, an event may lie in the future: clocks differ."""
SLICE = 100
"""Events of a request that are checked in one turn; then other requests have theirs."""
READER_SECONDS = 1.0
"""How long a reader waits for a view or click to be stored, who would wait for a picture or a page."""
URL, MAX_DEDUPE_KEY_CHARACTERS = 4096, 255
_COLUMNS = {
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
_EMAIL = ("id", "team_id", "sender_id", "status", "archived", "sent_at", "latest_engagement_id", "latest_activity_at")
_logger = logging.getLogger("command_center.engagements")


class NewEvent(NamedTuple):
    """One event as it was observed; `occurred_at` in microseconds.

    `prefetch`: the client says it fetches ahead; `head`: it asked for the head only; `device`: the user whose it is.
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


_Recorded = tuple[tuple[int, EngagementVerdict], NewEvent, Row]
"""The event's key and verdict, the event, and its email."""


@dataclass(slots=True)
class Outcome:
    """What became of one request. `ignored` counts the views and clicks of archived emails."""

    recorded: int = 0
    duplicates: int = 0
    ignored: int = 0
    problems: list[UserError] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Request:
    events: Sequence[tuple[int, int, NewEvent]]
    """Each with its place, and with the key of its email: 0 where what it names is none."""
    viewer: Viewer | None
    outcome: Outcome
    done: asyncio.Future[None]
    claim: IdempotencyClaim | None = None
    lasting: bool = False
    """It is not answered with a failure of the database, but kept until it is stored."""
    taken: int = 0
    """Events that were committed, or are about to be."""

    @property
    def team_id(self) -> int | None:
        return None if self.viewer is None else self.viewer.team_id

    def release(self) -> None:
        """Whoever waits goes on."""
        if not self.done.done():
            self.done.set_result(None)

    def renewed(self) -> "_Request":
        """Itself, with all of its events still to be taken."""
        self.taken = 0
        return self

    def sees(self, email: Row) -> bool:
        """Whether the asker may speak of this email. A signed tracking link (no viewer) names its email itself."""
        return self.viewer is None or self.viewer.sees_mail_of(email["team_id"], email["sender_id"])


_Part: TypeAlias = Part[_Request]


class Recorder:
    """The one road into the `engagements` table. One loop commits for all who wait."""

    def __init__(self, ctx: ActionContext) -> None:
        self._ctx = ctx
        self._waiting = FairQueue[_Request]()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._outage = FailureLog(_logger, "events wait for the database")
        self.kept: RetryBuffer[_Request] = RetryBuffer(self._outage)
        self.tally: Counter[str] = Counter(recorded=0, duplicate=0, ignored=0, refused=0)
        """Events since the start, by what became of them."""

    async def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="recorder")

    async def stop(self) -> None:
        """Ends the loop; who still waits gets an error, not an answer."""
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop
        for request in self._waiting:
            if not request.done.done() and not request.lasting:
                request.done.set_exception(ConnectionError("the server is stopping"))
        if unstored := len(self.kept) + sum(request.lasting for request in self._waiting):
            _logger.error("%d views and clicks are lost: the server stopped before the database was back", unstored)

    async def record(
        self, events: Sequence[NewEvent], viewer: Viewer | None, claim: IdempotencyClaim | None = None
    ) -> Outcome:
        """Records what is new among the events. Each refused one is named by its place, the others are recorded.

        `claim`: of the request with an Idempotency-Key, marked in the commit that it shares with others.
        """
        check_event_count(len(events), self._ctx.limits.events_per_request, ("events",))
        outcome = Outcome()
        errors = ErrorCollector()
        sound: list[tuple[int, int, NewEvent]] = []
        for index, event in enumerate(events):
            if _sound(event, index, errors):
                sound.append((index, _email_of(event), _trimmed(event)))
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        outcome.problems.extend(errors.problems)
        if sound:
            request = _Request(sound, viewer, outcome, asyncio.get_running_loop().create_future(), claim)
            self._waiting.add(request)
            self._wake.set()
            await request.done
        outcome.problems.sort(key=lambda problem: int(problem.path[1]))
        return outcome

    async def note(self, event: NewEvent) -> None:
        """Records what a reader did, who waits a moment at most: what cannot be stored by then is stored later."""
        if not _sound(event, 0, errors := ErrorCollector()):
            _logger.warning("an event of a tracking link is refused: %s", errors.problems[0].message)
            return
        done = asyncio.get_running_loop().create_future()
        request = _Request([(0, _email_of(event), _trimmed(event))], None, Outcome(), done, lasting=True)
        if self.kept:
            self.kept.add([request])
            return
        self._waiting.add(request)
        self._wake.set()
        await asyncio.wait({done}, timeout=READER_SECONDS)

    async def _run(self) -> None:
        while True:
            await wait_for(self._wake, self.kept.pause())
            self._wake.clear()
            self._waiting.add_first([*map(_Request.renewed, self.kept.due())])
            while self._waiting:
                await self._see_to(self._waiting.take())

    async def _see_to(self, batch: list[_Part]) -> None:
        try:
            await self._commit(batch)
            self.kept.hurry()
        except Unavailable as exc:
            self._put_off(batch, exc)
        except Exception as exc:
            await self._one_by_one(batch, exc)

    def _put_off(self, batch: Sequence[_Part], cause: Unavailable) -> None:
        """Whoever waits by now has waited as long as one may, so nobody waits for another attempt."""
        self._outage.warn(cause)
        begun = [part.request for part in batch]
        others = [request for request in self._waiting.clear() if request not in begun]
        self.kept.add([request for request in (*begun, *others) if request.lasting])
        self.kept.rest()
        for request in begun:
            _fail(request, copy.copy(cause))
        instead = Unavailable(*cause.args)
        instead.rolled_back = True
        for request in others:
            _fail(request, copy.copy(instead))

    async def _commit(self, batch: Sequence[_Part]) -> None:
        found = await self._ctx.writer.run_in_transaction(partial(_write, batch), partial(_locking, batch))
        for part, outcome in zip(batch, found, strict=True):
            of_request = part.request.outcome
            of_request.recorded += outcome.recorded
            of_request.duplicates += outcome.duplicates
            of_request.ignored += outcome.ignored
            of_request.problems.extend(outcome.problems)
            if part.last:
                part.request.release()
            self.tally["recorded"] += outcome.recorded
            self.tally["duplicate"] += outcome.duplicates
            self.tally["ignored"] += outcome.ignored
            self.tally["refused"] += len(outcome.problems)

    async def _one_by_one(self, batch: Sequence[_Part], cause: Exception) -> None:
        """A batch that failed is tried again in parts, so that one bad request does not fail its neighbours."""
        if len(batch) == 1:
            self._waiting.discard(batch[0].request)
            _fail(batch[0].request, cause)
            return
        _logger.warning("a shared commit failed and is repeated in parts: %s", cause)
        for index, part in enumerate(batch):
            try:
                await self._commit([part])
            except Unavailable as exc:
                self._put_off(batch[index:], exc)
                return
            except Exception as exc:
                self._waiting.discard(part.request)
                _fail(part.request, exc)


def _fail(request: _Request, cause: Exception) -> None:
    if request.lasting:
        # Nobody is told of it but the log, and nobody of what is kept.
        request.release()
        if not isinstance(cause, Unavailable):
            _logger.error("a view or click could not be recorded", exc_info=cause)
    elif not request.done.done():
        request.done.set_exception(cause)


def _sound(event: NewEvent, index: int, errors: ErrorCollector) -> bool:
    path = ("events", str(index))
    before = len(errors.problems)
    errors.line(event.dedupe_key, (*path, "dedupeKey"), "A dedupeKey", MAX_DEDUPE_KEY_CHARACTERS)
    if event.kind is EngagementKind.CLICK:
        errors.line(event.url or "", (*path, "url"), "The link of a click", URL)
    elif event.url is not None:
        errors.add(UserErrorCode.INVALID, (*path, "url"), "Only a click has a link.")
    if event.user_agent is not None:
        errors.text(event.user_agent, (*path, "userAgent"), "A user agent", URL)
    if event.ip_address is not None:
        errors.text(event.ip_address, (*path, "ipAddress"), "An IP address", 64)
    return len(errors.problems) == before


def _trimmed(event: NewEvent) -> NewEvent:
    """White space around a dedupe key does not count."""
    key = event.dedupe_key.strip()
    return event if key == event.dedupe_key else event._replace(dedupe_key=key)


def _email_of(event: NewEvent) -> int:
    return ids.decode_key("Email", event.email_id) or 0


async def _write(batch: Sequence[_Part], uow: UnitOfWork) -> list[Outcome]:
    uow.claims.extend(part.request.claim for part in batch if part.last and part.request.claim)
    emails = {row["id"]: row for row in (dict(zip(_EMAIL, values, strict=True)) for values in uow.first_rows)}
    outcomes = [Outcome() for _ in batch]
    fresh: dict[tuple[int, str], tuple[Outcome, NewEvent, Row]] = {}
    for part, outcome in zip(batch, outcomes, strict=True):
        for index, number, event in part.events:
            email = emails.get(number)
            problem = _problem(part.request, event, index, email, uow.now)
            if problem is not None or email is None:
                outcome.problems.extend([problem] if problem else [])
            elif _switched_off(email, event):
                outcome.ignored += 1
            elif (email["team_id"], event.dedupe_key) in fresh:
                outcome.duplicates += 1
            else:
                fresh[email["team_id"], event.dedupe_key] = (outcome, event, email)
    await _know_rivals(uow, fresh.values())
    recorded = await _insert(uow, fresh)
    for key, (outcome, _, _) in fresh.items():
        if key in recorded:
            outcome.recorded += 1
        else:
            outcome.duplicates += 1
    made = [(recorded[key], event, email) for key, (_, event, email) in fresh.items() if key in recorded]
    await _follow(uow, made, await _revise(uow, made))
    return outcomes


def _switched_off(email: Row, event: NewEvent) -> bool:
    archived = bool(email["archived"]) and email["status"] == EmailStatus.SENT
    return archived and event.kind is not EngagementKind.REPLY


def _problem(request: _Request, event: NewEvent, index: int, email: Row | None, now: int) -> UserError | None:
    path = ("events", str(index))
    if email is None or not request.sees(email):
        return UserError("There is no such email.", (*path, "emailId"), UserErrorCode.NOT_FOUND)
    # What a reader did happened, whatever our own clock said of it.
    if event.occurred_at > now + MAX_AHEAD_MICROS and not request.lasting:
        return UserError(
            "An event may lie at most 5 minutes in the future.", (*path, "occurredAt"), UserErrorCode.INVALID
        )
    return None


def _locking(batch: Iterable[_Part], connection: Connection) -> tuple[Sequence[str], Statement]:
    """Locks the emails that a batch names."""
    lock = (
        f"SELECT {', '.join(_EMAIL)} FROM emails WHERE {connection.in_any('id')} ORDER BY id"
        + connection.for_update("NO KEY UPDATE")
    )
    return _EMAIL, (lock, [connection.array_param(sorted({key for part in batch for _, key, _ in part.events}))])


async def _know_rivals(uow: UnitOfWork, fresh: Iterable[tuple[Outcome, NewEvent, Row]]) -> None:
    """Reads the dedupe keys of the emails' newest events that have their moment in common with a new one: the greater
    key is the newer event."""
    rivals = {
        email["latest_engagement_id"]: email
        for _, event, email in fresh
        if email["latest_activity_at"] == min(event.occurred_at, uow.now)
    }
    if rivals:
        # Only once the emails are locked: joined to them, the newest event of a moment ago might not be found.
        for key, name in await uow.connection.fetch_tuples(
            ("id", "dedupe_key"),
            f"SELECT id, dedupe_key FROM engagements WHERE {uow.connection.in_any('id')}",
            uow.connection.array_param(rivals),
        ):
            rivals[key]["latest_key"] = name


async def _insert(
    uow: UnitOfWork, fresh: dict[tuple[int, str], tuple[Outcome, NewEvent, Row]]
) -> dict[tuple[int, str], tuple[int, EngagementVerdict]]:
    """The new events' keys and verdicts, by team and dedupe key; what is missing was there before."""
    verdicts = {key: judge(event.verdict, _evidence(event, email)) for key, (_, event, email) in fresh.items()}
    made = await uow.connection.insert(
        "engagements",
        _COLUMNS,
        [_row(event, email, verdicts[key], uow.now) for key, (_, event, email) in fresh.items()],
        "ON CONFLICT (team_id, dedupe_key) DO NOTHING",
        ("id", "team_id", "dedupe_key"),
    )
    return {(team_id, name): (key, verdicts[team_id, name].verdict) for key, team_id, name in made}


def _row(event: NewEvent, email: Row, verdict: Judgement, now: int) -> tuple[Any, ...]:
    """An event as the values of _COLUMNS."""
    url = event.url.strip() if event.url else None
    return (
        *(email["team_id"], email["id"], email["sender_id"]),
        *(int(event.kind), int(verdict.verdict), verdict.reason, verdict.judged),
        *(url, None if url is None else fold(url), event.user_agent, event.ip_address),
        *(min(event.occurred_at, now), now, event.dedupe_key),
    )


def _evidence(event: NewEvent, email: Row) -> Evidence:
    own = event.device is not None and event.device == email["sender_id"]
    return Evidence(event.kind, event.user_agent, event.ip_address, event.prefetch, event.head, own)


async def _revise(uow: UnitOfWork, recorded: Sequence[_Recorded]) -> dict[int, Row]:
    """The clicks, new and earlier ones, that count as a machine's by what the new ones tell, by key."""
    clicks = [
        (min(event.occurred_at, uow.now), email)
        for _, event, email in recorded
        if event.kind is EngagementKind.CLICK and (event.ip_address or event.user_agent)
    ]
    if not clicks:
        return {}
    moments = [occurred_at for occurred_at, _ in clicks]
    sent = {email["id"]: email["sent_at"] for _, email in clicks}
    revised = await verdict_revisions.revise_by_clicks(uow, sent, min(moments), max(moments))
    return {row["id"]: row for row in revised}


async def _follow(uow: UnitOfWork, recorded: Sequence[_Recorded], revised: dict[int, Row]) -> None:
    """Summaries, feed rows and marks of what was recorded, and of what that revised."""
    new = {key for (key, _), _, _ in recorded}
    earlier = [row for key, row in revised.items() if key not in new]
    verdict_revisions.publish(uow, earlier)
    recounted = {row["email_id"] for row in earlier}
    counted: dict[int, Row] = {}
    newest: dict[int, tuple[int, Row]] = {}
    for (key, judged), event, email in recorded:
        verdict = EngagementVerdict.MACHINE if key in revised else judged
        newest[email["id"]] = (key, email)
        if verdict is EngagementVerdict.HUMAN and email["id"] not in recounted:
            counted[email["id"]] = email
            summaries.count_event(email, key, event.kind, min(event.occurred_at, uow.now), event.dedupe_key)
        if verdict is not EngagementVerdict.SELF:
            verdict_revisions.log_event(uow, email["team_id"], email["sender_id"], email["id"], key)
    if counted:
        uow.defer(*summaries.update_statement(uow.connection, counted))
    await summaries.recount(uow.connection, recounted)
    for email_id, (key, email) in newest.items():
        uow.invalidate(InvalidationKind.EMAIL, email["team_id"], email_id, ChangeCauseKind.ENGAGEMENT, key)
