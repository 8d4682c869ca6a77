"""Counts outcomes of this process and waiting emails, for operators."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from command_center.database.connections import Connection
from command_center.mail.outcomes import RecordedOutcome
from command_center.mail.retries import MINUTE_MICROSECONDS, WAIT_MINUTES
from command_center.mail.transport import Delivered
from models.enums import EmailStatus, FailureCode

# A retry is due within the longest wait, so the index on `due_at` finds all emails that wait for one.
_WAITING = (
    "SELECT count(*) AS number, min(coalesce(first_attempt_at, due_at)) AS oldest FROM emails"
    f" WHERE status IN ({int(EmailStatus.SCHEDULED)}, {int(EmailStatus.IN_PROGRESS)})"
    " AND due_at <= ? AND (due_at <= ? OR first_attempt_at IS NOT NULL)"
)


@dataclass(slots=True)
class MailStatistics:
    """Counts the outcomes recorded since this process started."""

    sent: int = 0
    deferred: int = 0
    failed: Counter[FailureCode] = field(default_factory=Counter)

    def count(self, recorded: Iterable[RecordedOutcome]) -> None:
        """Count the outcomes of hand-overs.

        A released claim has no outcome and is not counted.
        """
        for each in recorded:
            if each.failure is not None:
                self.failed[each.failure] += 1
            elif isinstance(each.outcome, Delivered):
                self.sent += 1
            elif each.outcome is not None:
                self.deferred += 1


async def count_waiting(connection: Connection, now: int) -> tuple[int, float]:
    """Return the number of due emails that are not sent, and the age of the oldest.

    The age is the number of seconds since the email became due. A deferred email counts as due since its first attempt.
    `now` is in microseconds.
    """
    row = await connection.fetch_one(_WAITING, now + WAIT_MINUTES[-1] * MINUTE_MICROSECONDS, now)
    if row is None or not row["number"]:
        return 0, 0.0
    return int(row["number"]), max((now - int(row["oldest"])) / 1_000_000, 0.0)
