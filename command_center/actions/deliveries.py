"""What mail servers report after the hand-over: a bounce or a complaint turns a SENT email into BOUNCED or SPAM."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from command_center import ids
from command_center.actions import transitions
from command_center.actions.access import lock_emails
from command_center.actions.context import ActionContext
from command_center.actions.engagements import MAX_AHEAD_MICROS, MAX_DEDUPE_KEY_CHARACTERS
from command_center.actions.inputs import ErrorCollector, check_event_count
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Row
from command_center.errors import UserError
from models.enums import DeliveryKind, EmailStatus, FailureCode, UserErrorCode
from models.viewers import Viewer

_BECOMES = {
    DeliveryKind.BOUNCED: (EmailStatus.BOUNCED, FailureCode.BOUNCED, "The recipient's server returned the message."),
    DeliveryKind.SPAM_COMPLAINT: (
        EmailStatus.SPAM,
        FailureCode.SPAM_COMPLAINT,
        "The recipient reported the message as spam.",
    ),
}


@dataclass(frozen=True, slots=True)
class NewReport:
    """One report; `occurred_at` in microseconds."""

    email_id: str
    kind: DeliveryKind
    message: str
    occurred_at: int
    dedupe_key: str


@dataclass(slots=True)
class Outcome:
    recorded: int = 0
    duplicates: int = 0
    problems: list[UserError] = field(default_factory=list)


async def record(ctx: ActionContext, viewer: Viewer, reports: Sequence[NewReport]) -> Outcome:
    """Records what is new; each refused report is named by its place."""
    check_event_count(len(reports), ctx.limits.events_per_request, ("events",))
    errors = ErrorCollector()
    outcome = Outcome()
    async with ctx.writer.unit_of_work() as uow:
        keys = (ids.decode_key("Email", report.email_id) for report in reports)
        emails = await lock_emails(uow.connection, (key for key in keys if key is not None))
        for index, report in enumerate(reports):
            email = emails.get(ids.decode_key("Email", report.email_id) or 0)
            await _one(uow, viewer, report, email, ("events", str(index)), errors, outcome)
    outcome.problems = errors.problems
    return outcome


async def _one(
    uow: UnitOfWork,
    viewer: Viewer,
    report: NewReport,
    email: Row | None,
    path: tuple[str, ...],
    errors: ErrorCollector,
    outcome: Outcome,
) -> None:
    before = len(errors.problems)
    key = errors.line(report.dedupe_key, (*path, "dedupeKey"), "A dedupeKey", MAX_DEDUPE_KEY_CHARACTERS)
    message = errors.text(report.message, (*path, "message"), "A message", 10_000)
    if email is None or not viewer.sees_mail_of(email["team_id"], email["sender_id"]):
        errors.add(UserErrorCode.NOT_FOUND, (*path, "emailId"), "There is no such email.")
    if report.occurred_at > uow.now + MAX_AHEAD_MICROS:
        errors.add(UserErrorCode.INVALID, (*path, "occurredAt"), "An event may lie at most 5 minutes in the future.")
    if email is None or len(errors.problems) > before:
        return
    # What is being handed over may come back before we have written down that it left.
    in_hand = email["status"] == EmailStatus.IN_PROGRESS and email["claimed_at"] is not None
    if in_hand or email["status"] in (EmailStatus.SENT, EmailStatus.BOUNCED, EmailStatus.SPAM):
        if await _record(uow, email, report, key, message, in_hand):
            outcome.recorded += 1
        else:
            outcome.duplicates += 1
    elif await uow.connection.fetch_one(
        "SELECT id FROM delivery_reports WHERE team_id = ? AND dedupe_key = ?", email["team_id"], key
    ):
        outcome.duplicates += 1
    else:
        errors.add(UserErrorCode.WRONG_STATE, (*path, "emailId"), "Only an email that was sent can come back.")


async def _record(uow: UnitOfWork, email: Row, report: NewReport, key: str, message: str, in_hand: bool) -> bool:
    """Whether the report was new."""
    at = min(report.occurred_at, uow.now)
    new = await uow.connection.fetch_one(
        "INSERT INTO delivery_reports (team_id, email_id, kind, message, occurred_at, recorded_at, dedupe_key,"
        " applied) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (team_id, dedupe_key) DO NOTHING RETURNING id",
        *(email["team_id"], email["id"], int(report.kind), message, at, uow.now, key, not in_hand),
    )
    if new is None:
        return False
    # A second report about mail that has come back already is kept, and changes nothing.
    if email["status"] == EmailStatus.SENT:
        await _come_back(uow, email, report.kind, message, at)
    return True


async def _come_back(uow: UnitOfWork, email: Row, kind: DeliveryKind, message: str, at: int) -> None:
    status, code, sentence = _BECOMES[kind]
    await transitions.change(uow, [email], transitions.failure(code, message or sentence, at, status))


async def apply_early(uow: UnitOfWork, sent: Mapping[int, Row]) -> None:
    """Carries out reports that came while their emails, by now SENT, were being handed over."""
    tx = uow.connection
    reports = await tx.fetch(
        f"UPDATE delivery_reports SET applied = TRUE WHERE {tx.in_any('email_id')} AND NOT applied"
        " RETURNING id, email_id, kind, message, occurred_at",
        tx.array_param(sent),
    )
    for report in sorted(reports, key=lambda report: (report["occurred_at"], report["id"])):
        email = sent[report["email_id"]]
        if email["status"] == EmailStatus.SENT:
            await _come_back(uow, email, DeliveryKind(report["kind"]), report["message"], report["occurred_at"])


async def forget_early(uow: UnitOfWork, email_ids: Iterable[int]) -> None:
    """What came back of an earlier sending, whose outcome nobody knows, says nothing of the next one."""
    tx = uow.connection
    await tx.execute(
        f"UPDATE delivery_reports SET applied = TRUE WHERE {tx.in_any('email_id')} AND NOT applied",
        tx.array_param(email_ids),
    )
