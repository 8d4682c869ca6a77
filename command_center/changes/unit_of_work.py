"""A deed: one transaction of rows changed, folder counts moved, marks left and log rows said, in that order of locks.

Whoever acts collects what it has to tell in the deed; the deed writes it last before the commit and wakes the others
right after. Nobody is told "done" before the commit.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from command_center.changes import idempotency, log
from command_center.changes.entries import Entry
from command_center.changes.folder_counts import Board
from command_center.changes.hub import Hub
from command_center.changes.idempotency import Claim
from command_center.changes.restores import RestoreGuard
from command_center.database.clock import Clock
from command_center.database.connections import Connection, Statement, at_once, transaction
from models.enums import ChangeCauseKind, FolderName, MarkKind

T = TypeVar("T")
_COUNT = (
    "INSERT INTO folder_counts (sender_id, folder, email_count) VALUES (?, ?, ?) ON CONFLICT (sender_id, folder)"
    " DO UPDATE SET email_count = folder_counts.email_count + excluded.email_count"
)
_MARK = {
    "team_id": "bigint",
    "kind": "smallint",
    "subject_id": "bigint",
    "cause": "smallint",
    "engagement_id": "bigint",
    "people": "jsonb",
    "progress": "bigint",
}


Opening: TypeAlias = Callable[[Connection], tuple[Sequence[str], Statement]]
"""A SELECT and its columns (see `Clock.beside`)."""


@dataclass(slots=True)
class Deed:
    """What one transaction has done so far. `now` is its moment, in microseconds."""

    connection: Connection
    now: int
    entries: list[Entry] = field(default_factory=list)
    marks: list[tuple[Any, ...]] = field(default_factory=list)
    counts: Counter[tuple[int, FolderName]] = field(default_factory=Counter)
    sends: bool = False
    claims: list[Claim] = field(default_factory=list)
    """Of the requests with an Idempotency-Key that this is done for."""
    found: Sequence[Sequence[Any]] = ()
    """What the opening that `Writer.at_once` was given found."""
    closing: list[Statement] = field(default_factory=list)
    written: list[Entry] = field(default_factory=list)
    """Rows that are in the log already, with their positions."""

    def mark(
        self,
        kind: MarkKind,
        team_id: int,
        subject_id: int,
        cause: ChangeCauseKind,
        engagement_id: int | None = None,
        people: Sequence[int] | None = None,
    ) -> None:
        """Asks the matcher to look again at all that concerns the subject."""
        listed = None if people is None else json.dumps(list(people))
        self.marks.append((team_id, int(kind), subject_id, int(cause), engagement_id, listed, 0))

    def say(self, entry: Entry) -> None:
        """Adds a row to the team's change log."""
        self.entries.append(entry)

    def close_with(self, sql: str, values: Sequence[Any]) -> None:
        """Leaves a statement for the end, where it is carried out beside what is written down, in no order: it changes
        rows that are locked, or nobody else's, and no other one changes the same."""
        self.closing.append((sql, values))

    def moved(self, sender_id: int, origin: FolderName | None, target: FolderName | None) -> None:
        """An email went from one folder to another; None for one that comes into being or ceases to be."""
        if origin is not None:
            self.counts[sender_id, origin] -= 1
        if target is not None:
            self.counts[sender_id, target] += 1

    def moved_senders(self) -> set[int]:
        """Whose folder counts are not what they were."""
        return {sender for (sender, _), by in self.counts.items() if by}

    async def write_down(self) -> None:
        await idempotency.mark(self.connection, self.claims)
        # Sorted, so that two transactions never wait for each other in a circle.
        moves = sorted((sender, int(folder), by) for (sender, folder), by in self.counts.items() if by)
        await self.connection.many(_COUNT, moves)
        if self.marks:
            self.closing.append(self.connection.inserting("marks", _MARK, self.marks))
        self.entries = self.written + await log.append(self.connection, self.entries, self.now, self.closing)


class Writer:
    """Carries out deeds, and wakes the matcher, the sender loop and all who follow after each."""

    def __init__(
        self, clock: Clock, hub: Hub, board: Board | None = None, restores: RestoreGuard | None = None
    ) -> None:
        self.clock = clock
        self.hub = hub
        self.board = board or Board()
        self.marked = asyncio.Event()
        self.sends_due = asyncio.Event()
        self.claim: Claim | None = None
        self.restores = restores or RestoreGuard()

    def under(self, claim: Claim) -> "Writer":
        """The same writer for a request with an Idempotency-Key: each deed is marked as done under its claim."""
        claimed = copy(self)
        claimed.claim = claim
        return claimed

    @asynccontextmanager
    async def deed(self) -> AsyncIterator[Deed]:
        """One transaction. On an exception nothing of it remains and nobody is woken."""
        async with transaction() as connection:
            deed = await self._begun(connection)
            yield deed
            await deed.write_down()
        self.wake(deed)

    async def at_once(
        self,
        work: Callable[[Deed], Coroutine[Any, Any, T]],
        opening: Opening | None = None,
        now: int | None = None,
        alone: bool = False,
    ) -> T:
        """Runs one transaction whose work awaits its connection and nothing else (see `connections.at_once`).

        `opening` is read to begin with, for the work to have; `now` is given where the clock was asked just before.
        `alone`: on PostgreSQL all of it is one statement, so `now` must be given.
        """

        async def carry_out(connection: Connection) -> tuple[Deed, T]:
            deed = await self._begun(connection, opening, now)
            result = await work(deed)
            await deed.write_down()
            return deed, result

        deed, result = await at_once(carry_out, alone)
        self.wake(deed)
        return result

    async def _begun(self, connection: Connection, opening: Opening | None = None, now: int | None = None) -> Deed:
        found: Sequence[Sequence[Any]] = ()
        if opening is not None:
            columns, (sql, values) = opening(connection)
            if now is None:
                now, found = await self.clock.beside(connection, columns, sql, *values)
            else:
                found = await connection.tuples(columns, sql, *values)
        elif now is None:
            now = await self.clock.now(connection)
        deed = Deed(connection, now, found=found)
        deed.claims.extend([self.claim] if self.claim else [])
        return deed

    def wake(self, deed: Deed) -> None:
        """Hints only: who misses one finds everything in the tables."""
        self.restores.committed(deed.entries)
        self.hub.offer(tuple(deed.entries))
        self.board.moved(deed.moved_senders())
        if deed.marks:
            self.marked.set()
        if deed.sends:
            self.sends_due.set()
