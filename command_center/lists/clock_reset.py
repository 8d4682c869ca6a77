"""Leads back from a clock that was wrong: stored times that lie in the future become the present time.

Times that a user chose, or that are meant to lie in the future, stay. Every list is evaluated again, because membership
was decided by the wrong time.
"""

from collections.abc import Iterator

from tortoise.models import Model

from command_center.database import clock_state
from command_center.database.connections import Connection
from command_center.database.fields import MomentField
from command_center.lists.fencing import take_lease
from models import tables
from models.enums import ChangeCauseKind, EmailStatus, InvalidationKind

MEANT = frozenset({"scheduled_at", "due_at"})
"""Columns whose times may lie in the future."""
_AT_ONCE = f"UPDATE emails SET due_at = ? WHERE due_at > ? AND status = {int(EmailStatus.IN_PROGRESS)}"
"""What was to be sent at once, by the wrong clock."""
_ATTEMPTED = (
    "UPDATE emails SET due_at = ?, scheduled_at = ? WHERE due_at > ? AND first_attempt_at > ?"
    f" AND status = {int(EmailStatus.SCHEDULED)}"
)
"""What was to be tried again: the product chose that moment, by the wrong clock."""
_AGAIN = (
    "INSERT INTO marks (team_id, kind, subject_id, cause, progress) SELECT team_id,"
    f" {int(InvalidationKind.SEARCH)}, id, {int(ChangeCauseKind.CLOCK)}, 0 FROM saved_searches"
)


async def reset(tx: Connection, now: int, decision: int) -> dict[str, int]:
    """Corrects what is stored, in one transaction; returns the number of rows by column."""
    corrected: dict[str, int] = {}
    # A matcher that still runs would store its wrong time again.
    await take_lease(tx)
    # Before the columns, by which attempts of the wrong clock are recognised.
    for sql in (_AT_ONCE, _ATTEMPTED):
        if count := await tx.execute(sql, *[now] * sql.count("?")):
            corrected["emails.due_at"] = corrected.get("emails.due_at", 0) + count
    for table, column in _columns():
        count = await tx.execute(f"UPDATE {table} SET {column} = ? WHERE {column} > ?", now, now)
        if count:
            corrected[f"{table}.{column}"] = count
    await tx.execute(_AGAIN)
    await clock_state.accept(tx, now, decision)
    return corrected


def _columns() -> Iterator[tuple[str, str]]:
    for name in sorted(tables.__all__):
        model: type[Model] = getattr(tables, name)
        for column, field in sorted(model._meta.fields_map.items()):
            if isinstance(field, MomentField) and column not in MEANT:
                yield model._meta.db_table, column
