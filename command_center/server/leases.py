"""The lease: of all processes on one database, only one matches and sends.

On PostgreSQL it is an advisory lock, on SQLite a lock on a file beside the database. Either is released when the
process that holds it ends. The fencing number is in `command_center.lists.fencing`.
"""

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

import asyncpg

from command_center.database.connections import sqlite_path
from command_center.database.errors import FailureLog
from command_center.database.postgres import url as postgres_url

ADVISORY_LOCK_KEY = 0x436F6D6D616E64
RETRY_SECONDS = 1.0
QUERY_TIMEOUT_SECONDS = 5.0
_logger = logging.getLogger("command_center.leases")
_failures = FailureLog(_logger, "the lease cannot be acquired")
LeaseWatch = Callable[[], Coroutine[None, None, None]]
"""Watches a lease until cancelled; raises LeaseLost if it is lost."""


class LeaseConnection(Protocol):
    """The methods of an asyncpg connection that this module uses.

    asyncpg itself has no type annotations.
    """

    async def fetchval(self, query: str, *values: object, timeout: float) -> object: ...  # noqa: ASYNC109
    async def close(self, *, timeout: float) -> None: ...  # noqa: ASYNC109


class LeaseLost(Exception):
    """The connection that held the lease is lost.

    Another process may hold the lease now.
    """


class LeaseHeld(Exception):
    """Another process holds the lease."""


@asynccontextmanager
async def hold_lease(url: str, wait: bool = True) -> AsyncIterator[LeaseWatch]:
    """Hold the lease during the block, and yield a coroutine function that watches it.

    The caller awaits that function beside its work, because it raises LeaseLost if the lease is lost. Without `wait`
    the lease must be free: otherwise LeaseHeld is raised.
    """
    context = _on_sqlite(url, wait) if url.startswith("sqlite") else _on_postgres(url, wait)
    async with context as watch:
        yield watch


@asynccontextmanager
async def _on_sqlite(url: str, wait: bool) -> AsyncIterator[LeaseWatch]:
    file = await asyncio.to_thread(_open_lock_file, sqlite_path(url))
    try:
        while not _try_lock(file):
            if not wait:
                raise LeaseHeld
            await asyncio.sleep(RETRY_SECONDS / 10)
        yield _wait_forever
    finally:
        # The file is not deleted: it might be one that another process has locked meanwhile.
        file.close()


def _open_lock_file(database: str) -> IO[str]:
    # Beside the real file, so that processes which open it through different links use the same lock.
    return Path(os.path.realpath(database) + ".lease").open("a")


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _wait_forever() -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def _on_postgres(url: str, wait: bool) -> AsyncIterator[LeaseWatch]:
    connection = None
    while connection is None:
        connection = await _try_acquire(url, wait)
        if connection is None:
            await asyncio.sleep(RETRY_SECONDS)
    owner = connection
    try:
        yield lambda: _watch(owner)
    finally:
        await _close(owner)


async def _try_acquire(url: str, wait: bool) -> LeaseConnection | None:
    """Return a connection that holds the lease.

    The result is None if another process holds it, or the server does not answer.
    """
    connection: LeaseConnection | None = None
    try:
        connection = await asyncpg.connect(**postgres_url.parse(url).arguments())
        if await connection.fetchval(
            "SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK_KEY, timeout=QUERY_TIMEOUT_SECONDS
        ):
            return connection
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        _failures.warn(exc)
    await _close(connection)
    if not wait:
        raise LeaseHeld
    return None


async def _close(connection: LeaseConnection | None) -> None:
    if connection is not None:
        with suppress(Exception):
            await connection.close(timeout=2)


async def _watch(connection: LeaseConnection) -> None:
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            await connection.fetchval("SELECT 1", timeout=QUERY_TIMEOUT_SECONDS)
        except Exception as exc:
            # After any error, including asyncpg's internal ones, it is unknown whether the session has the lock.
            raise LeaseLost from exc
