"""Tortoise's SQLite client as this product needs it: one writing connection whose transactions begin IMMEDIATE,
and three reading connections beside it that never wait for the writer (WAL gives each statement the last commit).

Durability: synchronous FULL, so a commit that was answered survives a power cut.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import aiosqlite
from tortoise.backends.base.client import NestedTransactionContext, TransactionContext
from tortoise.backends.sqlite import client as stock
from tortoise.exceptions import TransactionManagementError

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
        return stock.SqliteTransactionContext(Transaction(self), self._lock)


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
