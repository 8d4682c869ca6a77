"""The lease of the worker: of all processes on one database one matches. On PostgreSQL it is an advisory lock, on
SQLite a lock on a file beside the database; either ends with the process that holds it."""

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

import asyncpg

from command_center.database.connections import sqlite_path
from command_center.database.errors import FailureLog
from command_center.database.postgres import url as postgres_url

KEY = 0x436F6D6D616E64
RETRY_SECONDS = 1.0
ANSWER_SECONDS = 5.0
_logger = logging.getLogger("command_center.lease")
_outage = FailureLog(_logger, "the lease cannot be asked for")
Held = Callable[[], Coroutine[Any, Any, None]]


class LeaseLost(Exception):
    """The connection that held the lease is gone, and somebody else may have it."""


class Taken(Exception):
    """Somebody else holds the lease."""


@asynccontextmanager
async def hold_lease(url: str, patient: bool = True) -> AsyncIterator[Held]:
    """Waits for the lease, or raises Taken where one is not patient. What it gives is to be awaited beside the work: it
    raises LeaseLost."""
    holds = _on_sqlite(url, patient) if url.startswith("sqlite") else _on_postgres(url, patient)
    async with holds as held:
        yield held


@asynccontextmanager
async def _on_sqlite(url: str, patient: bool) -> AsyncIterator[Held]:
    file = await asyncio.to_thread(_opened, sqlite_path(url))
    try:
        while not _locked(file):
            if not patient:
                raise Taken
            await asyncio.sleep(RETRY_SECONDS / 10)
        yield _for_ever
    finally:
        # Left where it is: whoever removed it could remove the one that another process has locked by now.
        file.close()


def _opened(database: str) -> IO[str]:
    # Beside the file itself: whoever comes by another link is to wait, too.
    return Path(os.path.realpath(database) + ".lease").open("a")


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _for_ever() -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def _on_postgres(url: str, patient: bool) -> AsyncIterator[Held]:
    connection = None
    while connection is None:
        connection = await _try(url, patient)
        if connection is None:
            await asyncio.sleep(RETRY_SECONDS)
    held = connection
    try:
        yield lambda: _watch(held)
    finally:
        await _close(held)


async def _try(url: str, patient: bool) -> Any:
    """A connection that holds the lease; None where somebody else does, or nothing answers."""
    connection = None
    try:
        connection = await asyncpg.connect(**postgres_url.parse(url).arguments())
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", KEY, timeout=ANSWER_SECONDS):
            return connection
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        _outage.warn(exc)
    await _close(connection)
    if not patient:
        raise Taken
    return None


async def _close(connection: Any) -> None:
    if connection is not None:
        with suppress(Exception):
            await connection.close(timeout=2)


async def _watch(connection: Any) -> None:
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            await connection.fetchval("SELECT 1", timeout=ANSWER_SECONDS)
        except Exception as exc:
            # Whatever failed, asyncpg's internal errors included: nothing shows that the session has the lock.
            raise LeaseLost from exc
