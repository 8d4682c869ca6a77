"""The clock as one more source of marks: the emails whose verdict time alone may have changed since the last look.

For each date and span in use one indexed range finds what has just crossed the boundary; the cost follows what
crosses, not what stands. The marks and the new moment are one transaction, so a crash repeats and forgets nothing.
"""

from collections.abc import Iterable
from functools import partial

from changes.deeds import Deed
from lists.fencing import FencedWriter
from models.database import Connection, Statement, read_by_key
from models.enums import ChangeCauseKind, MarkKind
from search.clock import TimeKey, crossed_range

KEYS = 100
STORED_EVERY = 10_000_000
"""Microseconds between two moments that are stored though nothing crossed."""


async def last(connection: Connection, now: int) -> int:
    """The moment of the last look; now where there never was one."""
    row = await connection.row("SELECT ticked_at FROM ticks WHERE id = 1")
    return now if row is None else int(row["ticked_at"])


def storing(now: int) -> Statement:
    """Remembers the moment of a look, in the transaction of what it found: that is what the audit goes by."""
    store = (
        "INSERT INTO ticks (id, ticked_at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET ticked_at = excluded.ticked_at"
        " WHERE ticks.ticked_at < excluded.ticked_at"
    )
    return store, (now,)


async def tick(writer: FencedWriter, keys: Iterable[TimeKey], previous: int, stored: int, now: int) -> bool:
    """Marks every email that crossed a boundary after `previous` and up to `now`. Whether the moment was stored."""
    listed = list(keys)
    crossed = await read_by_key(partial(_crossed, listed, previous, now)) if listed else []
    if not crossed and now - stored < STORED_EVERY:
        return False

    async def mark(deed: Deed) -> None:
        for team_id, email_id in crossed:
            deed.mark(MarkKind.EMAIL, team_id, email_id, ChangeCauseKind.CLOCK)
        deed.close_with(*storing(now))

    await writer.at_once(mark)
    return True


async def _crossed(keys: list[TimeKey], previous: int, now: int, connection: Connection) -> list[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for start in range(0, len(keys), KEYS):
        parts: list[str] = []
        values: list[int] = []
        for key in keys[start : start + KEYS]:
            parts.append(_statement(key))
            values += crossed_range(key, previous, now)
        rows = await connection.tuples(("team_id", "email_id"), " UNION ".join(parts), *values)
        found.update((team_id, email_id) for team_id, email_id in rows)
    return sorted(found)


def _statement(key: TimeKey) -> str:
    if key.source == "occurred_at":
        return "SELECT team_id, email_id FROM engagements WHERE occurred_at BETWEEN ? AND ?"
    return f"SELECT team_id, id AS email_id FROM emails WHERE {key.source} BETWEEN ? AND ?"
