"""The lease of the worker: on PostgreSQL an advisory lock, so that of many processes one matches; on SQLite the one
process that serves works as well."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

KEY = 0x436F6D6D616E64
RETRY_SECONDS = 1.0
_logger = logging.getLogger("command_center.lease")


class LeaseLost(Exception):
    """The connection that held the lease is gone, and somebody else may have it."""


@asynccontextmanager
async def lease(url: str) -> AsyncIterator[Callable[[], Coroutine[Any, Any, None]]]:
    """Waits for the lease. What it gives is to be awaited beside the work: it raises LeaseLost."""
    if url.startswith("sqlite"):
        yield _for_ever
        return
    connection = await _acquire(url)
    try:
        yield lambda: _watch(connection)
    finally:
        with suppress(Exception):
            await connection.close(timeout=2)


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _acquire(url: str) -> Any:
    while True:
        connection = None
        try:
            connection = await asyncpg.connect(url)
            if await connection.fetchval("SELECT pg_try_advisory_lock($1)", KEY):
                return connection
        except (OSError, asyncpg.PostgresError) as exc:
            _logger.warning("the lease cannot be asked for: %s", exc)
        if connection is not None:
            await connection.close()
        await asyncio.sleep(RETRY_SECONDS)


async def _watch(connection: Any) -> None:
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            await connection.fetchval("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise LeaseLost from exc
