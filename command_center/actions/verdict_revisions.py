"""Verdicts that change later: by what other clicks and the delivery tell of an event, or by what somebody says.

Only a verdict that came of evidence is revised by more evidence, and only from a person's to a machine's. What somebody
said stays. The emails are locked before their events are looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

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
from command_center.actions.inputs import BulkResult, ErrorCollector, check_event_count
from command_center.actions.verdicts import WHOSE
from command_center.changes.entries import LogEntry
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Row
from models.enums import ChangeCauseKind, ChangeKind, EngagementKind, EngagementVerdict, InvalidationKind
from models.viewers import Viewer

_ROWS = "SELECT id, team_id, email_id, sender_id, verdict, judged, url, ip_address, occurred_at FROM engagements WHERE "


async def revise_by_clicks(uow: UnitOfWork, sent: Mapping[int, int | None], since: int, until: int) -> list[Row]:
    """Looks at emails' clicks again, by what new ones from `since` to `until` tell of them; those that were revised.

    `sent` holds the emails with their deliveries. Nothing else is done: summaries, marks and the feed are the caller's.
    """
    return await _look_again(uow, sent, since - MAX_BURST_MICROS, until + MAX_BURST_MICROS)


async def by_delivery(uow: UnitOfWork, sent: Mapping[int, int]) -> None:
    """Emails were delivered, at moments only now known: what was followed meanwhile was not followed by a person."""
    if not sent:
        return
    moments = sent.values()
    revised = await _look_again(uow, sent, min(moments) - BEFORE_DELIVERY_MICROS, max(moments) + AFTER_DELIVERY_MICROS)
    await summaries.recount(uow.connection, {row["email_id"] for row in revised})
    publish(uow, revised)


async def _look_again(uow: UnitOfWork, sent: Mapping[int, int | None], since: int, until: int) -> list[Row]:
    tx = uow.connection
    rows = await tx.fetch(
        f"{_ROWS}{tx.in_any('email_id')} AND kind = ? AND occurred_at >= ? AND occurred_at <= ? ORDER BY id",
        *(tx.array_param(sent), int(EngagementKind.CLICK), since, until),
    )
    emails: dict[int, list[Click]] = {}
    for row in rows:
        doubted = bool(row["judged"]) and row["verdict"] == EngagementVerdict.HUMAN
        click = Click.from_columns(row["id"], row["occurred_at"], row["url"], row["ip_address"], doubted)
        emails.setdefault(row["email_id"], []).append(click)
    reasons: dict[int, str] = {}
    for email_id, clicks in emails.items():
        reasons.update(machine_clicks(clicks, sent[email_id]))
    await tx.execute_many(
        "UPDATE engagements SET verdict = ?, verdict_reason = ? WHERE id = ?",
        [(int(EngagementVerdict.MACHINE), reason, key) for key, reason in sorted(reasons.items())],
    )
    return [row | {"verdict": EngagementVerdict.MACHINE} for row in rows if row["id"] in reasons]


def publish(uow: UnitOfWork, revised: Iterable[Row]) -> None:
    """Lists look again, and the feed has an entry for each event, also for one that is the sender's own from now on:
    followers remove it.
    """
    marks: dict[int, Row] = {}
    for row in revised:
        marks[row["email_id"]] = row
        log_event(uow, row["team_id"], row["sender_id"], row["email_id"], row["id"])
    for email_id, row in marks.items():
        uow.invalidate(InvalidationKind.EMAIL, row["team_id"], email_id, ChangeCauseKind.ENGAGEMENT, row["id"])


def log_event(uow: UnitOfWork, team_id: int, sender_id: int, email_id: int, key: int) -> None:
    """One event in the sender's live feed, as it is whenever it is read."""
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
    """Adds an entry to the feed for each event of emails that are about to be deleted: followers remove it."""
    tx = uow.connection
    rows = await tx.fetch(
        f"SELECT id, team_id, email_id, sender_id FROM engagements WHERE {tx.in_any('email_id')} AND verdict <> ?"
        " ORDER BY id",
        *(tx.array_param(email_ids), int(EngagementVerdict.SELF)),
    )
    for row in rows:
        log_event(uow, row["team_id"], row["sender_id"], row["email_id"], row["id"])


async def reclassify(ctx: ActionContext, viewer: Viewer, ids: Sequence[str], verdict: EngagementVerdict) -> BulkResult:
    """Sets the verdict on events of mail the viewer can see; no evidence revises it any more.

    Each refused id is named by its place, the others are done. One that has the verdict already changes nothing.
    Raises Refused for more ids than a request may name.
    """
    check_event_count(len(ids), ctx.limits.events_per_request, ("ids",))
    errors = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        found = await rows_in_request_order("Engagement", paths_by_id(ids), partial(_seen, uow, viewer), errors)
        await _set(uow, viewer, found, verdict)
    return BulkResult(tuple(row["id"] for row in found), tuple(errors.problems))


async def _seen(uow: UnitOfWork, viewer: Viewer, keys: Sequence[int]) -> list[Row]:
    """Those of the events that the viewer can see, as they are once their emails are locked."""
    tx = uow.connection
    named = await tx.fetch(f"{_ROWS}{tx.in_any('id')} AND team_id = ?", tx.array_param(keys), viewer.team_id)
    await summaries.lock_emails(tx, (row["email_id"] for row in named))
    rows = await tx.fetch(f"{_ROWS}{tx.in_any('id')}", tx.array_param(row["id"] for row in named))
    return [row for row in rows if viewer.sees_mail_of(row["team_id"], row["sender_id"])]


async def _set(uow: UnitOfWork, viewer: Viewer, rows: Sequence[Row], verdict: EngagementVerdict) -> None:
    tx = uow.connection
    # What is said to be as it was judged is said all the same: nothing revises it from now on.
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
    user = await uow.connection.fetch_one("SELECT name FROM users WHERE id = ?", viewer.user_id)
    return f"revised by {user['name'] if user else 'somebody'}: {WHOSE[verdict]}"
