"""Single emails: drafted, revised, sent or scheduled, archived, marked, retried, deleted. The folder decides.

Every bulk names each refused id by its place and does the others.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from command_center import ids as global_ids
from command_center.actions import campaigns, request_ids, suppression, tasks, transitions, verdict_revisions
from command_center.actions.access import own_emails, placed, seen
from command_center.actions.bodies import add_body
from command_center.actions.context import ActionContext, Limits
from command_center.actions.deliveries import forget_early
from command_center.actions.inputs import SUBJECT, UNSET, BulkResult, ErrorCollector
from command_center.actions.request_ids import Made
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Row
from command_center.email_addresses import distinct
from command_center.errors import not_found, user_error
from command_center.search.text import fold
from models.emails import Email, addresses
from models.enums import (
    ChangeCauseKind,
    EmailAction,
    EmailStatus,
    FolderName,
    InvalidationKind,
    SendKind,
    UserErrorCode,
)
from models.folders import ACTIONS
from models.viewers import Viewer


@dataclass(frozen=True, slots=True)
class NewEmail:
    person_id: str
    subject: str
    body: str = ""
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    template_id: str | None = None
    campaign_id: str | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """UNSET leaves a value as it is, None clears it. `at` is in microseconds."""

    person_id: Any = field(default=UNSET)
    subject: Any = field(default=UNSET)
    body: Any = field(default=UNSET)
    cc: Any = field(default=UNSET)
    bcc: Any = field(default=UNSET)
    template_id: Any = field(default=UNSET)
    at: Any = field(default=UNSET)


async def draft(ctx: ActionContext, viewer: Viewer, new: NewEmail) -> Email:
    findings = ErrorCollector()
    person = await seen(viewer, "Person", new.person_id, ("input", "personId"), findings)
    subject = findings.line(new.subject, ("input", "subject"), "A subject", SUBJECT)
    body = add_body(findings, new.body, ("input", "body"), await ctx.inspector.reports([new.body]))
    cc = findings.addresses(new.cc, ("input", "cc"))
    bcc = findings.addresses(new.bcc, ("input", "bcc"))
    _limit_copies(ctx.limits, cc, bcc, findings)
    template = await seen(viewer, "Template", new.template_id, ("input", "templateId"), findings)
    campaign = await seen(viewer, "Campaign", new.campaign_id, ("input", "campaignId"), findings)
    findings.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        await campaigns.going_on(uow, campaign, findings)
        findings.raise_any()
        row = await uow.connection.fetch_one(
            "INSERT INTO emails (team_id, sender_id, person_id, cc, bcc, subject, subject_folded, body, campaign_id,"
            " template_id, send_kind, status, archived, success, created_at, updated_at, views, clicks, replies,"
            " attempts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0) RETURNING id",
            *(viewer.team_id, viewer.user_id, person, json.dumps(cc), json.dumps(bcc), subject, fold(subject), body),
            *(campaign, template, int(SendKind.INDIVIDUAL), int(EmailStatus.DRAFT), False, False, uow.now, uow.now),
        )
        key = int(row["id"]) if row else 0
        uow.move_count(viewer.user_id, None, FolderName.DRAFT)
        uow.invalidate(InvalidationKind.EMAIL, viewer.team_id, key, ChangeCauseKind.EMAIL_CHANGED)
    return await Email.get(id=key)


async def revise(ctx: ActionContext, viewer: Viewer, email_id: str, revision: Revision) -> Email:
    """Changes a draft or a scheduled email."""
    findings = ErrorCollector()
    values = await _revised(ctx, viewer, revision, findings)
    async with ctx.writer.unit_of_work() as uow:
        row = await _own(uow, viewer, email_id, EmailAction.EDIT)
        if revision.at is not UNSET:
            if row["status"] != EmailStatus.SCHEDULED or revision.at is None or revision.at <= uow.now:
                findings.add(
                    UserErrorCode.INVALID, ("input", "at"), "Only a scheduled email can be moved, to a moment to come."
                )
            # Another moment is another try: what was refused for a while before does not count against it.
            values |= {"scheduled_at": revision.at, "due_at": revision.at, "attempts": 0, "first_attempt_at": None}
        _keeps_its_person(row, values, findings)
        if values.keys() & {"cc", "bcc"}:
            after = row | values
            _limit_copies(ctx.limits, addresses(after["cc"]), addresses(after["bcc"]), findings)
        findings.raise_any()
        await transitions.change(uow, [row], values)
        uow.sends = True
    return await Email.get(id=row["id"])


def _limit_copies(limits: Limits, cc: Sequence[str], bcc: Sequence[str], findings: ErrorCollector) -> None:
    """Add what is wrong with the number of recipients: copies are limited, and each counts against the daily limit."""
    path = ("input", "cc" if len(cc) > limits.copies or not bcc else "bcc")
    copies, recipients = len(cc) + len(bcc), 1 + len(distinct((*cc, *bcc)))
    if copies > limits.copies:
        findings.add(UserErrorCode.LIMIT_REACHED, path, suppression.too_many_copies(copies, limits))
    elif recipients > limits.emails_per_day:
        findings.add(UserErrorCode.LIMIT_REACHED, path, suppression.too_many_recipients(recipients, limits))


def _keeps_its_person(row: Row, values: Mapping[str, Any], findings: ErrorCollector) -> None:
    """What was tried and put off has its fields filled in for one person: it is no text for somebody else."""
    other = values.get("person_id", row["person_id"]) != row["person_id"]
    if other and row["message_id"] is not None and not values.keys() >= {"subject", "body"}:
        message = "Its text was made for the person it is to: for somebody else give the subject and the body too."
        findings.add(UserErrorCode.INVALID, ("input", "personId"), message)


async def _revised(ctx: ActionContext, viewer: Viewer, revision: Revision, findings: ErrorCollector) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if revision.person_id is not UNSET:
        path = ("input", "personId")
        if revision.person_id is None:
            findings.add(UserErrorCode.BLANK, path, "An email must be to somebody.")
        values["person_id"] = await seen(viewer, "Person", revision.person_id, path, findings)
    if revision.subject is not UNSET:
        subject = findings.line(revision.subject or "", ("input", "subject"), "A subject", SUBJECT)
        values |= {"subject": subject, "subject_folded": fold(subject)}
    if revision.body is not UNSET:
        text = revision.body or ""
        body = add_body(findings, text, ("input", "body"), await ctx.inspector.reports([text]))
        values |= {"body": body, "shared_body": False, "field_values": None}
    if values.keys() & {"subject", "body"}:
        # What was put off has its fields filled in already, and keeps its message's id for it: this is another text.
        values["message_id"] = None
    if revision.cc is not UNSET:
        values["cc"] = json.dumps(findings.addresses(revision.cc or (), ("input", "cc")))
    if revision.bcc is not UNSET:
        values["bcc"] = json.dumps(findings.addresses(revision.bcc or (), ("input", "bcc")))
    if revision.template_id is not UNSET:
        template = revision.template_id
        values["template_id"] = await seen(viewer, "Template", template, ("input", "templateId"), findings)
    return values


async def send(ctx: ActionContext, viewer: Viewer, email_id: str, at: int | None, request_id: str | None) -> Email:
    """Sends a draft, now or at a moment to come (microseconds). A repeated `request_id` sends nothing again."""
    findings = ErrorCollector()
    request = request_ids.name(request_id, findings)
    findings.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        if request is not None:
            arguments = {"id": email_id, "at": at}
            first = await request_ids.first(uow, viewer, request, "emailSend", arguments, Made.EMAIL)
            if first is not None:
                return await _still_there(first)
        if at is not None:
            # What is sent now is looked at again when the sender loop takes it.
            await suppression.stand_still(uow.connection, key_of(email_id) or 0)
        row = await _own(uow, viewer, email_id)
        if row["status"] != EmailStatus.DRAFT:
            raise _wrong(row, ("id",), "sent")
        if at is not None and at <= uow.now:
            raise user_error(UserErrorCode.INVALID, ("at",), "The moment to send at must be to come.")
        await _release(ctx, uow, [row], at)
        if request is not None:
            await request_ids.remember(uow, viewer, request, Made.EMAIL, row["id"])
    return await Email.get(id=row["id"])


async def _still_there(key: int) -> Email:
    email = await Email.get_or_none(id=key)
    if email is None:
        raise not_found(("id",), "email")
    return email


async def _release(ctx: ActionContext, uow: UnitOfWork, rows: Sequence[Row], at: int | None) -> None:
    """Hands emails to the sender loop, now or later; or fails at once those to whom nothing may be sent."""
    free = await suppression.hold_back(uow, ctx.limits, rows)
    values: dict[str, Any] = {
        "status": EmailStatus.IN_PROGRESS if at is None else EmailStatus.SCHEDULED,
        "due_at": uow.now if at is None else at,
        "claimed_at": None,
        "attempts": 0,
        "first_attempt_at": None,
        **transitions.NO_FAILURE,
    }
    if at is not None:
        values["scheduled_at"] = at
    await transitions.change(uow, free, values)
    uow.sends = bool(free)


async def archive(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    return await _bulk(ctx, viewer, ids, EmailAction.ARCHIVE, lambda _: {"archived": True})


async def unarchive(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    return await _bulk(ctx, viewer, ids, EmailAction.UNARCHIVE, lambda _: {"archived": False})


async def mark_success(ctx: ActionContext, viewer: Viewer, ids: Sequence[str], success: bool) -> BulkResult:
    return await _bulk(ctx, viewer, ids, EmailAction.MARK_SUCCESS, lambda _: {"success": success})


async def _bulk(
    ctx: ActionContext,
    viewer: Viewer,
    ids: Sequence[str],
    action: EmailAction,
    values: Callable[[Row], dict[str, Any]],
) -> BulkResult:
    findings = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        rows = await _allowed(uow, viewer, ids, action, findings)
        for row in rows:
            await transitions.change(uow, [row], values(row))
    return BulkResult(tuple(row["id"] for row in rows), tuple(findings.problems))


async def retry(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Sends what was not delivered again, at once, whatever its old schedule."""
    findings = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        rows = await _allowed(uow, viewer, ids, EmailAction.RETRY_SEND, findings)
        await forget_early(uow, (row["id"] for row in rows))
        await _release(ctx, uow, rows, None)
    return BulkResult(tuple(row["id"] for row in rows), tuple(findings.problems))


async def delete(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Deletes emails for good; what is part of a campaign never."""
    findings = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        rows = await _allowed(uow, viewer, ids, EmailAction.DELETE, findings)
        tx = uow.connection
        await tasks.part_from_emails(uow, [row["id"] for row in rows])
        await verdict_revisions.announce_removal(uow, [row["id"] for row in rows])
        await tx.execute(f"DELETE FROM emails WHERE {tx.in_any('id')}", tx.array_param(row["id"] for row in rows))
        for row in rows:
            uow.move_count(row["sender_id"], transitions.folder(row), None)
            uow.invalidate(InvalidationKind.EMAIL, row["team_id"], row["id"], ChangeCauseKind.EMAIL_CHANGED)
    return BulkResult(tuple(row["id"] for row in rows), tuple(findings.problems))


async def _allowed(
    uow: UnitOfWork, viewer: Viewer, ids: Sequence[str], action: EmailAction, findings: ErrorCollector
) -> list[Row]:
    allowed: list[Row] = []
    for row, path in await own_emails(uow.connection, viewer, placed(ids), findings):
        if action not in ACTIONS[transitions.folder(row)]:
            findings.problems.extend(_wrong(row, path, _PAST[action]).problems)
        elif action is EmailAction.DELETE and row["campaign_id"] is not None:
            findings.add(UserErrorCode.WRONG_STATE, path, "An email of a campaign is never deleted.")
        else:
            allowed.append(row)
    return allowed


async def _own(uow: UnitOfWork, viewer: Viewer, email_id: str, action: EmailAction | None = None) -> Row:
    findings = ErrorCollector()
    rows = await own_emails(uow.connection, viewer, {email_id: ("id",)}, findings)
    findings.raise_any()
    row, path = rows[0]
    if action is not None and action not in ACTIONS[transitions.folder(row)]:
        raise _wrong(row, path, _PAST[action])
    return row


_PAST = {
    EmailAction.EDIT: "changed",
    EmailAction.ARCHIVE: "archived",
    EmailAction.UNARCHIVE: "unarchived",
    EmailAction.MARK_SUCCESS: "marked",
    EmailAction.RETRY_SEND: "sent again",
    EmailAction.DELETE: "deleted",
}


def _wrong(row: Row, path: tuple[str, ...], participle: str) -> Any:
    return user_error(UserErrorCode.WRONG_STATE, path, f"An email in {transitions.folder(row).name} cannot be {participle}.")


def allowed_actions(email: Email, viewer: Viewer) -> list[EmailAction]:
    """What the viewer may do to an email: nothing but to one's own, and never delete what is part of a campaign."""
    if email.sender_id != viewer.user_id:
        return []
    return [action for action in ACTIONS[email.folder] if action is not EmailAction.DELETE or email.campaign_id is None]


def key_of(email_id: str) -> int | None:
    """The key in an email's id."""
    return global_ids.decode_key("Email", email_id)
