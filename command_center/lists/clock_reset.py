"""Repairs the database after the clock was wrong.

Stored times that lie in the future become the present time. Times that a user chose, or that may lie in the future,
stay. Every list is evaluated again, because its members were decided for the wrong moment.
"""

from collections.abc import Iterator

from tortoise.models import Model

from command_center.database import clock_state
from command_center.database.connections import Connection
from command_center.database.fields import MomentField
from command_center.lists.fencing import take_lease
from models import tables
from models.enums import ChangeCauseKind, EmailStatus, InvalidationKind

FUTURE_COLUMNS = frozenset({"scheduled_at", "due_at"})
"""Columns whose times may lie in the future."""
_RESET_IMMEDIATE = f"UPDATE emails SET due_at = ? WHERE due_at > ? AND status = {int(EmailStatus.IN_PROGRESS)}"
"""Corrects the due time of emails that were to be sent immediately, by the wrong clock."""
_RESET_RETRIES = (
    "UPDATE emails SET due_at = ?, scheduled_at = ? WHERE due_at > ? AND first_attempt_at > ?"
    f" AND status = {int(EmailStatus.SCHEDULED)}"
)
"""Corrects the due time of retries: the product chose it, by the wrong clock."""
_INVALIDATE_ALL = (
    "INSERT INTO invalidations (team_id, kind, subject_id, cause, progress) SELECT team_id,"
    f" {int(InvalidationKind.SEARCH)}, id, {int(ChangeCauseKind.CLOCK)}, 0 FROM saved_searches"
)
"""Queues an invalidation of every saved search."""


async def reset_future_times(tx: Connection, now: int, decision: int) -> dict[str, int]:
    """Replace stored times after `now` by `now`, and invalidate every list.

    `now` is in microseconds, and `decision` is the number of the last decision on the clock. Return the number of
    corrected rows by column.
    """
    corrected: dict[str, int] = {}
    # Take the lease, because a matcher that still runs would store its wrong time again.
    await take_lease(tx)
    # These come before the columns: `first_attempt_at` identifies the attempts made by the wrong clock.
    for sql in (_RESET_IMMEDIATE, _RESET_RETRIES):
        if count := await tx.execute(sql, *[now] * sql.count("?")):
            corrected["emails.due_at"] = corrected.get("emails.due_at", 0) + count
    for table, column in _find_time_columns():
        count = await tx.execute(f"UPDATE {table} SET {column} = ? WHERE {column} > ?", now, now)
        if count:
            corrected[f"{table}.{column}"] = count
    await tx.execute(_INVALIDATE_ALL)
    await clock_state.store_acceptance(tx, now, decision)
    return corrected


def _find_time_columns() -> Iterator[tuple[str, str]]:
    """Yield (table, column) of every stored time that must not lie in the future."""
    for name in sorted(tables.__all__):
        model: type[Model] = getattr(tables, name)
        for column, field in sorted(model._meta.fields_map.items()):
            if isinstance(field, MomentField) and column not in FUTURE_COLUMNS:
                yield model._meta.db_table, column
