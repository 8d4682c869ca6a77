"""Tortoise's SQLite client as this product needs it: one writing connection whose transactions begin IMMEDIATE,
and three reading connections beside it that never wait for the writer (WAL gives each statement the last commit).

Durability: synchronous FULL, so a commit that was answered survives a power cut.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import aiosqlite
from tortoise.backends.base.client import NestedTransactionContext, TransactionalDBClient, TransactionContext
from tortoise.backends.sqlite import client as stock
from tortoise.connection import get_connections
from tortoise.exceptions import OperationalError, TransactionManagementError

READERS = 3
PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "busy_timeout": "10000",
    "journal_size_limit": str(64 * 1024 * 1024),
    "cache_size": "-65536",
    "temp_store": "MEMORY",
}


def _try(path: str) -> None:
    """Opens the file and closes it again. One that cannot be opened leaves aiosqlite's thread behind, with a trace."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA schema_version").fetchall()
    finally:
        connection.close()


def _reads_only(query: str) -> bool:
    return query.lstrip()[:6].upper() == "SELECT"


class SqliteClient(stock.SqliteClient):
    """One writer, three readers. SELECTs outside a transaction go to a reader, everything else to the writer."""

    def __init__(self, file_path: str, **kwargs: Any) -> None:
        super().__init__(file_path, **kwargs)
        self.pragmas = dict(PRAGMAS)
        self._idle: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._readers: list[aiosqlite.Connection] = []
        self._opening = asyncio.Lock()

    async def create_connection(self, with_db: bool) -> None:
        # Whoever comes while the first is opening waits, lest each opens connections that nobody closes.
        async with self._opening:
            if not self._connection:
                await asyncio.to_thread(_try, self.filename)
            await super().create_connection(with_db)
            while len(self._readers) < READERS:
                reader = await aiosqlite.connect(self.filename, isolation_level=None)
                reader._conn.row_factory = sqlite3.Row
                for pragma in ("busy_timeout", "cache_size", "temp_store"):
                    await (await reader.execute(f"PRAGMA {pragma}={PRAGMAS[pragma]}")).close()
                await (await reader.execute("PRAGMA query_only=ON")).close()
                self._readers.append(reader)
                self._idle.put_nowait(reader)

    async def close(self) -> None:
        for reader in self._readers:
            await reader.close()
        self._readers.clear()
        self._idle = asyncio.LifoQueue()
        await super().close()

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[aiosqlite.Connection]:
        """A reading connection for one statement."""
        if not self._readers:
            await self.create_connection(with_db=True)
        connection = await self._idle.get()
        try:
            yield connection
        finally:
            self._idle.put_nowait(connection)

    async def execute_query(self, query: str, values: list[Any] | None = None) -> tuple[int, Sequence[dict[str, Any]]]:
        if not _reads_only(query):
            return cast(tuple[int, Sequence[dict[str, Any]]], await super().execute_query(query, values))
        rows = await self._read(query, values)
        return len(rows), rows

    async def execute_query_dict(self, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
        if not _reads_only(query):
            return cast(list[dict[str, Any]], await super().execute_query_dict(query, values))
        return await self._read(query, values)

    async def _read(self, query: str, values: list[Any] | None) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], await self._fetch(query, values))

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
        await self._trxlock.acquire()
        try:
            await self.ensure_connection()
            self.token = get_connections().set(self.connection_name, self.connection)
            try:
                await _finished(self.connection.begin())
            except BaseException:
                with suppress(Exception):
                    await _finished(self.connection._connection.rollback())
                get_connections().reset(self.token)
                raise
        except BaseException:
            self._trxlock.release()
            raise
        return self.connection  # type: ignore[no-any-return]

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        try:
            if not self.connection._finalized:
                try:
                    await _finished(self.connection.rollback() if exc_type else self.connection.commit())
                except sqlite3.Error as exc:
                    with suppress(Exception):
                        await _finished(self.connection._connection.rollback())
                    raise OperationalError(exc) from exc
        finally:
            get_connections().reset(self.token)
            self._trxlock.release()


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


class Transaction(stock.SqliteTransactionWrapper):
    """BEGIN IMMEDIATE: a deferred BEGIN fails half-way as soon as two processes write."""

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(Transaction(cast(SqliteClient, self)))

    async def begin(self) -> None:
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as exc:
            raise TransactionManagementError(exc) from exc


client_class = SqliteClient
