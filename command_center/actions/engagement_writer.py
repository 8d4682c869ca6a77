"""Writes a batch of engagement events in one unit of work.

It inserts the events (once per dedupe key), revises verdicts on earlier clicks, updates the summaries of the emails,
appends to the change log for the sender's feed, and queues invalidations.
"""

from collections.abc import Iterable, Sequence

from command_center.actions import summaries, verdict_revisions
from command_center.actions.engagement_requests import (
    MAX_AHEAD_MICROS,
    EngagementRecordResult,
    NewEvent,
    RecordRequest,
    RequestPart,
)
from command_center.actions.summaries import EMAIL_COLUMNS, SummarizedEmail
from command_center.actions.verdict_revisions import RevisableEvent
from command_center.actions.verdicts import Evidence, Judgement, judge
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import ColumnValue, Connection, Statement
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
_RecordedEvent = tuple[tuple[int, EngagementVerdict], NewEvent, SummarizedEmail]
"""The key and the verdict of a recorded event, the event, and its email."""


async def write_batch(batch: Sequence[RequestPart], uow: UnitOfWork) -> list[EngagementRecordResult]:
    """Write all events of a batch in one unit of work.

    Returns the outcome of each part of the batch, in the same order.
    """
    uow.claims.extend(part.request.claim for part in batch if part.last and part.request.claim)
    emails = {email.id: email for email in (SummarizedEmail(*values) for values in uow.first_rows)}
    outcomes = [EngagementRecordResult() for _ in batch]
    new_events: dict[tuple[int, str], tuple[EngagementRecordResult, NewEvent, SummarizedEmail]] = {}
    for part, outcome in zip(batch, outcomes, strict=True):
        for index, number, event in part.events:
            email = emails.get(number)
            error = _find_error(part.request, event, index, email, uow.now)
            if error is not None or email is None:
                outcome.errors.extend([error] if error else [])
            elif _is_ignored(email, event):
                outcome.ignored += 1
            elif (email.team_id, event.dedupe_key) in new_events:
                outcome.duplicates += 1
            else:
                new_events[email.team_id, event.dedupe_key] = (outcome, event, email)
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


def _is_ignored(email: SummarizedEmail, event: NewEvent) -> bool:
    """Return whether an event is not recorded because its email is archived.

    Replies to an archived email are recorded.
    """
    archived = bool(email.archived) and email.status == EmailStatus.SENT
    return archived and event.kind is not EngagementKind.REPLY


def _find_error(
    request: RecordRequest, event: NewEvent, index: int, email: SummarizedEmail | None, now: int
) -> UserError | None:
    """Check an event against its email, and return an error or None.

    `email` is None if it does not exist. `index` is the position of the event in the request. `now` is in microseconds.
    """
    path = ("events", str(index))
    if email is None or not request.sees(email):
        return UserError("There is no such email.", (*path, "emailId"), UserErrorCode.NOT_FOUND)
    # The time of a tracking link's event comes from our own clock, so it is accepted.
    if event.occurred_at > now + MAX_AHEAD_MICROS and not request.durable:
        return UserError(
            "An event may lie at most 5 minutes in the future.", (*path, "occurredAt"), UserErrorCode.INVALID
        )
    return None


def lock_statement(batch: Iterable[RequestPart], connection: Connection) -> tuple[Sequence[str], Statement]:
    """Return a query that locks the emails of a batch, after the columns it selects.

    It locks the emails in the order of their keys.
    """
    lock = (
        f"SELECT {', '.join(EMAIL_COLUMNS)} FROM emails WHERE {connection.in_any('id')} ORDER BY id"
        + connection.for_update("NO KEY UPDATE")
    )
    return EMAIL_COLUMNS, (
        lock,
        [connection.array_param(sorted({key for part in batch for _, key, _ in part.events}))],
    )


async def _load_simultaneous_keys(
    uow: UnitOfWork, new_events: Iterable[tuple[EngagementRecordResult, NewEvent, SummarizedEmail]]
) -> None:
    """Load the dedupe key of an email's latest event if a new one has the same time.

    Of two simultaneous events, the one with the greater dedupe key is the later one.
    """
    simultaneous = {
        email.latest_engagement_id: email
        for _, event, email in new_events
        if email.latest_engagement_id is not None and email.latest_activity_at == min(event.occurred_at, uow.now)
    }
    if simultaneous:
        # A separate query after the lock: a join in the locking query could miss an event that was just committed.
        for key, name in await uow.connection.fetch_tuples(
            ("id", "dedupe_key"),
            f"SELECT id, dedupe_key FROM engagements WHERE {uow.connection.in_any('id')}",
            uow.connection.array_param(simultaneous),
        ):
            simultaneous[key].latest_key = name


async def _insert(
    uow: UnitOfWork, new_events: dict[tuple[int, str], tuple[EngagementRecordResult, NewEvent, SummarizedEmail]]
) -> dict[tuple[int, str], tuple[int, EngagementVerdict]]:
    """Insert events, and return the key and the verdict of each inserted row.

    Argument and result are by team and dedupe key. The result does not contain duplicates of earlier events.
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


def _row(event: NewEvent, email: SummarizedEmail, verdict: Judgement, now: int) -> tuple[ColumnValue, ...]:
    """Return an event as a row of `engagements`, in the order of _EVENT_COLUMNS.

    `now` is in microseconds.
    """
    url = event.url.strip() if event.url else None
    return (
        *(email.team_id, email.id, email.sender_id),
        *(int(event.kind), int(verdict.verdict), verdict.reason, verdict.judged),
        *(url, None if url is None else fold(url), event.user_agent, event.ip_address),
        *(min(event.occurred_at, now), now, event.dedupe_key),
    )


def _evidence(event: NewEvent, email: SummarizedEmail) -> Evidence:
    """Return the evidence for the verdict on an event.

    The email is needed to recognise a device of its own sender.
    """
    own_device = event.device is not None and event.device == email.sender_id
    return Evidence(event.kind, event.user_agent, event.ip_address, event.prefetch, event.head, own_device)


async def _revise_clicks(uow: UnitOfWork, recorded: Sequence[_RecordedEvent]) -> dict[int, RevisableEvent]:
    """Revise the verdicts on clicks whose timing shows a machine.

    The new clicks count too.

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
    sent = {email.id: email.sent_at for _, email in clicks}
    revised = await verdict_revisions.revise_by_clicks(uow, sent, min(times), max(times))
    return {row["id"]: row for row in revised}


async def _publish(uow: UnitOfWork, recorded: Sequence[_RecordedEvent], revised: dict[int, RevisableEvent]) -> None:
    """Publish recorded and revised events.

    This updates summaries, appends to the change log and queues invalidations.
    """
    new = {key for (key, _), _, _ in recorded}
    earlier = [row for key, row in revised.items() if key not in new]
    verdict_revisions.publish(uow, earlier)
    recounted = {row["email_id"] for row in earlier}
    counted: dict[int, SummarizedEmail] = {}
    latest: dict[int, tuple[int, SummarizedEmail]] = {}
    for (key, judged), event, email in recorded:
        verdict = EngagementVerdict.MACHINE if key in revised else judged
        latest[email.id] = (key, email)
        if verdict is EngagementVerdict.HUMAN and email.id not in recounted:
            counted[email.id] = email
            summaries.count_event(email, key, event.kind, min(event.occurred_at, uow.now), event.dedupe_key)
        if verdict is not EngagementVerdict.SELF:
            verdict_revisions.log_event(uow, email.team_id, email.sender_id, email.id, key)
    if counted:
        uow.defer(*summaries.update_statement(uow.connection, counted.values()))
    await summaries.recount(uow.connection, recounted)
    for email_id, (key, email) in latest.items():
        uow.invalidate(InvalidationKind.EMAIL, email.team_id, email_id, ChangeCauseKind.ENGAGEMENT, key)
