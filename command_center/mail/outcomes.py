"""What an outcome makes of an email, and the one transaction in which outcomes are written down."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from command_center.actions import deliveries, transitions, verdict_revisions
from command_center.actions.context import ActionContext
from command_center.mail import claims, retries
from command_center.mail.claims import ClaimedEmail
from command_center.mail.smtp_replies import readable
from command_center.mail.transport import Bounced, Deferred, Delivered, Failed, Outcome, Unknown
from models.enums import EmailStatus, FailureCode

Result = tuple[ClaimedEmail, Outcome | None]
"""What became of a claim; None where it was not begun."""
_ROWS = "SELECT id, team_id, sender_id, status, archived, claimed_at FROM emails WHERE "


class Recorded(NamedTuple):
    """An outcome that was written down, and the code if the email failed by it."""

    claim: ClaimedEmail
    outcome: Outcome | None
    failure: FailureCode | None


async def write_down(ctx: ActionContext, results: Sequence[Result]) -> list[Recorded]:
    """Records outcomes and returns them, except those of emails given up meanwhile: these stay OUTCOME_UNKNOWN."""
    recorded: list[Recorded] = []
    if not results:
        return recorded
    async with ctx.writer.unit_of_work() as uow:
        tx = uow.connection
        keys = tx.array_param(claim.email_id for claim, _ in results)
        rows = {
            row["id"]: row
            for row in await tx.fetch(_ROWS + tx.in_any("id") + " ORDER BY id" + tx.for_update("NO KEY UPDATE"), keys)
        }
        held = [each for each in results if rows.get(each[0].email_id, {}).get("claimed_at") == each[0].claimed_at]
        # Nearly all of a batch is delivered, and delivered mail is all alike.
        delivered = [rows[claim.email_id] for claim, outcome in held if isinstance(outcome, Delivered)]
        await transitions.change(uow, delivered, sent(uow.now))
        await verdict_revisions.by_delivery(uow, {row["id"]: uow.now for row in delivered})
        await deliveries.apply_early(uow, {row["id"]: row for row in delivered})
        for claim, outcome in held:
            failure = None
            if outcome is None:
                back = given_back(claim, uow.now)
                await transitions.change(uow, [rows[claim.email_id]], back, edited=False, marked=False)
            elif not isinstance(outcome, Delivered):
                values = undelivered(claim, outcome, uow.now)
                failure = values.get("failure_code")
                await transitions.change(uow, [rows[claim.email_id]], values)
            recorded.append(Recorded(claim, outcome, failure))
    return recorded


def sent(now: int) -> Mapping[str, Any]:
    return {"status": EmailStatus.SENT, "sent_at": now, **transitions.NO_FAILURE, **transitions.IDLE}


def undelivered(claim: ClaimedEmail, outcome: Bounced | Failed | Deferred | Unknown, now: int) -> Mapping[str, Any]:
    """The columns of an email that did not get through, now or for good."""
    message = readable(outcome.message)
    match outcome:
        case Bounced():
            return transitions.failure(FailureCode.BOUNCED, message, now, EmailStatus.BOUNCED)
        case Failed(code, _):
            return transitions.failure(code, message, now)
        case Deferred(_, code):
            again = retries.next_attempt(claim.attempts, claim.first_attempt_at, now)
            if again is None:
                return transitions.failure(code, f"Put off for a day: {message}", now)
            return claims.put_off(again)
        case Unknown():
            return transitions.failure(FailureCode.OUTCOME_UNKNOWN, message, now)


def given_back(claim: ClaimedEmail, now: int) -> Mapping[str, Any]:
    """The columns of an email that was claimed and not begun: due again at once, as if nothing had been."""
    first = claim.first_attempt_at if claim.attempts > 1 else None
    return {"due_at": now, "claimed_at": None, "attempts": claim.attempts - 1, "first_attempt_at": first}
