"""Records the delivery reports of mail servers.

A bounce or a spam complaint makes a SENT email BOUNCED or SPAM.

A report may arrive during the hand-over, before the email is recorded as sent. It is stored and applied afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from command_center import ids
from command_center.actions import transitions
from command_center.actions.access import lock_emails
from command_center.actions.context import ActionContext
from command_center.actions.email_rows import EmailState, LockedEmail
from command_center.actions.engagement_requests import MAX_AHEAD_MICROS, MAX_DEDUPE_KEY_CHARACTERS
from command_center.actions.inputs import check_event_count, check_line, check_text
from command_center.changes.unit_of_work import UnitOfWork
from command_center.errors import ErrorCollector, InputPath, UserError
from models.enums import DeliveryKind, EmailStatus, FailureCode, UserErrorCode
from models.viewers import Viewer

_FAILURES = {
    DeliveryKind.BOUNCED: (EmailStatus.BOUNCED, FailureCode.BOUNCED, "The recipient's server returned the message."),
    DeliveryKind.SPAM_COMPLAINT: (
        EmailStatus.SPAM,
        FailureCode.SPAM_COMPLAINT,
        "The recipient reported the message as spam.",
    ),
}


@dataclass(frozen=True, slots=True)
class NewReport:
    """One delivery report; `occurred_at` is in microseconds.

    Reports with the same `dedupe_key` are recorded once.
    """

    email_id: str
    kind: DeliveryKind
    message: str
    occurred_at: int
    dedupe_key: str


@dataclass(slots=True)
class DeliveryRecordResult:
    """Counts the reports of one request, and holds an error for each refused one."""

    recorded: int = 0
    duplicates: int = 0
    errors: list[UserError] = field(default_factory=list)


async def record(ctx: ActionContext, viewer: Viewer, reports: Sequence[NewReport]) -> DeliveryRecordResult:
    """Record those delivery reports that have not been recorded before.

    The result has an error for each refused report; its path contains the index of the report.

    Raises: UserErrors (LIMIT_REACHED) for too many reports in one request.
    """
    check_event_count(len(reports), ctx.limits.events_per_request, ("events",))
    errors = ErrorCollector()
    outcome = DeliveryRecordResult()
    async with ctx.writer.unit_of_work() as uow:
        keys = (ids.decode_key("Email", report.email_id) for report in reports)
        emails = await lock_emails(uow.connection, (key for key in keys if key is not None))
        for index, report in enumerate(reports):
            email = emails.get(ids.decode_key("Email", report.email_id) or 0)
            await _validate_and_record(uow, viewer, report, email, ("events", str(index)), errors, outcome)
    outcome.errors = list(errors)
    return outcome


async def _validate_and_record(
    uow: UnitOfWork,
    viewer: Viewer,
    report: NewReport,
    email: LockedEmail | None,
    path: InputPath,
    errors: ErrorCollector,
    outcome: DeliveryRecordResult,
) -> None:
    """Record one report if it is valid, and count it in `outcome`.

    Otherwise adds errors at `path`. `email` is the locked email of the report, or None if there is no such email.
    """
    error_count = len(errors)
    key = check_line(errors, report.dedupe_key, (*path, "dedupeKey"), "A dedupeKey", MAX_DEDUPE_KEY_CHARACTERS)
    message = check_text(errors, report.message, (*path, "message"), "A message", 10_000)
    if email is None or not viewer.sees_mail_of(email["team_id"], email["sender_id"]):
        errors.add(UserErrorCode.NOT_FOUND, (*path, "emailId"), "There is no such email.")
    if report.occurred_at > uow.now + MAX_AHEAD_MICROS:
        errors.add(UserErrorCode.INVALID, (*path, "occurredAt"), "An event may lie at most 5 minutes in the future.")
    if email is None or len(errors) > error_count:
        return
    # The report may arrive before the hand-over of its email is recorded.
    handing_over = email["status"] == EmailStatus.IN_PROGRESS and email["claimed_at"] is not None
    if handing_over or email["status"] in (EmailStatus.SENT, EmailStatus.BOUNCED, EmailStatus.SPAM):
        if await _record(uow, email, report, key, message, handing_over):
            outcome.recorded += 1
        else:
            outcome.duplicates += 1
    elif await uow.connection.fetch_one(
        "SELECT id FROM delivery_reports WHERE team_id = ? AND dedupe_key = ?", email["team_id"], key
    ):
        outcome.duplicates += 1
    else:
        errors.add(UserErrorCode.WRONG_STATE, (*path, "emailId"), "Only a sent email can have a delivery report.")


async def _record(
    uow: UnitOfWork, email: LockedEmail, report: NewReport, key: str, message: str, handing_over: bool
) -> bool:
    """Insert a report, apply it if the email is SENT, and return whether it was new.

    `key` is the trimmed dedupe key. If `handing_over`, the report is applied after the hand-over of its email.
    """
    at = min(report.occurred_at, uow.now)
    inserted = await uow.connection.fetch_one(
        "INSERT INTO delivery_reports (team_id, email_id, kind, message, occurred_at, recorded_at, dedupe_key,"
        " applied) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (team_id, dedupe_key) DO NOTHING RETURNING id",
        *(email["team_id"], email["id"], int(report.kind), message, at, uow.now, key, not handing_over),
    )
    if inserted is None:
        return False
    # A further report about a failed email is stored, but changes nothing.
    if email["status"] == EmailStatus.SENT:
        await _mark_failed(uow, email, report.kind, message, at)
    return True


async def _mark_failed(uow: UnitOfWork, email: EmailState, kind: DeliveryKind, message: str, at: int) -> None:
    """Mark an email as bounced or reported as spam, depending on the kind of report.

    `at` is the time of the report in microseconds.
    """
    status, code, default_message = _FAILURES[kind]
    await transitions.update_emails(
        uow, [email], transitions.failure_columns(code, message or default_message, at, status)
    )


async def apply_early_reports(uow: UnitOfWork, sent: Mapping[int, EmailState]) -> None:
    """Apply the reports that arrived during the hand-over of these emails.

    `sent` holds the emails by key; they are SENT and locked. Only the earliest report about an email changes it.
    """
    tx = uow.connection
    reports = await tx.fetch(
        f"UPDATE delivery_reports SET applied = TRUE WHERE {tx.in_any('email_id')} AND NOT applied"
        " RETURNING id, email_id, kind, message, occurred_at",
        tx.array_param(sent),
    )
    for report in sorted(reports, key=lambda report: (report["occurred_at"], report["id"])):
        email = sent[report["email_id"]]
        if email["status"] == EmailStatus.SENT:
            await _mark_failed(uow, email, DeliveryKind(report["kind"]), report["message"], report["occurred_at"])


async def discard_early_reports(uow: UnitOfWork, email_ids: Iterable[int]) -> None:
    """Discard the delivery reports about these emails that were not applied yet.

    They concern an earlier hand-over with an unknown outcome, and must not be applied after the next hand-over.
    """
    tx = uow.connection
    await tx.execute(
        f"UPDATE delivery_reports SET applied = TRUE WHERE {tx.in_any('email_id')} AND NOT applied",
        tx.array_param(email_ids),
    )
