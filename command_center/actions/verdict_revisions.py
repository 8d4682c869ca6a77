"""Revises verdicts on recorded events.

The reason is the timing of other clicks or of the delivery, or a user's decision.

Only a verdict derived from evidence (`judged`) is revised by more evidence, and only from HUMAN to MACHINE. A user's
decision is final for the machine. The emails must be locked before their events are read.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TypedDict, cast

from command_center.actions import summaries
from command_center.actions.access import paths_by_id, rows_in_request_order
from command_center.actions.click_timing import (
    AFTER_DELIVERY_MICROS,
    BEFORE_DELIVERY_MICROS,
    MAX_BURST_MICROS,
    Click,
    machine_clicks,
)
from command_center.actions.context import ActionContext
from command_center.actions.inputs import BulkResult, check_event_count
from command_center.actions.verdicts import VERDICT_TEXTS
from command_center.changes.entries import LogEntry
from command_center.changes.unit_of_work import UnitOfWork
from command_center.errors import ErrorCollector
from models.enums import ChangeCauseKind, ChangeKind, EngagementKind, EngagementVerdict, InvalidationKind
from models.viewers import Viewer

_SELECT = (
    "SELECT id, team_id, email_id, sender_id, verdict, judged, url, ip_address, occurred_at FROM engagements WHERE "
)


class RevisableEvent(TypedDict):
    """An event with the columns that its verdict depends on.

    `occurred_at` is in microseconds.
    """

    id: int
    team_id: int
    email_id: int
    sender_id: int
    verdict: int
    judged: bool
    url: str | None
    ip_address: str | None
    occurred_at: int


async def revise_by_clicks(
    uow: UnitOfWork, sent: Mapping[int, int | None], since: int, until: int
) -> list[RevisableEvent]:
    """Revise the clicks of emails after new clicks between `since` and `until`.

    Returns the revised clicks. `sent` holds the delivery times of the emails by key. All times are in microseconds. The
    caller updates summaries, appends to the change log and queues invalidations.
    """
    return await _revise_clicks(uow, sent, since - MAX_BURST_MICROS, until + MAX_BURST_MICROS)


async def revise_by_delivery(uow: UnitOfWork, sent: Mapping[int, int]) -> None:
    """Give the verdict MACHINE to clicks that occurred around the delivery of emails.

    No person can have made them. This is possible once the delivery times are known.

    `sent` holds the delivery times in microseconds by the emails' keys. Also updates the summaries, appends to the
    change log and queues invalidations.
    """
    if not sent:
        return
    times = sent.values()
    revised = await _revise_clicks(uow, sent, min(times) - BEFORE_DELIVERY_MICROS, max(times) + AFTER_DELIVERY_MICROS)
    await summaries.recount(uow.connection, {row["email_id"] for row in revised})
    publish(uow, revised)


async def _revise_clicks(
    uow: UnitOfWork, sent: Mapping[int, int | None], since: int, until: int
) -> list[RevisableEvent]:
    """Revise the clicks that occurred in a period; `sent` holds the delivery times.

    Returns the revised events.
    """
    tx = uow.connection
    fetched = await tx.fetch(
        f"{_SELECT}{tx.in_any('email_id')} AND kind = ? AND occurred_at >= ? AND occurred_at <= ? ORDER BY id",
        *(tx.array_param(sent), int(EngagementKind.CLICK), since, until),
    )
    rows = cast(list[RevisableEvent], fetched)
    emails: dict[int, list[Click]] = {}
    for row in rows:
        revisable = bool(row["judged"]) and row["verdict"] == EngagementVerdict.HUMAN
        click = Click.from_columns(row["id"], row["occurred_at"], row["url"], row["ip_address"], revisable)
        emails.setdefault(row["email_id"], []).append(click)
    reasons: dict[int, str] = {}
    for email_id, clicks in emails.items():
        reasons.update(machine_clicks(clicks, sent[email_id]))
    await tx.execute_many(
        "UPDATE engagements SET verdict = ?, verdict_reason = ? WHERE id = ?",
        [(int(EngagementVerdict.MACHINE), reason, key) for key, reason in sorted(reasons.items())],
    )
    return [row | {"verdict": EngagementVerdict.MACHINE} for row in rows if row["id"] in reasons]


def publish(uow: UnitOfWork, revised: Iterable[RevisableEvent]) -> None:
    """Append an entry to the sender's feed for each revised event.

    Also queues an invalidation for each email. An event that is now SELF has an entry too, so that subscribers remove
    it.
    """
    latest_by_email: dict[int, RevisableEvent] = {}
    for row in revised:
        latest_by_email[row["email_id"]] = row
        log_event(uow, row["team_id"], row["sender_id"], row["email_id"], row["id"])
    for email_id, row in latest_by_email.items():
        uow.invalidate(InvalidationKind.EMAIL, row["team_id"], email_id, ChangeCauseKind.ENGAGEMENT, row["id"])


def log_event(uow: UnitOfWork, team_id: int, sender_id: int, email_id: int, key: int) -> None:
    """Append an entry for one event to the sender's feed.

    The entry has only the key of the event; its current state is read when a subscriber gets the entry.
    """
    uow.log(
        LogEntry(
            team_id=team_id,
            kind=ChangeKind.ENGAGEMENT_RECORDED,
            owner_id=sender_id,
            email_id=email_id,
            engagement_id=key,
        )
    )


async def log_removals(uow: UnitOfWork, email_ids: Iterable[int]) -> None:
    """Log the removal of all events of emails that are about to be deleted.

    Each event has an entry in the change log, so that subscribers remove it.
    """
    tx = uow.connection
    rows = await tx.fetch(
        f"SELECT id, team_id, email_id, sender_id FROM engagements WHERE {tx.in_any('email_id')} AND verdict <> ?"
        " ORDER BY id",
        *(tx.array_param(email_ids), int(EngagementVerdict.SELF)),
    )
    for row in rows:
        log_event(uow, row["team_id"], row["sender_id"], row["email_id"], row["id"])


async def reclassify(ctx: ActionContext, viewer: Viewer, ids: Sequence[str], verdict: EngagementVerdict) -> BulkResult:
    """Set the verdict on events of emails that the viewer can see.

    No later evidence revises it. An event that already has the verdict does not change. The result has an error for
    each refused id; its path contains the position of the id.

    Raises: UserErrors (LIMIT_REACHED) for too many ids in one request.
    """
    check_event_count(len(ids), ctx.limits.events_per_request, ("ids",))
    errors = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        rows = await rows_in_request_order(
            "Engagement", paths_by_id(ids), partial(_lock_visible_events, uow, viewer), errors
        )
        await _set_verdict(uow, viewer, rows, verdict)
    return BulkResult(tuple(row["id"] for row in rows), tuple(errors))


async def _lock_visible_events(uow: UnitOfWork, viewer: Viewer, keys: Sequence[int]) -> list[RevisableEvent]:
    """Lock the emails of events, and return those events that the viewer can see."""
    tx = uow.connection
    unlocked = await tx.fetch(f"{_SELECT}{tx.in_any('id')} AND team_id = ?", tx.array_param(keys), viewer.team_id)
    await summaries.lock_emails(tx, (row["email_id"] for row in unlocked))
    rows = await tx.fetch(f"{_SELECT}{tx.in_any('id')}", tx.array_param(row["id"] for row in unlocked))
    return [row for row in cast(list[RevisableEvent], rows) if viewer.sees_mail_of(row["team_id"], row["sender_id"])]


async def _set_verdict(
    uow: UnitOfWork, viewer: Viewer, rows: Sequence[RevisableEvent], verdict: EngagementVerdict
) -> None:
    """Set the verdict on events with locked emails, and publish the changes."""
    tx = uow.connection
    # A user who confirms a verdict from evidence also makes it final.
    confirmed = [row["id"] for row in rows if row["verdict"] == verdict and row["judged"]]
    if confirmed:
        await tx.execute(f"UPDATE engagements SET judged = ? WHERE {tx.in_any('id')}", False, tx.array_param(confirmed))
    changed = [row | {"verdict": verdict} for row in rows if row["verdict"] != verdict]
    if not changed:
        return
    await tx.execute(
        f"UPDATE engagements SET verdict = ?, verdict_reason = ?, judged = ? WHERE {tx.in_any('id')}",
        *(int(verdict), await _reason(uow, viewer, verdict), False, tx.array_param(row["id"] for row in changed)),
    )
    await summaries.recount(tx, {row["email_id"] for row in changed})
    publish(uow, changed)


async def _reason(uow: UnitOfWork, viewer: Viewer, verdict: EngagementVerdict) -> str:
    """Return the reason that is stored with a user's verdict."""
    user = await uow.connection.fetch_one("SELECT name FROM users WHERE id = ?", viewer.user_id)
    return f"revised by {user['name'] if user else 'somebody'}: {VERDICT_TEXTS[verdict]}"
