"""Tortoise's SQLite client as this product needs it: one writing connection whose transactions begin IMMEDIATE,
and three reading connections beside it that never wait for the writer (WAL gives each statement the last commit).

Durability: synchronous FULL, so a commit that was answered survives a power cut. Every wait is bounded, and a
connection that opened a file in a bad state is opened anew.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import aiosqlite
from tortoise.backends.base.client import NestedTransactionContext, TransactionalDBClient, TransactionContext
from tortoise.backends.sqlite import client as stock
from tortoise.connection import get_connections
from tortoise.exceptions import OperationalError

from models.sqlite_faults import busy, read_only, telling, unavailable, worn, writable
from models.unavailable import Unavailable, limit

READERS = 3
STEP_SECONDS = 1.0
"""How long SQLite itself waits for another process at a time; while it does, it cannot be called off."""
LONGEST_SECONDS = 60.0
"""How long a command waits for its turn to write, which has no other limit."""
PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "busy_timeout": "5000",
    "journal_size_limit": str(64 * 1024 * 1024),
    "cache_size": "-65536",
    "temp_store": "MEMORY",
}
READING = ("busy_timeout", "cache_size", "temp_store")


def _try(path: str) -> None:
    """Opens the file and closes it again. One that cannot be opened leaves aiosqlite's thread behind, with a trace."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA schema_version").fetchall()
    finally:
        connection.close()


async def _open(path: str, pragmas: Iterable[tuple[str, str]]) -> aiosqlite.Connection:
    await asyncio.to_thread(_try, path)
    connection = await aiosqlite.connect(path, isolation_level=None)
    try:
        connection._conn.row_factory = sqlite3.Row
        for pragma, value in pragmas:
            await (await connection.execute(f"PRAGMA {pragma}={value}")).close()
    except BaseException:
        await connection.close()
        raise
    return connection


def _reads_only(query: str) -> bool:
    return query.lstrip()[:6].upper() == "SELECT"


class _Bounded(stock.SqliteClient):
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


class SqliteClient(_Bounded):
    """One writer, three readers. SELECTs outside a transaction go to a reader, everything else to the writer.

    `worn` is why the writer has to be opened anew before it is used again.
    """

    def __init__(self, file_path: str, **kwargs: Any) -> None:
        super().__init__(file_path, **kwargs)
        self.pragmas = dict(PRAGMAS)
        self.worn: sqlite3.Error | None = None
        self._idle: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._readers: set[aiosqlite.Connection] = set()
        self._opening = asyncio.Lock()

    async def create_connection(self, with_db: bool) -> None:
        # Whoever comes while the first is opening waits, lest each opens connections that nobody closes.
        async with self._opening:
            if not self._connection:
                self._connection = await _open(self.filename, self.pragmas.items())
                await self._post_connect()
            while len(self._readers) < READERS:
                reader = await self._open_reader()
                self._readers.add(reader)
                self._idle.put_nowait(reader)

    async def _open_reader(self) -> aiosqlite.Connection:
        return await _open(self.filename, [*((name, PRAGMAS[name]) for name in READING), ("query_only", "ON")])

    async def close(self) -> None:
        for reader in self._readers:
            await reader.close()
        self._readers.clear()
        self._idle = asyncio.LifoQueue()
        await super().close()

    async def renew(self) -> None:
        """Opens anew what is worn, if the file lets us. Only whoever has the turn to write may."""
        if self.worn is not None and read_only(self.worn):
            if await asyncio.to_thread(writable, self.filename):
                await self._renew_all()
            return
        with suppress(sqlite3.Error):
            fresh = await _open(self.filename, self.pragmas.items())
            worn_out, self._connection, self.worn = self._connection, fresh, None
            if worn_out is not None:
                await worn_out.close()

    async def _renew_all(self) -> None:
        """Not before every reader is idle; where one reads for long, another time."""
        readers: list[aiosqlite.Connection] = []
        try:
            async with asyncio.timeout(STEP_SECONDS):
                while len(readers) < len(self._readers):
                    readers.append(await self._idle.get())
        except TimeoutError:
            for reader in readers:
                self._idle.put_nowait(reader)
            return
        self._readers.clear()
        worn_out, self._connection, self.worn = self._connection, None, None
        for connection in (*readers, worn_out):
            if connection is not None:
                await connection.close()
        await self.create_connection(with_db=True)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[aiosqlite.Connection]:
        """A reading connection for one statement."""
        if not self._readers:
            await self.create_connection(with_db=True)
        connection = await self._idle.get()
        try:
            yield connection
        except asyncio.CancelledError:
            # Nobody waits for it any more, but the next one would have to.
            await connection.interrupt()
            raise
        except sqlite3.Error as exc:
            if worn(exc):
                with suppress(sqlite3.Error):
                    fresh = await self._open_reader()
                    self._readers.add(fresh)
                    self._readers.discard(connection)
                    connection, worn_out = fresh, connection
                    await worn_out.close()
            raise
        finally:
            self._idle.put_nowait(connection)

    async def execute_query(self, query: str, values: list[Any] | None = None) -> tuple[int, Sequence[dict[str, Any]]]:
        if not _reads_only(query):
            return await super().execute_query(query, values)
        rows = await self.execute_query_dict(query, values)
        return len(rows), rows

    async def execute_query_dict(self, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
        if not _reads_only(query):
            return await super().execute_query_dict(query, values)
        return cast(list[dict[str, Any]], await self._within(self._fetch(query, values)))

    @stock.translate_exceptions
    async def _fetch(self, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
        async with self.reader() as connection:
            return [dict(row) for row in await connection.execute_fetchall(query, values)]

    def _in_transaction(self) -> TransactionContext:
        return Turn(Transaction(self), self._lock)


class Turn(stock.SqliteTransactionContext):
    """One transaction's turn with the one writer. However it ends, cancelled or failed, the next one gets its turn.

    BEGIN, COMMIT and ROLLBACK run in the connection's thread and cannot be called back: each is waited for, even by
    somebody who was cancelled meanwhile, so that the turn is never given up with a transaction left open.
    """

    async def __aenter__(self) -> TransactionalDBClient:
        until = asyncio.get_running_loop().time() + (limit(self.connection.patience) or LONGEST_SECONDS)
        try:
            async with asyncio.timeout_at(until):
                await self._trxlock.acquire()
        except TimeoutError:
            raise Unavailable("the turn to write did not come in time") from None
        try:
            with telling():
                await self._renew()
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

    async def _renew(self) -> None:
        parent: SqliteClient = self.connection._parent
        if parent.worn is not None:
            await _finished(parent.renew())
        if parent._connection is None:
            await parent.create_connection(with_db=True)
        # Whoever had the turn before may have opened it anew.
        self.connection._connection = parent._connection

    async def _begin(self, until: float) -> None:
        while True:
            left = until - asyncio.get_running_loop().time()
            try:
                return await self._carry_out(_begin, int(1000 * max(0.0, min(left, STEP_SECONDS))))
            except sqlite3.Error as exc:
                if busy(exc) and left > STEP_SECONDS:
                    continue
                raise self._failure(exc) from exc

    async def _commit(self) -> None:
        try:
            await self._carry_out(_commit)
        except sqlite3.Error as exc:
            await self._roll_back()
            raise self._failure(exc, committing=True) from exc

    async def _roll_back(self) -> None:
        try:
            await self._carry_out(sqlite3.Connection.rollback)
        except sqlite3.Error as exc:
            # Closing it takes back whatever is open.
            self.connection._parent.worn = exc

    async def _carry_out(self, act: Any, *values: Any) -> None:
        connection: aiosqlite.Connection = self.connection._connection
        work: Coroutine[Any, Any, None] = connection._execute(act, connection._conn, *values)  # type: ignore[no-untyped-call]
        await _finished(work)

    def _failure(self, exc: sqlite3.Error, committing: bool = False) -> Exception:
        if worn(exc):
            self.connection._parent.worn = exc
        return unavailable(exc, committing) or OperationalError(exc)


def _begin(connection: sqlite3.Connection, wait: int) -> None:
    """A deferred BEGIN would fail half-way as soon as two processes write."""
    connection.execute(f"PRAGMA busy_timeout={wait}")
    connection.execute("BEGIN IMMEDIATE")


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


class Transaction(_Bounded, stock.SqliteTransactionWrapper):
    """The client inside a transaction."""

    def __init__(self, connection: SqliteClient) -> None:
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
                cast(SqliteClient, self._parent).worn = cause
            raise

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(Transaction(cast(SqliteClient, self)))


client_class = SqliteClient
