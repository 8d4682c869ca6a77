"""Counts due emails by sender, to show what leaves when sending is resumed."""

from dataclasses import dataclass

from command_center.database.connections import Connection
from models.enums import EmailStatus

_DUE = (
    "SELECT t.name AS team, u.address AS sender, count(*) AS count, min(e.due_at) AS oldest, max(e.due_at) AS newest"
    " FROM emails e JOIN users u ON u.id = e.sender_id JOIN teams t ON t.id = e.team_id"
    f" WHERE e.status IN ({int(EmailStatus.SCHEDULED)}, {int(EmailStatus.IN_PROGRESS)})"
    " AND e.due_at > 0 AND e.due_at <= ? AND e.claimed_at IS NULL"
    " GROUP BY t.name, u.address ORDER BY t.name, u.address"
)


@dataclass(frozen=True, slots=True)
class DueMail:
    """Holds the number of one sender's due emails.

    `oldest` and `newest` are the earliest and the latest due time, in microseconds.
    """

    team: str
    sender: str
    count: int
    oldest: int
    newest: int


async def due_mail(connection: Connection, now: int) -> list[DueMail]:
    """Return the due emails by team and sender."""
    return [DueMail(**row) for row in await connection.fetch(_DUE, now)]
