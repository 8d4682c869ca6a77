"""The unit of work: one transaction, and what others must learn after its commit.

An action changes rows and collects invalidations, log entries, and changes of folder counts in its `UnitOfWork`.
`flush` writes them at the end of the transaction. Locks are taken in this order: the rows, idempotency claims, folder
counts, and last the change log's counter. The matcher, the outbox and the subscribers are notified after the commit,
never before it.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from command_center.changes import idempotency, log
from command_center.changes.entries import LogEntry
from command_center.changes.folder_counts import FolderCountBroadcaster
from command_center.changes.hub import Hub
from command_center.changes.idempotency import IdempotencyClaim
from command_center.changes.restores import RestoreGuard
from command_center.database.clock import Clock
from command_center.database.connections import Connection, RowValues, Statement, run_in_transaction, transaction
from models.enums import ChangeCauseKind, FolderName, InvalidationKind

T = TypeVar("T")
_ADD_TO_COUNT = (
    "INSERT INTO folder_counts (sender_id, folder, email_count) VALUES (?, ?, ?) ON CONFLICT (sender_id, folder)"
    " DO UPDATE SET email_count = folder_counts.email_count + excluded.email_count"
)
_INVALIDATION_COLUMNS = {
    "team_id": "bigint",
    "kind": "smallint",
    "subject_id": "bigint",
    "cause": "smallint",
    "engagement_id": "bigint",
    "people": "jsonb",
    "progress": "bigint",
}
_InvalidationValues: TypeAlias = tuple[int, int, int, int, int | None, str | None, int]
"""The values of a new invalidation, in the order of `_INVALIDATION_COLUMNS`."""

FirstQuery: TypeAlias = Callable[[Connection], tuple[Sequence[str], Statement]]
"""Returns the column names of a SELECT, and the SELECT with its values (see `Clock.now_and_rows`)."""


@dataclass(slots=True)
class UnitOfWork:
    """Collects what one transaction writes at its end, and what others learn of it.

    `now` is the time of the transaction, in microseconds.
    """

    connection: Connection
    now: int
    entries: list[LogEntry] = field(default_factory=list)
    invalidations: list[_InvalidationValues] = field(default_factory=list)
    count_changes: Counter[tuple[int, FolderName]] = field(default_factory=Counter)
    sends_due: bool = False
    """Whether emails became due, so that the outbox must be woken."""
    claims: list[IdempotencyClaim] = field(default_factory=list)
    """The claims of the requests with an Idempotency-Key for which this transaction is carried out."""
    first_rows: Sequence[RowValues] = ()
    """The rows of the `first_query` that was passed to `Writer.run_in_transaction`."""
    deferred: list[Statement] = field(default_factory=list)
    """Statements for the end of the transaction (see `defer`)."""
    entries_in_log: list[LogEntry] = field(default_factory=list)
    """Entries that are already in the log, with their positions."""

    def invalidate(
        self,
        kind: InvalidationKind,
        team_id: int,
        subject_id: int,
        cause: ChangeCauseKind,
        engagement_id: int | None = None,
        people: Sequence[int] | None = None,
    ) -> None:
        """Queue an invalidation, so that the matcher evaluates some emails again.

        They are all emails that the subject concerns. Its table depends on `kind`.

        `people` restricts it to the emails of these people; None is no restriction.
        """
        people_json = None if people is None else json.dumps(list(people))
        self.invalidations.append((team_id, int(kind), subject_id, int(cause), engagement_id, people_json, 0))

    def log(self, entry: LogEntry) -> None:
        """Queue an entry for the change log of its team."""
        self.entries.append(entry)

    def defer(self, sql: str, values: Sequence[object]) -> None:
        """Postpone a statement to the end of the transaction.

        There it runs together with the statements that write the log.

        The order of deferred statements is undefined. Each may change only rows that are locked already or belong to
        this transaction alone, and no two may change the same row.
        """
        self.deferred.append((sql, values))

    def move_count(self, sender_id: int, origin: FolderName | None, target: FolderName | None) -> None:
        """Adjust a sender's folder counts for one email that moves between folders.

        `origin` is None if the email was created, and `target` is None if it was deleted.
        """
        if origin is not None:
            self.count_changes[sender_id, origin] -= 1
        if target is not None:
            self.count_changes[sender_id, target] += 1

    def find_senders_with_changed_counts(self) -> set[int]:
        """Return the ids of the senders whose folder counts this transaction changes."""
        return {sender for (sender, _), change in self.count_changes.items() if change}

    async def flush(self) -> None:
        """Write everything that was collected. Call it last in the transaction.

        Raises: ClaimLost if another request has taken over an idempotency claim.
        """
        await idempotency.mark_done(self.connection, self.claims)
        # Sorted, so that two transactions cannot deadlock.
        rows = sorted((sender, int(folder), n) for (sender, folder), n in self.count_changes.items() if n)
        await self.connection.execute_many(_ADD_TO_COUNT, rows)
        if self.invalidations:
            self.deferred.append(
                self.connection.insert_statement("invalidations", _INVALIDATION_COLUMNS, self.invalidations)
            )
        self.entries = self.entries_in_log + await log.append(self.connection, self.entries, self.now, self.deferred)


UnitOfWorkBody: TypeAlias = Callable[[UnitOfWork], Coroutine[object, None, T]]
"""A coroutine function that uses the connection of a unit of work and awaits nothing else."""


class Writer:
    """Runs units of work, and notifies others after each commit.

    These are the matcher, the outbox and the subscribers.
    """

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
        """Return a copy of this writer for a request with an Idempotency-Key.

        Each unit of work of the copy marks the claim as done.
        """
        claimed = copy(self)
        claimed.claim = claim
        return claimed

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[UnitOfWork]:
        """Run the block in one transaction, and notify others after its commit.

        If an exception is raised, the transaction is rolled back and nothing is notified.
        """
        async with transaction() as connection:
            uow = await self._begin(connection)
            yield uow
            await uow.flush()
        self.notify(uow)

    async def run_in_transaction(
        self,
        body: UnitOfWorkBody[T],
        first_query: FirstQuery | None = None,
        now: int | None = None,
        single_statement: bool = False,
    ) -> T:
        """Run one transaction whose body awaits only its connection.

        See `connections.run_in_transaction`.

        `first_query` is run first, and the body finds its rows in `first_rows`. Pass `now` if the clock was read just
        before. With `single_statement` the whole transaction is one statement on PostgreSQL; then `now` is required.
        """

        async def execute_body(connection: Connection) -> tuple[UnitOfWork, T]:
            uow = await self._begin(connection, first_query, now)
            result = await body(uow)
            await uow.flush()
            return uow, result

        uow, result = await run_in_transaction(execute_body, single_statement)
        self.notify(uow)
        return result

    async def _begin(
        self, connection: Connection, first_query: FirstQuery | None = None, now: int | None = None
    ) -> UnitOfWork:
        """Return a unit of work with the current time and the rows of the first query.

        If possible, one statement reads both. If `now` is given, the clock is not read.
        """
        first_rows: Sequence[RowValues] = ()
        if first_query is not None:
            columns, (sql, values) = first_query(connection)
            if now is None:
                now, first_rows = await self.clock.now_and_rows(connection, columns, sql, *values)
            else:
                first_rows = await connection.fetch_tuples(columns, sql, *values)
        elif now is None:
            now = await self.clock.now(connection)
        uow = UnitOfWork(connection, now, first_rows=first_rows)
        uow.claims.extend([self.claim] if self.claim else [])
        return uow

    def notify(self, uow: UnitOfWork) -> None:
        """Notify the matcher, the outbox and the subscribers after a commit.

        The notifications are hints. A lost one only causes a delay, because the tables contain everything.
        """
        self.restores.record_commit(uow.entries)
        self.hub.offer(tuple(uow.entries))
        self.folder_counts.notify(uow.find_senders_with_changed_counts())
        if uow.invalidations:
            self.invalidated.set()
        if uow.sends_due:
            self.sends_due.set()
