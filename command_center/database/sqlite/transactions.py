"""Writing to SQLite in turns, each wait bounded: for the turn, for another process's lock, for a statement.

BEGIN, COMMIT and ROLLBACK run in the connection's thread and cannot be called back: each is waited for, even by
somebody who was cancelled meanwhile, so that the turn is never given up with a transaction left open.
"""

import asyncio
import sqlite3
import time
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import aiosqlite
from tortoise.backends.base.client import NestedTransactionContext, TransactionalDBClient, TransactionContext
from tortoise.backends.sqlite import client as stock
from tortoise.connection import get_connections
from tortoise.exceptions import OperationalError

from command_center.database.errors import Unavailable, limit
from command_center.database.sqlite.direct import Straight, in_thread
from command_center.database.sqlite.errors import telling, unavailable, worn

if TYPE_CHECKING:
    from command_center.database.sqlite.client import SqliteClient

T = TypeVar("T")
LONGEST_SECONDS = 60.0
"""How long a command waits for its turn to write, which has no other limit."""


class Bounded(stock.SqliteClient):
    """Statements with a time limit, and Unavailable for what the file is to blame for."""

    patience: float | None = None

    async def _within(self, work: Coroutine[Any, Any, Any]) -> Any:
        with telling():
            async with asyncio.timeout(limit(self.patience)):
                return await work

    async def execute_insert(self, query: str, values: list[Any]) -> int:
        return cast(int, await self._within(super().execute_insert(query, values)))

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        await self._within(super().execute_many(query, values))

    async def execute_query(self, query: str, values: list[Any] | None = None) -> tuple[int, Sequence[dict[str, Any]]]:
        return cast(tuple[int, Sequence[dict[str, Any]]], await self._within(super().execute_query(query, values)))

    async def execute_query_dict(self, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], await self._within(super().execute_query_dict(query, values)))

    async def execute_script(self, query: str) -> None:
        await self._within(super().execute_script(query))


class Lock(asyncio.Lock):
    """Whose turn it is."""

    def free(self) -> bool:
        """Whether it can be had without waiting."""
        return not self.locked() and not self._waiters


async def take(client: "SqliteClient") -> float:
    """Waits for the turn; until when, by the monotonic clock, one may wait for another process that writes. Raises
    Unavailable."""
    until = time.monotonic() + (limit(client.patience) or LONGEST_SECONDS)
    if client.turn.free():
        await client.turn.acquire()
    else:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await client.turn.acquire()
        except TimeoutError:
            raise Unavailable("the turn to write did not come in time") from None
    if client.worn is None and client._connection is not None:
        return until
    try:
        with telling():
            if client.worn is not None:
                await _finished(client.renew())
            if client._connection is None:
                await client.create_connection(with_db=True)
    except BaseException:
        client.turn.release()
        raise
    return until


class Turn(stock.SqliteTransactionContext):
    """One transaction's turn with the one writer. However it ends, cancelled or failed, the next one gets its turn."""

    async def __aenter__(self) -> TransactionalDBClient:
        until = await self._take()
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

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        try:
            if exc_type is None:
                await self._commit()
            else:
                await self._roll_back()
        finally:
            get_connections().reset(self.token)
            self._trxlock.release()

    async def _take(self) -> float:
        until = await take(self.connection._parent)
        # Whoever had the turn before may have opened it anew.
        self.connection._connection = self.connection._parent._connection
        return until

    async def _begin(self, until: float) -> None:
        connection: aiosqlite.Connection = self.connection._connection
        straight = Straight(connection._conn)
        try:
            await in_thread(connection, straight.begin, until, stop=straight.stop)
        except sqlite3.Error as exc:
            raise self._failure(exc) from exc

    async def _commit(self) -> None:
        try:
            await self._carry_out(_commit)
        except sqlite3.Error as exc:
            await self._roll_back()
            raise self._failure(exc, committing=True) from exc
        self.connection._parent.checkpoints.committed()

    async def _roll_back(self) -> None:
        try:
            await self._carry_out(sqlite3.Connection.rollback)
        except sqlite3.Error as exc:
            # Closing it takes back whatever is open.
            self.connection._parent.worn = exc

    async def _carry_out(self, act: Any, *values: Any) -> None:
        connection: aiosqlite.Connection = self.connection._connection
        await in_thread(connection, act, connection._conn, *values)

    def _failure(self, exc: sqlite3.Error, committing: bool = False) -> Exception:
        if worn(exc):
            self.connection._parent.worn = exc
        return unavailable(exc, committing) or OperationalError(exc)


def _commit(connection: sqlite3.Connection) -> None:
    # After some errors SQLite takes the transaction back by itself; then there is nothing left to commit.
    if not connection.in_transaction:
        raise Unavailable("SQLite took the transaction back")
    connection.commit()


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Waits for the end of the work, come what may. Raises CancelledError after it, if one came meanwhile."""
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


class Transaction(Bounded, stock.SqliteTransactionWrapper):
    """The client inside a transaction."""

    def __init__(self, connection: "SqliteClient") -> None:
        super().__init__(connection)
        self.patience = connection.patience

    async def _within(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await super()._within(work)
        except BaseException as exc:
            if isinstance(exc, asyncio.CancelledError | Unavailable):
                # It may run on in its thread, and the end of the transaction waits for it.
                await self._connection.interrupt()
            cause = exc.__cause__.args[0] if exc.__cause__ is not None and exc.__cause__.args else None
            if isinstance(cause, sqlite3.Error) and worn(cause):
                cast("SqliteClient", self._parent).worn = cause
            raise

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(Transaction(cast("SqliteClient", self)))
