"""The change log on disk: append as the last act of a transaction, read after a place, trim by age.

Positions are gapless within a team. The counter's row is locked until the commit, so the order of positions is the
order of commits: who has read up to a position will never see an earlier one appear.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import Any

from command_center.changes.cursors import Cursor, LogIdentity, ReceivedCursor
from command_center.changes.entries import COLUMNS, TYPES, LogEntry, Topic, from_row
from command_center.database.connections import Connection, Statement, as_ctes, database

PAGE = 500
TRIM = 2000
STATE = "l.log_id, l.position, l.trimmed_to, l.check_value, l.trimmed_check, r.restores, r.cursor_key"
STATES = "change_logs l LEFT JOIN restore_state r ON r.id = 1"


@dataclass(frozen=True, slots=True)
class LogState:
    """The state of a log: its id, its last entry, and the last entry that was trimmed.

    The check values of these two entries are stored with the log, because asking for a place needs no entry then.
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
        """The log as its cursors name it. A database that was never served has no key yet."""
        return LogIdentity(self.log_id, self.restores or 0, self.cursor_key or "")

    def cursor(self) -> Cursor:
        """The cursor of the last entry."""
        return Cursor(self.identity, self.position, self.check_value)


class Diverged(Exception):
    """The log does not have an entry that it had before: the database was replaced by another one, as by a restore."""


class Reach(Enum):
    """What a log knows of a cursor."""

    REACHED = "everything after the cursor can be read"
    TRIMMED = "entries after the cursor were trimmed"
    DIVERGED = "the log does not have the entry at the cursor: another log, or another history of this one"


async def create(connection: Connection, team_id: int) -> None:
    """Begins a team's log under a new name."""
    await connection.execute(
        "INSERT INTO change_logs (team_id, log_id, position, trimmed_to) VALUES (?, ?, 0, 0)",
        team_id,
        secrets.token_hex(8),
    )


async def state(team_id: int) -> LogState:
    """The log as committed."""
    row = await database().fetch_one(f"SELECT {STATE} FROM {STATES} WHERE l.team_id = ?", team_id)
    if row is None:
        raise LookupError(f"team {team_id} has no change log")
    return LogState(**row)


async def locate(team_id: int, cursor: Cursor | ReceivedCursor) -> tuple[LogState, Reach]:
    """The log as committed, and what it knows of a cursor. One lookup by keys."""
    row = await database().fetch_one(
        f"SELECT {STATE}, (SELECT c.check_value FROM changes c WHERE c.team_id = l.team_id AND c.position = ?)"
        f" AS found FROM {STATES} WHERE l.team_id = ?",
        *(cursor.position, team_id),
    )
    if row is None:
        raise LookupError(f"team {team_id} has no change log")
    found = row.pop("found")
    state = LogState(**row)
    if cursor.position == state.position:
        found = state.check_value
    elif cursor.position == state.trimmed_to:
        found = state.trimmed_check
    if cursor.log_id != state.log_id:
        return state, Reach.DIVERGED
    if cursor.position < state.trimmed_to:
        return state, Reach.TRIMMED
    same = found is not None and found == cursor.check_value
    return state, Reach.REACHED if same else Reach.DIVERGED


def new_check_value() -> int:
    """A check value for the entries of one transaction: 63 random bits."""
    return secrets.randbits(63)


async def append(
    connection: Connection, entries: Iterable[LogEntry], at: int, beside: Sequence[Statement] = ()
) -> list[LogEntry]:
    """Writes entries in the order given; call it last in a transaction. The entries with their positions.

    `beside` is carried out as well (see `Connection.together`).
    """
    written: list[LogEntry] = []
    ordered = sorted(entries, key=lambda entry: entry.team_id)
    check = new_check_value() if ordered else 0
    for team_id, group in groupby(ordered, key=lambda entry: entry.team_id):
        batch = list(group)
        # As seen from the last of them, whose position only the counter tells.
        behind = [(*entry[:-3], place - len(batch), at, check) for place, entry in enumerate(batch, 1)]
        written += await _write(connection, team_id, behind, beside)
        beside = ()
    await connection.execute_batch(beside)
    return written


async def _write(
    connection: Connection, team_id: int, behind: list[tuple[Any, ...]], beside: Sequence[Statement]
) -> list[LogEntry]:
    """Moves the counter on and writes the rows up to where it is then; the rows as they are written."""
    move = "UPDATE change_logs SET position = position + ?, check_value = ? WHERE team_id = ? RETURNING position"
    check = behind[-1][-1]
    if connection.postgres:
        # In one go: a way there and back takes longer than any of it.
        names = ", ".join(f"given.{name}" for name in TYPES).replace("given.pos", "moved.position + given.pos")
        given, handed = connection.values_table(TYPES, behind)
        insert = f"INSERT INTO changes ({COLUMNS}) SELECT {names} FROM moved, {given}"
        parts, values = as_ctes([(insert, handed), *beside])
        moved = await connection.fetch_one(
            f"WITH moved AS ({move}), {parts} SELECT position FROM moved", len(behind), check, team_id, *values
        )
    else:
        await connection.execute_batch(beside)
        moved = await connection.fetch_one(move, len(behind), check, team_id)
    if moved is None:
        raise LookupError(f"team {team_id} has no change log")
    last: int = moved["position"]
    written = [(*entry[:-3], last + entry[-3], *entry[-2:]) for entry in behind]
    if not connection.postgres:
        await connection.insert("changes", TYPES, written)
    return list(map(LogEntry._make, written))


def appending(source: str) -> str:
    """The parts of a WITH of PostgreSQL's that write down the rows of another one of its parts: columns named as in
    TYPES, `position` counted from 1 in each team, one `check_value` for all. The last part, `written`, has them as they
    are written.

    As with `append`, nothing else may be locked after it.
    """
    names = ", ".join(f"s.{name}" for name in TYPES).replace("s.position", "moved_on.before + s.position")
    return (
        # An array of keys is looked up in the index, whatever PostgreSQL thinks of the table.
        f"heads AS MATERIALIZED (SELECT l.team_id, s.count, s.check_value FROM change_logs l JOIN (SELECT team_id,"
        f" count(*) AS count, min(check_value) AS check_value FROM {source} GROUP BY team_id) AS s"
        f" ON s.team_id = l.team_id WHERE l.team_id = ANY (ARRAY (SELECT team_id FROM {source}))"
        " ORDER BY l.team_id FOR NO KEY UPDATE OF l),"
        " moved_on AS (UPDATE change_logs l SET position = l.position + heads.count, check_value = heads.check_value"
        " FROM heads WHERE l.team_id = heads.team_id AND l.team_id = ANY (ARRAY (SELECT team_id FROM heads))"
        " RETURNING l.team_id, l.position - heads.count AS before),"
        f" written AS (INSERT INTO changes ({COLUMNS}) SELECT {names} FROM {source} s JOIN moved_on"
        f" ON moved_on.team_id = s.team_id RETURNING {COLUMNS})"
    )


async def read(topic: Topic, team_id: int, after: int, upto: int, limit: int = PAGE) -> list[LogEntry]:
    """Entries of a topic with after < position <= upto, oldest first."""
    column, key = ("owner_id", topic.owner_id) if topic.search_id is None else ("search_id", topic.search_id)
    db = database()
    rows = await db.fetch(
        f"SELECT {COLUMNS} FROM changes WHERE {column} = ? AND position > ? AND position <= ? AND team_id = ?"
        f" AND owner_id = ? AND {db.in_any('kind', 'smallint')} ORDER BY position LIMIT ?",
        key,
        after,
        upto,
        team_id,
        topic.owner_id,
        db.array_param(topic.stream.value),
        limit,
    )
    return [from_row(row) for row in rows]


async def latest(topic: Topic, team_id: int, upto: int) -> LogEntry | None:
    """The newest entry of a single list's topic that is not after a position."""
    db = database()
    row = await db.fetch_one(
        f"SELECT {COLUMNS} FROM changes WHERE search_id = ? AND position <= ? AND team_id = ? AND owner_id = ?"
        f" AND {db.in_any('kind', 'smallint')} ORDER BY position DESC LIMIT 1",
        *(topic.search_id, upto, team_id, topic.owner_id, db.array_param(topic.stream.value)),
    )
    return None if row is None else from_row(row)


async def read_all(team_id: int, after: int, limit: int = PAGE) -> list[LogEntry]:
    """Entries of a whole team after a position, oldest first."""
    rows = await database().fetch(
        f"SELECT {COLUMNS} FROM changes WHERE team_id = ? AND position > ? ORDER BY position LIMIT ?",
        team_id,
        after,
        limit,
    )
    return [from_row(row) for row in rows]


async def read_on(team_id: int, known: Cursor) -> list[LogEntry]:
    """Entries of a whole team after a known one, oldest first. Raises Diverged."""
    entries = await read_all(team_id, known.position - 1, PAGE + 1)
    if entries and entries[0].position == known.position:
        if entries[0].check_value != known.check_value:
            raise Diverged("the change log was replaced")
        return entries[1:]
    # The known entry was trimmed, or was none because the log was empty.
    if (await locate(team_id, known))[1] is Reach.DIVERGED:
        raise Diverged("the change log was replaced")
    return entries


async def has_entry(connection: Connection, team_id: int, position: int, check_value: int) -> bool:
    """Whether a team's log has an entry, or had one at its position that was trimmed."""
    row = await connection.fetch_one(
        "SELECT l.trimmed_to, (SELECT c.check_value FROM changes c WHERE c.team_id = l.team_id AND c.position = ?)"
        " AS found FROM change_logs l WHERE l.team_id = ?",
        *(position, team_id),
    )
    return row is not None and (position <= row["trimmed_to"] or row["found"] == check_value)


async def stale_teams(before: int) -> list[int]:
    """The teams whose logs hold entries older than a moment: the oldest is the first."""
    rows = await database().fetch(
        "SELECT team_id FROM change_logs l WHERE"
        " (SELECT c.at FROM changes c WHERE c.team_id = l.team_id ORDER BY c.position LIMIT 1) < ? ORDER BY team_id",
        before,
    )
    return [row["team_id"] for row in rows]


async def trim(connection: Connection, team_id: int, before: int, limit: int = TRIM) -> int:
    """Drops a team's oldest entries, those older than a moment and at most so many; how many. Cursors that fall behind
    expire."""
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
