"""The clock as one more source of marks: the emails whose verdict time alone may have changed since the last look.

For each date and span in use one indexed range finds what has just crossed the boundary; the cost follows what
crosses, not what stands. The marks and the new moment are one transaction, so a crash repeats and forgets nothing.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Connection, Statement, run_indexed_reads
from command_center.lists.fencing import FencedWriter
from command_center.search.index.time_boundaries import TimeKey, crossed_range
from models.enums import ChangeCauseKind, InvalidationKind

KEYS = 100
STORED_EVERY = 10_000_000
"""Microseconds between two moments that are stored though nothing crossed."""


class StoredTimes(NamedTuple):
    """How far the clock was followed: the boundaries that emails crossed up to `ticked_at` are known, and no membership
    was decided for a moment later than `decided_until`.

    Emails that cross a boundary in between are looked at again by the next tick, so the audit leaves them out.
    """

    ticked_at: int
    decided_until: int

    def later(self, ticked_at: int, decided_until: int) -> "StoredTimes":
        return StoredTimes(max(self.ticked_at, ticked_at), max(self.decided_until, decided_until))


async def stored_times(connection: Connection, now: int) -> StoredTimes:
    """What is stored; now if nothing is."""
    row = await connection.fetch_one("SELECT ticked_at, decided_until FROM ticks WHERE id = 1")
    if row is None:
        return StoredTimes(now, now)
    return StoredTimes(row["ticked_at"], max(row["ticked_at"], row["decided_until"] or 0))


def storing(times: StoredTimes) -> Statement:
    """Stores the times, in the transaction of what was decided. Those that are stored stay if they are later."""
    store = (
        "INSERT INTO ticks (id, ticked_at, decided_until) VALUES (1, ?, ?) ON CONFLICT (id)"
        " DO UPDATE SET ticked_at = CASE WHEN ticks.ticked_at > excluded.ticked_at THEN ticks.ticked_at"
        " ELSE excluded.ticked_at END, decided_until = CASE WHEN ticks.decided_until > excluded.decided_until"
        " THEN ticks.decided_until ELSE excluded.decided_until END"
    )
    return store, times


async def tick(
    writer: FencedWriter, keys: Iterable[TimeKey], previous: int, stored: StoredTimes, now: int
) -> StoredTimes:
    """Marks every email that crossed a boundary after `previous` and up to `now`. Returns what is stored then."""
    listed = list(keys)
    crossed = await run_indexed_reads(partial(crossed_emails, listed, previous, now)) if listed else []
    if not crossed and now - stored.ticked_at < STORED_EVERY:
        return stored
    times = stored.later(now, now)

    async def mark(uow: UnitOfWork) -> None:
        for team_id, email_id in crossed:
            uow.invalidate(InvalidationKind.EMAIL, team_id, email_id, ChangeCauseKind.CLOCK)
        uow.defer(*storing(times))

    await writer.run_in_transaction(mark)
    return times


async def crossed_emails(
    keys: Sequence[TimeKey], previous: int, now: int, connection: Connection
) -> list[tuple[int, int]]:
    """The emails that crossed a boundary after `previous` and up to `now`, each as its team and itself."""
    found: set[tuple[int, int]] = set()
    for start in range(0, len(keys), KEYS):
        parts: list[str] = []
        values: list[int] = []
        for key in keys[start : start + KEYS]:
            parts.append(_statement(key))
            values += crossed_range(key, previous, now)
        rows = await connection.fetch_tuples(("team_id", "email_id"), " UNION ".join(parts), *values)
        found.update((team_id, email_id) for team_id, email_id in rows)
    return sorted(found)


def _statement(key: TimeKey) -> str:
    if key.source == "occurred_at":
        return "SELECT team_id, email_id FROM engagements WHERE occurred_at BETWEEN ? AND ?"
    return f"SELECT team_id, id AS email_id FROM emails WHERE {key.source} BETWEEN ? AND ?"
