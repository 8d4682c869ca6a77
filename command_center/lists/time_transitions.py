"""Invalidates emails that may join or leave a list only because time has passed.

For each date and span in use, one indexed range query finds the emails that have just crossed the boundary. The cost
depends on how many cross it, not on how many exist. The invalidations and the new time are written in one
transaction, so a crash loses nothing and repeats nothing.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Connection, Statement, run_indexed_reads
from command_center.lists.fencing import FencedWriter
from command_center.search.index.time_boundaries import TimeKey, crossed_range
from models.enums import ChangeCauseKind, InvalidationKind

MAX_KEYS_PER_QUERY = 100
"""Time keys that one UNION query covers."""
STORE_INTERVAL_MICROSECONDS = 10_000_000
"""Microseconds after which the time is stored even if no email crossed a boundary."""


class StoredTimes(NamedTuple):
    """How far the matcher has followed the clock, in microseconds.

    Emails that crossed a boundary up to `transitions_until` have been invalidated. No email was evaluated for a moment
    later than `evaluated_until`. The next tick invalidates the emails that cross a boundary in between, so the audit
    leaves them out.
    """

    transitions_until: int
    evaluated_until: int

    def later(self, transitions_until: int, evaluated_until: int) -> "StoredTimes":
        """Return the later of each stored time and the given one."""
        return StoredTimes(max(self.transitions_until, transitions_until), max(self.evaluated_until, evaluated_until))


async def load_stored_times(connection: Connection, now: int) -> StoredTimes:
    """Return the stored times, or `now` if none are stored."""
    row = await connection.fetch_one("SELECT transitions_until, evaluated_until FROM matcher_state WHERE id = 1")
    if row is None:
        return StoredTimes(now, now)
    return StoredTimes(row["transitions_until"], max(row["transitions_until"], row["evaluated_until"] or 0))


def store_times_statement(times: StoredTimes) -> Statement:
    """Return the statement that stores how far the matcher has followed the clock.

    A stored time that is later stays.

    It belongs in the transaction that writes the changes.
    """
    # PostgreSQL has greatest() and SQLite max(); CASE works on both.
    store = (
        "INSERT INTO matcher_state AS s (id, transitions_until, evaluated_until) VALUES (1, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET transitions_until = CASE WHEN s.transitions_until > excluded.transitions_until"
        " THEN s.transitions_until ELSE excluded.transitions_until END,"
        " evaluated_until = CASE WHEN s.evaluated_until > excluded.evaluated_until"
        " THEN s.evaluated_until ELSE excluded.evaluated_until END"
    )
    return store, times


async def tick(
    writer: FencedWriter, keys: Iterable[TimeKey], previous: int, stored: StoredTimes, now: int
) -> StoredTimes:
    """Invalidate every email that crossed a time boundary since the last tick.

    It crossed the boundary after `previous`, the time of that tick, and up to `now`. Both are in microseconds. Return
    the times that are stored afterwards.
    """
    time_keys = list(keys)
    crossed = await run_indexed_reads(partial(find_crossed_emails, time_keys, previous, now)) if time_keys else []
    if not crossed and now - stored.transitions_until < STORE_INTERVAL_MICROSECONDS:
        return stored
    times = stored.later(now, now)

    async def invalidate(uow: UnitOfWork) -> None:
        for team_id, email_id in crossed:
            uow.invalidate(InvalidationKind.EMAIL, team_id, email_id, ChangeCauseKind.CLOCK)
        uow.defer(*store_times_statement(times))

    await writer.run_in_transaction(invalidate)
    return times


async def find_crossed_emails(
    keys: Sequence[TimeKey], previous: int, now: int, connection: Connection
) -> list[tuple[int, int]]:
    """Return the (team id, email id) of every email that crossed a time boundary.

    It crossed the boundary after `previous` and up to `now`, both in microseconds.
    """
    crossed: set[tuple[int, int]] = set()
    for start in range(0, len(keys), MAX_KEYS_PER_QUERY):
        selects: list[str] = []
        values: list[int] = []
        for key in keys[start : start + MAX_KEYS_PER_QUERY]:
            selects.append(_build_select(key))
            values += crossed_range(key, previous, now)
        rows = await connection.fetch_tuples(("team_id", "email_id"), " UNION ".join(selects), *values)
        crossed.update((team_id, email_id) for team_id, email_id in rows)
    return sorted(crossed)


def _build_select(key: TimeKey) -> str:
    """Return a SELECT of the emails that crossed a time boundary.

    Its two parameters are the first and the last date of those that crossed it.
    """
    if key.source == "occurred_at":
        return "SELECT team_id, email_id FROM engagements WHERE occurred_at BETWEEN ? AND ?"
    return f"SELECT team_id, id AS email_id FROM emails WHERE {key.source} BETWEEN ? AND ?"
