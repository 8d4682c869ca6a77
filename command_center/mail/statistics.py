"""Counts for operators: what became of the emails of this process, and how many wait for the mail server."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from command_center.database.connections import Connection
from command_center.mail.outcomes import Recorded
from command_center.mail.retries import MINUTE, WAITS
from command_center.mail.transport import Delivered
from models.enums import EmailStatus, FailureCode

# An attempt is repeated within the longest wait, so the index by `due_at` finds all that wait for one.
_WAITING = (
    "SELECT count(*) AS number, min(coalesce(first_attempt_at, due_at)) AS oldest FROM emails"
    f" WHERE status IN ({int(EmailStatus.SCHEDULED)}, {int(EmailStatus.IN_PROGRESS)})"
    " AND due_at <= ? AND (due_at <= ? OR first_attempt_at IS NOT NULL)"
)


@dataclass(slots=True)
class MailStatistics:
    """What was recorded since this process began."""

    sent: int = 0
    put_off: int = 0
    failed: Counter[FailureCode] = field(default_factory=Counter)

    def count(self, recorded: Iterable[Recorded]) -> None:
        """Adds outcomes. A hand-over that did not begin has none."""
        for each in recorded:
            if each.failure is not None:
                self.failed[each.failure] += 1
            elif isinstance(each.outcome, Delivered):
                self.sent += 1
            elif each.outcome is not None:
                self.put_off += 1


async def waiting(connection: Connection, now: int) -> tuple[int, float]:
    """How many emails are due and have not left, and for how many seconds the oldest has been.

    Emails that an attempt put off are due since their first attempt.
    """
    row = await connection.fetch_one(_WAITING, now + WAITS[-1] * MINUTE, now)
    if row is None or not row["number"]:
        return 0, 0.0
    return int(row["number"]), max((now - int(row["oldest"])) / 1_000_000, 0.0)
