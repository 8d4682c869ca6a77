"""Records the outcomes of hand-overs.

What each changes in its email is written in one transaction.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

from command_center.actions import deliveries, transitions, verdict_revisions
from command_center.actions.context import ActionContext
from command_center.actions.email_rows import EmailState
from command_center.database.connections import ColumnValues
from command_center.mail import claims, retries
from command_center.mail.claims import ClaimedEmail
from command_center.mail.smtp_replies import make_readable
from command_center.mail.transport import Bounced, Deferred, Delivered, Failed, Outcome, Unknown
from models.enums import EmailStatus, FailureCode

HandOverResult = tuple[ClaimedEmail, Outcome | None]
"""This pairs a claim with the outcome of its hand-over. The outcome is None if the hand-over was not started."""
_ROWS = "SELECT id, team_id, sender_id, status, archived, claimed_at FROM emails WHERE "


class ClaimedState(EmailState):
    """The state of an email, and the time at which it was claimed."""

    claimed_at: int | None


class RecordedOutcome(NamedTuple):
    """Holds a recorded outcome, and the failure code if the email failed."""

    claim: ClaimedEmail
    outcome: Outcome | None
    failure: FailureCode | None


async def record_outcomes(ctx: ActionContext, results: Sequence[HandOverResult]) -> list[RecordedOutcome]:
    """Record outcomes and return the recorded ones.

    Emails whose claim was meanwhile given up as lost are left out. They stay OUTCOME_UNKNOWN.
    """
    recorded: list[RecordedOutcome] = []
    if not results:
        return recorded
    async with ctx.writer.unit_of_work() as uow:
        tx = uow.connection
        keys = tx.array_param(claim.email_id for claim, _ in results)
        locked = await tx.fetch(_ROWS + tx.in_any("id") + " ORDER BY id" + tx.for_update("NO KEY UPDATE"), keys)
        rows = {row["id"]: row for row in cast(list[ClaimedState], locked)}
        current = [each for each in results if _is_current(rows.get(each[0].email_id), each[0])]
        # Nearly the whole batch is delivered, and all delivered emails change in the same way.
        delivered = [rows[claim.email_id] for claim, outcome in current if isinstance(outcome, Delivered)]
        await transitions.update_emails(uow, delivered, sent_columns(uow.now))
        await verdict_revisions.revise_by_delivery(uow, {row["id"]: uow.now for row in delivered})
        await deliveries.apply_early_reports(uow, {row["id"]: row for row in delivered})
        for claim, outcome in current:
            failure = None
            if outcome is None:
                columns = released_columns(claim, uow.now)
                await transitions.update_emails(uow, [rows[claim.email_id]], columns, edited=False, invalidate=False)
            elif not isinstance(outcome, Delivered):
                values = undelivered_columns(claim, outcome, uow.now)
                code = values.get("failure_code")
                failure = code if isinstance(code, FailureCode) else None
                await transitions.update_emails(uow, [rows[claim.email_id]], values)
            recorded.append(RecordedOutcome(claim, outcome, failure))
    return recorded


def _is_current(row: ClaimedState | None, claim: ClaimedEmail) -> bool:
    """Return whether an email still has this claim."""
    return row is not None and row["claimed_at"] == claim.claimed_at


def sent_columns(now: int) -> ColumnValues:
    """Return the columns of an email that was sent at `now` (microseconds)."""
    return {"status": EmailStatus.SENT, "sent_at": now, **transitions.NO_FAILURE, **transitions.NOT_DUE}


def undelivered_columns(claim: ClaimedEmail, outcome: Bounced | Failed | Deferred | Unknown, now: int) -> ColumnValues:
    """Return the columns of an email after a hand-over that did not succeed.

    The email is due again later, or has failed. `now` is in microseconds.
    """
    message = make_readable(outcome.message)
    match outcome:
        case Bounced():
            return transitions.failure_columns(FailureCode.BOUNCED, message, now, EmailStatus.BOUNCED)
        case Failed(code, _):
            return transitions.failure_columns(code, message, now)
        case Deferred(_, code):
            next_attempt_at = retries.next_attempt(claim.attempts, claim.first_attempt_at, now)
            if next_attempt_at is None:
                return transitions.failure_columns(code, f"Put off for a day: {message}", now)
            return claims.postponed_columns(next_attempt_at)
        case Unknown():
            return transitions.failure_columns(FailureCode.OUTCOME_UNKNOWN, message, now)


def released_columns(claim: ClaimedEmail, now: int) -> ColumnValues:
    """Return the columns of an email whose claim is released without a hand-over.

    It is due at once, and the unused attempt does not count. `now` is in microseconds.
    """
    first = claim.first_attempt_at if claim.attempts > 1 else None
    return {"due_at": now, "claimed_at": None, "attempts": claim.attempts - 1, "first_attempt_at": first}
