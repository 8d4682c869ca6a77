"""Tortoise's SQLite client as this product needs it: one writing connection whose transactions begin IMMEDIATE,
and three reading connections beside it that never wait for the writer (WAL gives each statement the last commit).

Durability: synchronous FULL, so a commit that was answered survives a power cut. A connection that opened the file in
a bad state is opened anew; turns at writing are in `command_center.database.sqlite.transactions`.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, cast

import aiosqlite
from tortoise.backends.base.client import TransactionContext
from tortoise.backends.sqlite import client as stock

from command_center.database.connections import CACHE_BYTES
from command_center.database.errors import timeout_limit
from command_center.database.sqlite.checkpoints import Checkpoints
from command_center.database.sqlite.direct import STEP_SECONDS, DirectConnection, fetch_rows, in_thread, translated
from command_center.database.sqlite.errors import is_broken, is_read_only, is_writable
from command_center.database.sqlite.inline_reader import InlineReader, TooSlowInline
from command_center.database.sqlite.transactions import (
    TimeoutClient,
    Transaction,
    WriteLock,
    WriteTransaction,
    acquire_write_lock,
)

T = TypeVar("T")
READERS = 3
PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    "busy_timeout": str(int(1000 * STEP_SECONDS)),
    "journal_size_limit": str(64 * 1024 * 1024),
    # Copying is not for a commit to do (see `sqlite_checkpoints`), unless that should fall behind.
    "wal_autocheckpoint": "64000",
    "temp_store": "MEMORY",
}
READING = {"temp_store": PRAGMAS["temp_store"], "busy_timeout": "5000", "query_only": "ON"}


def cache_sizes(total: int) -> tuple[str, str]:
    """Divide the bytes of all page caches: return `cache_size` for the writer, and for each connection that reads.

    The writer has half: it also serves most readings of single rows. The other half is for the readers and `Glances`.
    """
    kibibytes = total // 1024
    return f"-{kibibytes // 2}", f"-{kibibytes // 2 // (READERS + 1)}"


def _check_file(path: str) -> None:
    """Opens the file and closes it again. One that cannot be opened leaves aiosqlite's thread behind, with a trace."""
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
    """One writer, three readers. SELECTs outside a transaction go to a reader, everything else to the writer.

    `worn` is why the writer has to be opened anew before it is used again.
    """

    def __init__(self, file_path: str, cache_bytes: int = CACHE_BYTES, **kwargs: Any) -> None:
        super().__init__(file_path, **kwargs)
        writing, reading = cache_sizes(cache_bytes)
        self.pragmas = PRAGMAS | {"cache_size": writing}
        self._reading = READING | {"cache_size": reading}
        self.broken: sqlite3.Error | None = None
        self._idle: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._readers: set[aiosqlite.Connection] = set()
        self._opening = asyncio.Lock()
        self._glances = InlineReader(file_path, {name: self._reading[name] for name in ("cache_size", "query_only")})
        # Tortoise, too, takes this for whatever goes to the one connection.
        self._lock = self.write_lock = WriteLock()
        self.checkpoints = Checkpoints(file_path, self.write_lock)

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
        return await _open(self.filename, self._reading.items())

    async def close(self) -> None:
        await self.checkpoints.stop()
        for reader in self._readers:
            await reader.close()
        self._readers.clear()
        self._idle = asyncio.LifoQueue()
        self._glances.close()
        async with self.write_lock:
            await super().close()

    async def reconnect(self) -> None:
        """Opens anew what is worn, if the file lets us. Only whoever has the turn to write may."""
        if self.broken is not None and is_read_only(self.broken):
            if await asyncio.to_thread(is_writable, self.filename):
                await self._reconnect_all()
            return
        with suppress(sqlite3.Error):
            fresh = await _open(self.filename, self.pragmas.items())
            worn_out, self._connection, self.broken = self._connection, fresh, None
            if worn_out is not None:
                await worn_out.close()

    async def _reconnect_all(self) -> None:
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
        self._glances.close()
        worn_out, self._connection, self.broken = self._connection, None, None
        for connection in (*readers, worn_out):
            if connection is not None:
                await connection.close()
        await self.create_connection(with_db=True)

    async def fetch_inline(self, query: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """The rows of a SELECT that finds few, on the spot. Where that cannot be, it takes the way of the others, which
        waits and tells what is wrong."""
        try:
            return self._glances.rows(self._warm_connection(), query, values)
        except TooSlowInline:
            return await self.execute_query_dict(query, list(values))

    def _warm_connection(self) -> sqlite3.Connection | None:
        """The connection that writes, while its thread has nothing to do: who gives it something has the turn."""
        if self._connection is None or self.broken is not None or not self.write_lock.is_free():
            return None
        return self._connection._conn

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
            if is_broken(exc):
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
            run: Any = connection._execute
            return cast(list[dict[str, Any]], await run(fetch_rows, connection._conn, query, values or ()))

    async def run_in_transaction(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """A whole transaction in the writer's thread (see `command_center.database.connections.at_once`)."""
        until = await acquire_write_lock(self)
        connection = cast(aiosqlite.Connection, self._connection)
        straight = DirectConnection(connection._conn)
        seconds = timeout_limit(self.timeout)
        left = None if seconds is None else until - time.monotonic() + seconds
        try:
            result: T = await in_thread(
                connection, straight.run_in_transaction, work, until, stop=straight.interrupt, seconds=left
            )
        except sqlite3.Error as exc:
            raise translated(exc) from exc
        finally:
            self.broken = straight.broken
            self.write_lock.release()
        self.checkpoints.schedule()
        return result

    run_statement = run_in_transaction

    async def run_snapshot(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Several SELECTs of one moment in a reader's thread."""
        try:
            async with self.reader() as connection:
                straight = DirectConnection(connection._conn)
                seconds = timeout_limit(self.timeout)
                return await in_thread(
                    connection, straight.run_snapshot, work, stop=straight.interrupt, seconds=seconds
                )
        except sqlite3.Error as exc:
            raise translated(exc) from exc

    async def run_indexed_reads(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """The same on the spot, where it is done in a moment."""
        try:
            return self._glances.read(self._warm_connection(), work)
        except TooSlowInline:
            return await self.run_snapshot(work)

    def _in_transaction(self) -> TransactionContext:
        return WriteTransaction(Transaction(self), self.write_lock)


client_class = SqliteClient
