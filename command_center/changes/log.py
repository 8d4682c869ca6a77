"""Appends to, reads and trims the change logs in the database.

Positions are gapless within a team. The row of the team's counter stays locked until the commit, so the order of
positions is the order of commits. A reader that has read up to a position never sees an earlier one appear.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from command_center.changes.cursors import Cursor, LogIdentity, ReceivedCursor
from command_center.changes.entries import COLUMN_TYPES, COLUMNS, LogEntry, Topic, from_row
from command_center.database.connections import Connection, RowValues, Statement, as_ctes, database
from command_center.database.sql_files import read_sql

PAGE_ENTRIES = 500
"""The number of entries that a read returns at most, unless its caller passes another limit."""
TRIM_BATCH_ENTRIES = 2000
"""The number of entries that one call of `trim` deletes at most."""
STATE_COLUMNS = "l.log_id, l.position, l.trimmed_to, l.check_value, l.trimmed_check, r.restores, r.cursor_key"
STATE_TABLES = "change_logs l LEFT JOIN restore_state r ON r.id = 1"
APPEND_CTES = read_sql("command_center.changes", "append_entries.sql")
"""PostgreSQL CTEs that append the rows of the CTE `new_entries` to the logs. The last one is `appended_entries`."""


@dataclass(frozen=True, slots=True)
class LogState:
    """The id of a team's change log, its last entry, and the last entry trimmed.

    The check values of these two entries are stored in the log's own row. A cursor at either of them can therefore be
    checked although no such entry is left.
    """

    log_id: str
    position: int
    trimmed_to: int
    check_value: int = 0
    trimmed_check: int = 0
    restores: int | None = 0
    cursor_key: str | None = ""

    @property
    def identity(self) -> LogIdentity:
        """The id, number of restores and signing key that the log's cursors use.

        The key is empty if the database was never served.
        """
        return LogIdentity(self.log_id, self.restores or 0, self.cursor_key or "")

    def cursor(self) -> Cursor:
        """Return the cursor of the last entry."""
        return Cursor(self.identity, self.position, self.check_value)


class Diverged(Exception):
    """The log lacks an entry that it had before.

    The database was replaced, for example by a restore.
    """


class Reach(Enum):
    """Whether a log can be read from a cursor on."""

    REACHED = "everything after the cursor can be read"
    TRIMMED = "entries after the cursor were trimmed"
    DIVERGED = "the log does not have the entry at the cursor: another log, or another history of this one"


async def create(connection: Connection, team_id: int) -> None:
    """Create a team's log, with a random id."""
    await connection.execute(
        "INSERT INTO change_logs (team_id, log_id, position, trimmed_to) VALUES (?, ?, 0, 0)",
        team_id,
        secrets.token_hex(8),
    )


async def load_state(team_id: int) -> LogState:
    """Return the committed state of a team's log.

    Raises: LookupError if the team has none.
    """
    row = await database().fetch_one(f"SELECT {STATE_COLUMNS} FROM {STATE_TABLES} WHERE l.team_id = ?", team_id)
    if row is None:
        raise LookupError(f"team {team_id} has no change log")
    return LogState(**row)


async def locate(team_id: int, cursor: Cursor | ReceivedCursor) -> tuple[LogState, Reach]:
    """Return the committed state of a team's log, and how a cursor relates to it.

    Both come from one lookup by primary keys. Raises: LookupError if the team has no log.
    """
    row = await database().fetch_one(
        f"SELECT {STATE_COLUMNS}, (SELECT c.check_value FROM changes c WHERE c.team_id = l.team_id AND c.position = ?)"
        f" AS entry_check FROM {STATE_TABLES} WHERE l.team_id = ?",
        *(cursor.position, team_id),
    )
    if row is None:
        raise LookupError(f"team {team_id} has no change log")
    entry_check = row.pop("entry_check")
    state = LogState(**row)
    if cursor.position == state.position:
        entry_check = state.check_value
    elif cursor.position == state.trimmed_to:
        entry_check = state.trimmed_check
    if cursor.log_id != state.log_id:
        return state, Reach.DIVERGED
    if cursor.position < state.trimmed_to:
        return state, Reach.TRIMMED
    same = entry_check is not None and entry_check == cursor.check_value
    return state, Reach.REACHED if same else Reach.DIVERGED


def create_check_value() -> int:
    """Return a check value for the entries of one transaction: 63 random bits."""
    return secrets.randbits(63)


async def append(
    connection: Connection, entries: Iterable[LogEntry], at: int, other_statements: Sequence[Statement] = ()
) -> list[LogEntry]:
    """Insert entries into their teams' logs, and return them with their positions.

    The entries of a team keep their order, and `at` is their time in microseconds. Call it last in a transaction.

    `other_statements` are executed together with the inserts (see `Connection.execute_batch`).
    """
    written: list[LogEntry] = []
    ordered = sorted(entries, key=lambda entry: entry.team_id)
    check = create_check_value() if ordered else 0
    for team_id, group in groupby(ordered, key=lambda entry: entry.team_id):
        group_entries = list(group)
        # Positions relative to the last entry, whose absolute position is known once the counter has been updated.
        last = len(group_entries)
        relative_rows = [(*entry[:-3], index - last, at, check) for index, entry in enumerate(group_entries, 1)]
        written += await _write(connection, team_id, relative_rows, other_statements)
        other_statements = ()
    await connection.execute_batch(other_statements)
    return written


async def _write(
    connection: Connection, team_id: int, relative_rows: Sequence[RowValues], other_statements: Sequence[Statement]
) -> list[LogEntry]:
    """Advance a team's counter of positions and insert the rows of its entries.

    The positions in the rows are relative to that of the last entry. Return the entries with absolute positions.
    """
    advance = "UPDATE change_logs SET position = position + ?, check_value = ? WHERE team_id = ? RETURNING position"
    check = relative_rows[-1][-1]
    if connection.postgres:
        # One statement: a round trip takes longer than all of its work.
        names = ", ".join(
            "advanced_log.position + new_values.position" if name == "position" else f"new_values.{name}"
            for name in COLUMN_TYPES
        )
        source, source_values = connection.values_table(COLUMN_TYPES, relative_rows)
        insert = f"INSERT INTO changes ({COLUMNS}) SELECT {names} FROM advanced_log, {source}"
        parts, values = as_ctes([(insert, source_values), *other_statements])
        advanced_log = await connection.fetch_one(
            f"WITH advanced_log AS ({advance}), {parts} SELECT position FROM advanced_log",
            *(len(relative_rows), check, team_id, *values),
        )
    else:
        await connection.execute_batch(other_statements)
        advanced_log = await connection.fetch_one(advance, len(relative_rows), check, team_id)
    if advanced_log is None:
        raise LookupError(f"team {team_id} has no change log")
    last: int = advanced_log["position"]
    written = [(*entry[:-3], last + entry[-3], *entry[-2:]) for entry in relative_rows]
    if not connection.postgres:
        await connection.insert("changes", COLUMN_TYPES, written)
    return list(map(LogEntry._make, written))


async def read_topic(topic: Topic, team_id: int, after: int, up_to: int, limit: int = PAGE_ENTRIES) -> list[LogEntry]:
    """Return entries of a topic with after < position <= up_to, oldest first."""
    column, key = ("owner_id", topic.owner_id) if topic.search_id is None else ("search_id", topic.search_id)
    db = database()
    rows = await db.fetch(
        f"SELECT {COLUMNS} FROM changes WHERE {column} = ? AND position > ? AND position <= ? AND team_id = ?"
        f" AND owner_id = ? AND {db.in_any('kind', 'smallint')} ORDER BY position LIMIT ?",
        key,
        after,
        up_to,
        team_id,
        topic.owner_id,
        db.array_param(topic.stream.value),
        limit,
    )
    return [from_row(row) for row in rows]


async def find_latest_entry(topic: Topic, team_id: int, up_to: int) -> LogEntry | None:
    """Return the newest entry of a topic with position <= up_to, or None.

    The topic must be that of a single list.
    """
    db = database()
    row = await db.fetch_one(
        f"SELECT {COLUMNS} FROM changes WHERE search_id = ? AND position <= ? AND team_id = ? AND owner_id = ?"
        f" AND {db.in_any('kind', 'smallint')} ORDER BY position DESC LIMIT 1",
        *(topic.search_id, up_to, team_id, topic.owner_id, db.array_param(topic.stream.value)),
    )
    return None if row is None else from_row(row)


async def read_team(team_id: int, after: int, limit: int = PAGE_ENTRIES) -> list[LogEntry]:
    """Return a team's entries after a position, oldest first."""
    rows = await database().fetch(
        f"SELECT {COLUMNS} FROM changes WHERE team_id = ? AND position > ? ORDER BY position LIMIT ?",
        team_id,
        after,
        limit,
    )
    return [from_row(row) for row in rows]


async def read_after(team_id: int, cursor: Cursor) -> list[LogEntry]:
    """Return a team's entries after a cursor, oldest first.

    Raises: Diverged if the log does not have the entry at the cursor.
    """
    entries = await read_team(team_id, cursor.position - 1, PAGE_ENTRIES + 1)
    if entries and entries[0].position == cursor.position:
        if entries[0].check_value != cursor.check_value:
            raise Diverged("the change log was replaced")
        return entries[1:]
    # The entry at the cursor was trimmed, or the cursor is that of an empty log.
    if (await locate(team_id, cursor))[1] is Reach.DIVERGED:
        raise Diverged("the change log was replaced")
    return entries


async def has_entry(connection: Connection, team_id: int, position: int, check_value: int) -> bool:
    """Return whether a team's log has the entry with a position and a check value.

    If the log has trimmed that position, the result is True.
    """
    row = await connection.fetch_one(
        "SELECT l.trimmed_to, (SELECT c.check_value FROM changes c WHERE c.team_id = l.team_id AND c.position = ?)"
        " AS entry_check FROM change_logs l WHERE l.team_id = ?",
        *(position, team_id),
    )
    return row is not None and (position <= row["trimmed_to"] or row["entry_check"] == check_value)


async def find_stale_teams(before: int) -> list[int]:
    """Return the ids of the teams whose logs contain entries older than `before`.

    `before` is in microseconds. Only the oldest entry of each log is checked.
    """
    return await database().fetch_ids(
        "SELECT team_id FROM change_logs l WHERE"
        " (SELECT c.at FROM changes c WHERE c.team_id = l.team_id ORDER BY c.position LIMIT 1) < ? ORDER BY team_id",
        before,
    )


async def trim(connection: Connection, team_id: int, before: int, limit: int = TRIM_BATCH_ENTRIES) -> int:
    """Delete a team's oldest log entries, and return their number.

    They are at most `limit` entries, all older than `before`, a time in microseconds.

    Cursors before the last deleted entry expire.
    """
    row = await connection.fetch_one(
        "SELECT MAX(position) AS position FROM (SELECT position, at FROM changes WHERE team_id = ?"
        " ORDER BY position LIMIT ?) AS oldest WHERE at < ?",
        *(team_id, limit, before),
    )
    if row is None or row["position"] is None:
        return 0
    await connection.execute(
        "UPDATE change_logs SET trimmed_to = ?, trimmed_check ="
        " (SELECT check_value FROM changes WHERE team_id = ? AND position = ?) WHERE team_id = ? AND trimmed_to < ?",
        *(row["position"], team_id, row["position"], team_id, row["position"]),
    )
    return await connection.execute("DELETE FROM changes WHERE team_id = ? AND position <= ?", team_id, row["position"])
