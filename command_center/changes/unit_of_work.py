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
from command_center.changes.entries import LogEntry
from command_center.changes.folder_counts import FolderCountBroadcaster
from command_center.changes.hub import Hub
from command_center.changes.idempotency import IdempotencyClaim
from command_center.changes.restores import RestoreGuard
from command_center.database.clock import Clock
from command_center.database.connections import Connection, Statement, run_in_transaction, transaction
from models.enums import ChangeCauseKind, FolderName, InvalidationKind

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
class UnitOfWork:
    """What one transaction has done so far. `now` is its moment, in microseconds."""

    connection: Connection
    now: int
    entries: list[LogEntry] = field(default_factory=list)
    invalidations: list[tuple[Any, ...]] = field(default_factory=list)
    count_changes: Counter[tuple[int, FolderName]] = field(default_factory=Counter)
    sends: bool = False
    claims: list[IdempotencyClaim] = field(default_factory=list)
    """Of the requests with an Idempotency-Key that this is done for."""
    first_rows: Sequence[Sequence[Any]] = ()
    """What the opening that `Writer.at_once` was given found."""
    deferred: list[Statement] = field(default_factory=list)
    logged: list[LogEntry] = field(default_factory=list)
    """Rows that are in the log already, with their positions."""

    def invalidate(
        self,
        kind: InvalidationKind,
        team_id: int,
        subject_id: int,
        cause: ChangeCauseKind,
        engagement_id: int | None = None,
        people: Sequence[int] | None = None,
    ) -> None:
        """Asks the matcher to look again at all that concerns the subject."""
        listed = None if people is None else json.dumps(list(people))
        self.invalidations.append((team_id, int(kind), subject_id, int(cause), engagement_id, listed, 0))

    def log(self, entry: LogEntry) -> None:
        """Adds a row to the team's change log."""
        self.entries.append(entry)

    def defer(self, sql: str, values: Sequence[Any]) -> None:
        """Leaves a statement for the end, where it is carried out beside what is written down, in no order: it changes
        rows that are locked, or nobody else's, and no other one changes the same."""
        self.deferred.append((sql, values))

    def move_count(self, sender_id: int, origin: FolderName | None, target: FolderName | None) -> None:
        """An email went from one folder to another; None for one that comes into being or ceases to be."""
        if origin is not None:
            self.count_changes[sender_id, origin] -= 1
        if target is not None:
            self.count_changes[sender_id, target] += 1

    def senders_with_moved_counts(self) -> set[int]:
        """Whose folder counts are not what they were."""
        return {sender for (sender, _), by in self.count_changes.items() if by}

    async def flush(self) -> None:
        await idempotency.mark_done(self.connection, self.claims)
        # Sorted, so that two transactions never wait for each other in a circle.
        moves = sorted((sender, int(folder), by) for (sender, folder), by in self.count_changes.items() if by)
        await self.connection.execute_many(_COUNT, moves)
        if self.invalidations:
            self.deferred.append(self.connection.insert_statement("marks", _MARK, self.invalidations))
        self.entries = self.logged + await log.append(self.connection, self.entries, self.now, self.deferred)


class Writer:
    """Carries out deeds, and wakes the matcher, the sender loop and all who follow after each."""

    def __init__(
        self,
        clock: Clock,
        hub: Hub,
        folder_counts: FolderCountBroadcaster | None = None,
        restores: RestoreGuard | None = None,
    ) -> None:
        self.clock = clock
        self.hub = hub
        self.folder_counts = folder_counts or FolderCountBroadcaster()
        self.invalidated = asyncio.Event()
        self.sends_due = asyncio.Event()
        self.claim: IdempotencyClaim | None = None
        self.restores = restores or RestoreGuard()

    def with_claim(self, claim: IdempotencyClaim) -> "Writer":
        """The same writer for a request with an Idempotency-Key: each deed is marked as done under its claim."""
        claimed = copy(self)
        claimed.claim = claim
        return claimed

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[UnitOfWork]:
        """One transaction. On an exception nothing of it remains and nobody is woken."""
        async with transaction() as connection:
            uow = await self._begun(connection)
            yield uow
            await uow.flush()
        self.notify(uow)

    async def run_in_transaction(
        self,
        body: Callable[[UnitOfWork], Coroutine[Any, Any, T]],
        first_query: Opening | None = None,
        now: int | None = None,
        single_statement: bool = False,
    ) -> T:
        """Runs one transaction whose work awaits its connection and nothing else (see `connections.at_once`).

        `opening` is read to begin with, for the work to have; `now` is given where the clock was asked just before.
        `alone`: on PostgreSQL all of it is one statement, so `now` must be given.
        """

        async def carry_out(connection: Connection) -> tuple[UnitOfWork, T]:
            uow = await self._begun(connection, first_query, now)
            result = await body(uow)
            await uow.flush()
            return uow, result

        uow, result = await run_in_transaction(carry_out, single_statement)
        self.notify(uow)
        return result

    async def _begun(
        self, connection: Connection, first_query: Opening | None = None, now: int | None = None
    ) -> UnitOfWork:
        found: Sequence[Sequence[Any]] = ()
        if first_query is not None:
            columns, (sql, values) = first_query(connection)
            if now is None:
                now, found = await self.clock.beside(connection, columns, sql, *values)
            else:
                found = await connection.fetch_tuples(columns, sql, *values)
        elif now is None:
            now = await self.clock.now(connection)
        uow = UnitOfWork(connection, now, first_rows=found)
        uow.claims.extend([self.claim] if self.claim else [])
        return uow

    def notify(self, uow: UnitOfWork) -> None:
        """Hints only: who misses one finds everything in the tables."""
        self.restores.committed(uow.entries)
        self.hub.offer(tuple(uow.entries))
        self.folder_counts.notify(uow.senders_with_moved_counts())
        if uow.invalidations:
            self.invalidated.set()
        if uow.sends:
            self.sends_due.set()
