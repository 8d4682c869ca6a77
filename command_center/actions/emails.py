"""The actions on single emails.

They draft, revise, send or schedule, archive, mark as success, retry and delete.

The email's folder decides which actions are allowed. A bulk action changes the allowed emails, and returns one error
per refused id with its position.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from command_center import ids as global_ids
from command_center.actions import campaigns, request_ids, suppression, tasks, transitions, verdict_revisions
from command_center.actions.access import visible_key
from command_center.actions.bodies import check_body
from command_center.actions.context import ActionContext, Limits
from command_center.actions.deliveries import discard_early_reports
from command_center.actions.email_access import lock_allowed_emails, lock_own_email, wrong_state
from command_center.actions.email_rows import LockedEmail
from command_center.actions.inputs import MAX_SUBJECT_CHARACTERS, UNSET, BulkResult, Unset, check_addresses, check_line
from command_center.actions.request_ids import CreatedRow
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import ColumnValue, ColumnValues
from command_center.email_addresses import distinct_addresses
from command_center.errors import ErrorCollector, not_found, user_error
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
from models.viewers import Viewer


@dataclass(frozen=True, slots=True)
class NewEmail:
    """The input for a new draft. The ids are global ids."""

    person_id: str
    subject: str
    body: str = ""
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    template_id: str | None = None
    campaign_id: str | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """The changes to an email: UNSET leaves a value unchanged, None clears it.

    `at` is in microseconds.
    """

    person_id: str | Unset | None = UNSET
    subject: str | Unset | None = UNSET
    body: str | Unset | None = UNSET
    cc: Sequence[str] | Unset | None = UNSET
    bcc: Sequence[str] | Unset | None = UNSET
    template_id: str | Unset | None = UNSET
    at: int | Unset | None = UNSET


async def draft(ctx: ActionContext, viewer: Viewer, new: NewEmail) -> Email:
    """Create a draft.

    Raises: UserErrors if the input is invalid or the campaign has ended.
    """
    errors = ErrorCollector()
    person = await visible_key(viewer, "Person", new.person_id, ("input", "personId"), errors)
    subject = check_line(errors, new.subject, ("input", "subject"), "A subject", MAX_SUBJECT_CHARACTERS)
    body = check_body(errors, new.body, ("input", "body"), await ctx.inspector.reports([new.body]))
    cc = check_addresses(errors, new.cc, ("input", "cc"))
    bcc = check_addresses(errors, new.bcc, ("input", "bcc"))
    _check_copies(ctx.limits, cc, bcc, errors)
    template = await visible_key(viewer, "Template", new.template_id, ("input", "templateId"), errors)
    campaign = await visible_key(viewer, "Campaign", new.campaign_id, ("input", "campaignId"), errors)
    errors.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        await campaigns.check_campaign_active(uow, campaign, errors)
        errors.raise_any()
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
    """Change a draft or a scheduled email.

    Raises: UserErrors if the input is invalid or the email's folder does not allow the change.
    """
    errors = ErrorCollector()
    values = await _changed_columns(ctx, viewer, revision, errors)
    async with ctx.writer.unit_of_work() as uow:
        row = await lock_own_email(uow, viewer, email_id, EmailAction.EDIT)
        if revision.at is not UNSET:
            if row["status"] != EmailStatus.SCHEDULED or revision.at is None or revision.at <= uow.now:
                errors.add(
                    UserErrorCode.INVALID,
                    ("input", "at"),
                    "Only a scheduled email can be moved, and only to a time in the future.",
                )
            # A new time starts the attempts again: earlier temporary refusals do not count against it.
            values |= {"scheduled_at": revision.at, "due_at": revision.at, "attempts": 0, "first_attempt_at": None}
        _check_recipient_change(row, values, errors)
        if values.keys() & {"cc", "bcc"}:
            new_cc, new_bcc = values.get("cc"), values.get("bcc")
            cc = addresses(new_cc if isinstance(new_cc, str) else row["cc"])
            bcc = addresses(new_bcc if isinstance(new_bcc, str) else row["bcc"])
            _check_copies(ctx.limits, cc, bcc, errors)
        errors.raise_any()
        await transitions.update_emails(uow, [row], values)
        uow.sends_due = True
    return await Email.get(id=row["id"])


def _check_copies(limits: Limits, cc: Sequence[str], bcc: Sequence[str], errors: ErrorCollector) -> None:
    """Check the number of recipients.

    Copies are limited, and each of them counts against the daily limit.
    """
    path = ("input", "cc" if len(cc) > limits.copies or not bcc else "bcc")
    copies, recipients = len(cc) + len(bcc), 1 + len(distinct_addresses((*cc, *bcc)))
    if copies > limits.copies:
        errors.add(UserErrorCode.LIMIT_REACHED, path, suppression.too_many_copies(copies, limits))
    elif recipients > limits.emails_per_day:
        errors.add(UserErrorCode.LIMIT_REACHED, path, suppression.too_many_recipients(recipients, limits))


def _check_recipient_change(row: LockedEmail, values: ColumnValues, errors: ErrorCollector) -> None:
    """Refuse a new recipient without a new text after an attempt to send.

    The first attempt replaced the dynamic fields with the values of the old recipient.
    """
    has_new_recipient = values.get("person_id", row["person_id"]) != row["person_id"]
    if has_new_recipient and row["message_id"] is not None and not values.keys() >= {"subject", "body"}:
        message = "Sending was tried with this text: a new recipient needs a new subject and body too."
        errors.add(UserErrorCode.INVALID, ("input", "personId"), message)


async def _changed_columns(
    ctx: ActionContext, viewer: Viewer, revision: Revision, errors: ErrorCollector
) -> dict[str, ColumnValue]:
    """Validate a revision, and return the new column values.

    They do not include the columns that `revision.at` changes.
    """
    values: dict[str, ColumnValue] = {}
    if revision.person_id is not UNSET:
        path = ("input", "personId")
        if revision.person_id is None:
            errors.add(UserErrorCode.BLANK, path, "An email needs a recipient.")
        values["person_id"] = await visible_key(viewer, "Person", revision.person_id, path, errors)
    if revision.subject is not UNSET:
        subject = check_line(errors, revision.subject or "", ("input", "subject"), "A subject", MAX_SUBJECT_CHARACTERS)
        values |= {"subject": subject, "subject_folded": fold(subject)}
    if revision.body is not UNSET:
        text = revision.body or ""
        body = check_body(errors, text, ("input", "body"), await ctx.inspector.reports([text]))
        values |= {"body": body, "shared_body": False, "field_values": None}
    if values.keys() & {"subject", "body"}:
        # A postponed email keeps its message id because its fields are filled in already. A new text gets a new id.
        values["message_id"] = None
    if revision.cc is not UNSET:
        values["cc"] = json.dumps(check_addresses(errors, revision.cc or (), ("input", "cc")))
    if revision.bcc is not UNSET:
        values["bcc"] = json.dumps(check_addresses(errors, revision.bcc or (), ("input", "bcc")))
    if revision.template_id is not UNSET:
        template = revision.template_id
        values["template_id"] = await visible_key(viewer, "Template", template, ("input", "templateId"), errors)
    return values


async def send(ctx: ActionContext, viewer: Viewer, email_id: str, at: int | None, request_id: str | None) -> Email:
    """Send a draft now, or schedule it for `at` (microseconds).

    A repeated `request_id` returns the email of the first request and sends nothing. Raises: UserErrors if the email is
    not a draft of the viewer, or if `at` or `request_id` is invalid.
    """
    errors = ErrorCollector()
    request = request_ids.validate(request_id, errors)
    errors.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        if request is not None:
            arguments = {"id": email_id, "at": at}
            earlier_key = await request_ids.find_created(uow, viewer, request, "emailSend", arguments, CreatedRow.EMAIL)
            if earlier_key is not None:
                return await _get_existing(earlier_key)
        if at is not None:
            # Only for scheduled emails: the sender loop checks an email that is sent now when it claims it.
            await suppression.lock_recipient_and_campaign(uow.connection, global_ids.decode_key("Email", email_id) or 0)
        row = await lock_own_email(uow, viewer, email_id)
        if row["status"] != EmailStatus.DRAFT:
            raise wrong_state(row, ("id",), "sent")
        if at is not None and at <= uow.now:
            raise user_error(UserErrorCode.INVALID, ("at",), "The time to send at must be in the future.")
        await _queue_for_sending(ctx, uow, [row], at)
        if request is not None:
            await request_ids.store_created(uow, viewer, request, CreatedRow.EMAIL, row["id"])
    return await Email.get(id=row["id"])


async def _get_existing(key: int) -> Email:
    """Return an email that an earlier request created.

    Raises: UserErrors (NOT_FOUND) if it was deleted.
    """
    email = await Email.get_or_none(id=key)
    if email is None:
        raise not_found(("id",), "email")
    return email


async def _queue_for_sending(ctx: ActionContext, uow: UnitOfWork, rows: Sequence[LockedEmail], at: int | None) -> None:
    """Make emails due for the sender loop: at `at` (microseconds), or now if None.

    Fails the emails with a suppressed recipient instead. The emails must be locked.
    """
    sendable = await suppression.fail_suppressed(uow, ctx.limits, rows)
    values: dict[str, ColumnValue] = {
        "status": EmailStatus.IN_PROGRESS if at is None else EmailStatus.SCHEDULED,
        "due_at": uow.now if at is None else at,
        "claimed_at": None,
        "attempts": 0,
        "first_attempt_at": None,
        **transitions.NO_FAILURE,
    }
    if at is not None:
        values["scheduled_at"] = at
    await transitions.update_emails(uow, sendable, values)
    uow.sends_due = bool(sendable)


async def archive(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Archive delivered emails."""
    return await _bulk(ctx, viewer, ids, EmailAction.ARCHIVE, lambda _: {"archived": True})


async def unarchive(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Move archived emails back to DELIVERED."""
    return await _bulk(ctx, viewer, ids, EmailAction.UNARCHIVE, lambda _: {"archived": False})


async def mark_success(ctx: ActionContext, viewer: Viewer, ids: Sequence[str], success: bool) -> BulkResult:
    """Mark emails as a success, or remove the mark."""
    return await _bulk(ctx, viewer, ids, EmailAction.MARK_SUCCESS, lambda _: {"success": success})


async def _bulk(
    ctx: ActionContext,
    viewer: Viewer,
    ids: Sequence[str],
    action: EmailAction,
    values: Callable[[LockedEmail], ColumnValues],
) -> BulkResult:
    """Apply an action to those of the emails whose folder allows it.

    `values` returns the new column values of a row. The result has an error for each refused id.
    """
    errors = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        rows = await lock_allowed_emails(uow, viewer, ids, action, errors)
        for row in rows:
            await transitions.update_emails(uow, [row], values(row))
    return BulkResult(tuple(row["id"] for row in rows), tuple(errors))


async def retry(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Send undelivered emails again, now and regardless of their former schedule."""
    errors = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        rows = await lock_allowed_emails(uow, viewer, ids, EmailAction.RETRY_SEND, errors)
        await discard_early_reports(uow, (row["id"] for row in rows))
        await _queue_for_sending(ctx, uow, rows, None)
    return BulkResult(tuple(row["id"] for row in rows), tuple(errors))


async def delete(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Delete emails permanently. An email of a campaign cannot be deleted."""
    errors = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        rows = await lock_allowed_emails(uow, viewer, ids, EmailAction.DELETE, errors)
        tx = uow.connection
        await tasks.detach_from_emails(uow, [row["id"] for row in rows])
        await verdict_revisions.log_removals(uow, [row["id"] for row in rows])
        await tx.execute(f"DELETE FROM emails WHERE {tx.in_any('id')}", tx.array_param(row["id"] for row in rows))
        for row in rows:
            uow.move_count(row["sender_id"], transitions.folder_of_row(row), None)
            uow.invalidate(InvalidationKind.EMAIL, row["team_id"], row["id"], ChangeCauseKind.EMAIL_CHANGED)
    return BulkResult(tuple(row["id"] for row in rows), tuple(errors))
