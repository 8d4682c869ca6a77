"""Write transactions of SQLite, with a time limit on each wait.

The waits are those for the write lock, for another process's lock and for a statement.

BEGIN, COMMIT and ROLLBACK run in the connection's thread and cannot be abandoned. Even a cancelled task waits for them,
so that the write lock is never released with an open transaction.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import aiosqlite
from tortoise.backends.base.client import NestedTransactionContext, TransactionalDBClient, TransactionContext
from tortoise.backends.sqlite import client as stock
from tortoise.connection import get_connections
from tortoise.exceptions import OperationalError

from command_center.database.connections import Row
from command_center.database.errors import Unavailable, effective_timeout
from command_center.database.sqlite.direct import SqliteDirectConnection, run_in_thread
from command_center.database.sqlite.errors import is_broken, translate_errors, unavailable

if TYPE_CHECKING:
    from command_center.database.sqlite.client import SqliteClient

T = TypeVar("T")
MAX_LOCK_WAIT_SECONDS = 60.0
"""How long a command waits for the write lock if it has no other limit."""


class TimeoutClient(stock.SqliteClient):
    """Limits the time of each statement.

    It raises Unavailable for errors that the database file causes.
    """

    timeout: float | None = None

    async def _with_timeout(self, work: Awaitable[T]) -> T:
        with translate_errors():
            async with asyncio.timeout(effective_timeout(self.timeout)):
                return await work

    async def execute_insert(self, query: str, values: list[object]) -> int:
        inserted_key: int = await self._with_timeout(super().execute_insert(query, values))
        return inserted_key

    async def execute_many(self, query: str, values: list[list[object]]) -> None:
        await self._with_timeout(super().execute_many(query, values))

    async def execute_query(self, query: str, values: list[object] | None = None) -> tuple[int, Sequence[Row]]:
        result: tuple[int, Sequence[Row]] = await self._with_timeout(super().execute_query(query, values))
        return result

    async def execute_query_dict(self, query: str, values: list[object] | None = None) -> list[Row]:
        rows: list[Row] = await self._with_timeout(super().execute_query_dict(query, values))
        return rows

    async def execute_script(self, query: str) -> None:
        await self._with_timeout(super().execute_script(query))


class WriteLock(asyncio.Lock):
    """The lock of the writing connection."""

    def is_free(self) -> bool:
        """Return whether the lock can be acquired without waiting."""
        return not self.locked() and not self._waiters


async def acquire_write_lock(client: "SqliteClient") -> float:
    """Acquire the write lock, and reopen the writer if it is broken or closed.

    Return the time of the monotonic clock until which the caller may wait for another process that writes.

    Raises: Unavailable.
    """
    until = time.monotonic() + (effective_timeout(client.timeout) or MAX_LOCK_WAIT_SECONDS)
    if client.write_lock.is_free():
        await client.write_lock.acquire()
    else:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await client.write_lock.acquire()
        except TimeoutError:
            raise Unavailable("the write lock was not free in time") from None
    if client.broken is None and client._connection is not None:
        return until
    try:
        with translate_errors():
            if client.broken is not None:
                await _wait_until_finished(client.reconnect())
            if client._connection is None:
                await client.create_connection(with_db=True)
    except BaseException:
        client.write_lock.release()
        raise
    return until


class SqliteWriteTransaction(stock.SqliteTransactionContext):
    """One transaction of the writing connection.

    The write lock is released however the transaction ends.
    """

    async def __aenter__(self) -> TransactionalDBClient:
        until = await self._acquire()
        try:
            self.token = get_connections().set(self.connection_name, self.connection)
            try:
                await self._begin(until)
            except BaseException:
                await self._roll_back()
                get_connections().reset(self.token)
                raise
        except BaseException:
            self._trxlock.release()
            raise
        return self.connection  # type: ignore[no-any-return]

    async def __aexit__(self, exc_type: object, exc_val: object, exc_tb: object) -> None:
        try:
            if exc_type is None:
                await self._commit()
            else:
                await self._roll_back()
        finally:
            get_connections().reset(self.token)
            self._trxlock.release()

    async def _acquire(self) -> float:
        until = await acquire_write_lock(self.connection._parent)
        # An earlier transaction may have reopened the connection.
        self.connection._connection = self.connection._parent._connection
        return until

    async def _begin(self, until: float) -> None:
        connection: aiosqlite.Connection = self.connection._connection
        direct = SqliteDirectConnection(connection._conn)
        try:
            await run_in_thread(connection, direct.begin, until, stop=direct.interrupt)
        except sqlite3.Error as exc:
            raise self._translate(exc) from exc

    async def _commit(self) -> None:
        try:
            await self._run_in_thread(_commit)
        except sqlite3.Error as exc:
            await self._roll_back()
            raise self._translate(exc, committing=True) from exc
        self.connection._parent.checkpoints.schedule()

    async def _roll_back(self) -> None:
        try:
            await self._run_in_thread(sqlite3.Connection.rollback)
        except sqlite3.Error as exc:
            # Closing the connection rolls back its transaction.
            self.connection._parent.broken = exc

    async def _run_in_thread(self, act: Callable[[sqlite3.Connection], None]) -> None:
        connection: aiosqlite.Connection = self.connection._connection
        await run_in_thread(connection, act, connection._conn)

    def _translate(self, exc: sqlite3.Error, committing: bool = False) -> Exception:
        if is_broken(exc):
            self.connection._parent.broken = exc
        return unavailable(exc, committing) or OperationalError(exc)


def _commit(connection: sqlite3.Connection) -> None:
    # After some errors SQLite rolls back by itself; then there is nothing to commit.
    if not connection.in_transaction:
        raise Unavailable("SQLite rolled the transaction back")
    connection.commit()


async def _wait_until_finished(work: Coroutine[object, None, None]) -> None:
    """Wait for the end of a coroutine, even if the waiting task is cancelled.

    Raises: CancelledError afterwards, if the task was cancelled meanwhile.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as exc:
            cancelled = exc
        except Exception:
            break
    if cancelled is not None:
        if not task.cancelled():
            task.exception()
        raise cancelled
    task.result()


class SqliteTransaction(TimeoutClient, stock.SqliteTransactionWrapper):
    """The client inside a transaction."""

    def __init__(self, connection: "SqliteClient") -> None:
        super().__init__(connection)
        self.timeout = connection.timeout

    async def _with_timeout(self, work: Awaitable[T]) -> T:
        try:
            return await super()._with_timeout(work)
        except BaseException as exc:
            if isinstance(exc, asyncio.CancelledError | Unavailable):
                # The statement may still run in its thread, and the rollback would wait for it.
                await self._connection.interrupt()
            cause = exc.__cause__.args[0] if exc.__cause__ is not None and exc.__cause__.args else None
            if isinstance(cause, sqlite3.Error) and is_broken(cause):
                cast("SqliteClient", self._parent).broken = cause
            raise

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(SqliteTransaction(cast("SqliteClient", self)))
