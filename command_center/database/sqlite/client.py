"""Tortoise's SQLite client with one writing connection and three reading ones.

Transactions begin IMMEDIATE. Readers never wait for the writer: in WAL mode each statement reads the last commit.
`synchronous` is FULL, so a commit survives a power failure. A connection that may be broken is reopened. The write lock
is in `command_center.database.sqlite.transactions`.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, cast

import aiosqlite
from tortoise.backends.base.client import TransactionContext
from tortoise.backends.sqlite import client as stock

from command_center.database.connections import DEFAULT_CACHE_BYTES, DatabaseClient, Row, TransactionBody
from command_center.database.errors import effective_timeout
from command_center.database.sqlite.checkpoints import Checkpoints
from command_center.database.sqlite.direct import (
    STEP_SECONDS,
    SqliteDirectConnection,
    fetch_rows,
    run_in_thread,
    translate_error,
)
from command_center.database.sqlite.errors import is_broken, is_read_only, is_writable
from command_center.database.sqlite.inline_reader import InlineReader, TooSlowInline
from command_center.database.sqlite.transactions import (
    SqliteTransaction,
    SqliteWriteTransaction,
    TimeoutClient,
    WriteLock,
    acquire_write_lock,
)

T = TypeVar("T")
READER_COUNT = 3
"""The number of reading connections with a thread."""
WRITER_PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "busy_timeout": str(int(1000 * STEP_SECONDS)),
    "journal_size_limit": str(64 * 1024 * 1024),
    # `checkpoints` copies the WAL in the background. A commit does it only if that falls behind.
    "wal_autocheckpoint": "64000",
    "temp_store": "MEMORY",
}
READER_PRAGMAS = {"temp_store": WRITER_PRAGMAS["temp_store"], "busy_timeout": "5000", "query_only": "ON"}


def compute_cache_sizes(total: int) -> tuple[str, str]:
    """Return SQLite's `cache_size` for the writer, and that for each reader.

    `total` is the number of bytes of all page caches.

    The writer gets half, because it also serves most reads of single rows. The readers and `InlineReader` share the
    rest.
    """
    kibibytes = total // 1024
    return f"-{kibibytes // 2}", f"-{kibibytes // 2 // (READER_COUNT + 1)}"


def _check_file(path: str) -> None:
    """Open the file and close it again.

    If aiosqlite fails to open a file, its thread remains and logs a traceback. This check fails first.
    """
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA schema_version").fetchall()
    finally:
        connection.close()


async def _open(path: str, pragmas: Iterable[tuple[str, str]]) -> aiosqlite.Connection:
    await asyncio.to_thread(_check_file, path)
    connection = await aiosqlite.connect(path, isolation_level=None, check_same_thread=False)
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


class SqliteClient(TimeoutClient):
    """Executes statements on one writing connection or one of three reading ones.

    SELECTs outside a transaction use a reader, other statements the writer.

    `broken` is the error because of which the writer must be reopened before its next use.
    """

    def __init__(self, file_path: str, cache_bytes: int = DEFAULT_CACHE_BYTES, **kwargs: Any) -> None:
        super().__init__(file_path, **kwargs)
        writer_cache, reader_cache = compute_cache_sizes(cache_bytes)
        self.pragmas = WRITER_PRAGMAS | {"cache_size": writer_cache}
        self._reader_pragmas = READER_PRAGMAS | {"cache_size": reader_cache}
        self.broken: sqlite3.Error | None = None
        self._idle_readers: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._readers: set[aiosqlite.Connection] = set()
        self._open_lock = asyncio.Lock()
        self._inline_reader = InlineReader(
            file_path, {name: self._reader_pragmas[name] for name in ("cache_size", "query_only")}
        )
        # Tortoise's own code acquires `_lock` for the writing connection.
        self._lock = self.write_lock = WriteLock()
        self.checkpoints = Checkpoints(file_path, self.write_lock)

    async def create_connection(self, with_db: bool) -> None:
        # Concurrent callers wait; otherwise each would open connections that are never closed.
        async with self._open_lock:
            if not self._connection:
                self._connection = await _open(self.filename, self.pragmas.items())
                await self._post_connect()
            while len(self._readers) < READER_COUNT:
                reader = await self._open_reader()
                self._readers.add(reader)
                self._idle_readers.put_nowait(reader)

    async def _open_reader(self) -> aiosqlite.Connection:
        return await _open(self.filename, self._reader_pragmas.items())

    async def close(self) -> None:
        await self.checkpoints.stop()
        for reader in self._readers:
            await reader.close()
        self._readers.clear()
        self._idle_readers = asyncio.LifoQueue()
        self._inline_reader.close()
        async with self.write_lock:
            await super().close()

    async def reconnect(self) -> None:
        """Reopen the broken writing connection, if the file can be opened.

        The caller must hold the write lock.
        """
        if self.broken is not None and is_read_only(self.broken):
            if await asyncio.to_thread(is_writable, self.filename):
                await self._reconnect_all()
            return
        with suppress(sqlite3.Error):
            new = await _open(self.filename, self.pragmas.items())
            old, self._connection, self.broken = self._connection, new, None
            if old is not None:
                await old.close()

    async def _reconnect_all(self) -> None:
        """Reopen all connections once every reader is idle.

        Does nothing if a reader takes longer than STEP_SECONDS.
        """
        readers: list[aiosqlite.Connection] = []
        try:
            async with asyncio.timeout(STEP_SECONDS):
                while len(readers) < len(self._readers):
                    readers.append(await self._idle_readers.get())
        except TimeoutError:
            for reader in readers:
                self._idle_readers.put_nowait(reader)
            return
        self._readers.clear()
        self._inline_reader.close()
        old, self._connection, self.broken = self._connection, None, None
        for connection in (*readers, old):
            if connection is not None:
                await connection.close()
        await self.create_connection(with_db=True)

    async def fetch_inline(self, query: str, values: Sequence[object]) -> list[Row]:
        """Return the rows of a SELECT that finds few rows by a key.

        It runs in the event loop's thread. If it is too slow or fails there, it is repeated by a reader, which reports
        errors.
        """
        try:
            return self._inline_reader.fetch(self._get_warm_connection(), query, values)
        except TooSlowInline:
            return await self.execute_query_dict(query, list(values))

    def _get_warm_connection(self) -> sqlite3.Connection | None:
        """Return the writing connection if it is idle, otherwise None.

        It is worth using for reads, because its page cache has the pages that it wrote last.

        Using it requires the write lock, so it is idle while the lock is free.
        """
        if self._connection is None or self.broken is not None or not self.write_lock.is_free():
            return None
        return self._connection._conn

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[aiosqlite.Connection]:
        """Lend a reading connection for one statement."""
        if not self._readers:
            await self.create_connection(with_db=True)
        connection = await self._idle_readers.get()
        try:
            yield connection
        except asyncio.CancelledError:
            # Its result is not needed any more, and the next user of the connection would wait for it.
            await connection.interrupt()
            raise
        except sqlite3.Error as exc:
            if is_broken(exc):
                with suppress(sqlite3.Error):
                    new = await self._open_reader()
                    self._readers.add(new)
                    self._readers.discard(connection)
                    connection, old = new, connection
                    await old.close()
            raise
        finally:
            self._idle_readers.put_nowait(connection)

    async def execute_query(self, query: str, values: list[object] | None = None) -> tuple[int, Sequence[Row]]:
        if not _reads_only(query):
            return await super().execute_query(query, values)
        rows = await self.execute_query_dict(query, values)
        return len(rows), rows

    async def execute_query_dict(self, query: str, values: list[object] | None = None) -> list[Row]:
        if not _reads_only(query):
            return await super().execute_query_dict(query, values)
        rows: list[Row] = await self._with_timeout(self._fetch(query, values))
        return rows

    @stock.translate_exceptions
    async def _fetch(self, query: str, values: list[object] | None = None) -> list[Row]:
        async with self.reader() as connection:
            rows: list[Row] = await connection._execute(  # type: ignore[no-untyped-call]
                fetch_rows, connection._conn, query, values or ()
            )
            return rows

    async def run_in_transaction(self, body: TransactionBody[T]) -> T:
        """Run a transaction in the writer's thread.

        See `command_center.database.connections.run_in_transaction`.
        """
        until = await acquire_write_lock(self)
        connection = cast(aiosqlite.Connection, self._connection)
        direct = SqliteDirectConnection(connection._conn)
        seconds = effective_timeout(self.timeout)
        remaining = None if seconds is None else until - time.monotonic() + seconds
        try:
            result: T = await run_in_thread(
                connection, direct.run_in_transaction, body, until, stop=direct.interrupt, seconds=remaining
            )
        except sqlite3.Error as exc:
            raise translate_error(exc) from exc
        finally:
            self.broken = direct.broken
            self.write_lock.release()
        self.checkpoints.schedule()
        return result

    run_statement = run_in_transaction

    async def run_snapshot(self, body: TransactionBody[T]) -> T:
        """Run several SELECTs of one snapshot in a reader's thread."""
        try:
            async with self.reader() as connection:
                direct = SqliteDirectConnection(connection._conn)
                seconds = effective_timeout(self.timeout)
                return await run_in_thread(
                    connection, direct.run_snapshot, body, stop=direct.interrupt, seconds=seconds
                )
        except sqlite3.Error as exc:
            raise translate_error(exc) from exc

    async def run_indexed_reads(self, body: TransactionBody[T]) -> T:
        """Run a body of SELECTs that read one snapshot, in the event loop's thread.

        If they take too long there, they run in a reader's thread.
        """
        try:
            return self._inline_reader.run_snapshot(self._get_warm_connection(), body)
        except TooSlowInline:
            return await self.run_snapshot(body)

    def _in_transaction(self) -> TransactionContext:
        return SqliteWriteTransaction(SqliteTransaction(self), self.write_lock)


client_class: type[DatabaseClient] = SqliteClient
