"""Connections to PostgreSQL for statements that find their rows by keys, each kept as it is for whoever needs it next.

One plan fits all values of such a statement. Making it anew each time takes longer than carrying it out, so it is kept;
and as it is, it must not be one for a table that was still empty when it was made.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg

from command_center.database.errors import Unavailable
from command_center.database.postgres.errors import message_of
from command_center.database.postgres.url import TIMEOUT_SECONDS

T = TypeVar("T")
MOST = 5
SETTINGS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}
TIDY_SECONDS = 0.5
"""How long a connection may take to give up what it was doing; then it is closed."""


class LookupPool:
    """Keeps what a pool of such connections gives out: giving it back and having it again takes of the processor what
    a statement does."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._idle: list[asyncpg.Connection] = []
        self._room = asyncio.Semaphore(MOST)

    async def use(self, act: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Does something with a connection. However it ends, no transaction is left open. Raises Unavailable where no
        connection is to be had."""
        await self._enter()
        try:
            connection = await self._ready()
            try:
                return await roll_back_on_failure(connection, act)
            finally:
                if not _is_closed(connection):
                    self._idle.append(connection)
        finally:
            self._room.release()

    async def close(self) -> None:
        """Closes what nobody uses; once that takes too long, without a word to the server."""
        for connection in self._idle:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._pool.release(connection, timeout=TIDY_SECONDS)
        await self._pool.close()

    async def _enter(self) -> None:
        if self._room.locked():
            await acquire_connection(self._room.acquire)
        else:
            await self._room.acquire()

    async def _ready(self) -> asyncpg.Connection:
        while self._idle:
            if not _is_closed(connection := self._idle.pop()):
                return connection
        return await acquire_connection(self._pool.acquire)


async def acquire_connection(acquire: Callable[[], Awaitable[T]]) -> T:
    """A connection, or room for one. Raises Unavailable where none is to be had in time."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await acquire()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise Unavailable(f"no connection: {message_of(exc)}") from exc


async def roll_back_on_failure(connection: asyncpg.Connection, act: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Does something with a connection that closes what it opens. Where it fails, its transaction is rolled back."""
    try:
        return await act(connection)
    except BaseException:
        await reset_or_terminate(connection, lambda: connection.execute("ROLLBACK"))
        raise


async def reset_or_terminate(connection: asyncpg.Connection, roll_back: Callable[[], Awaitable[Any]]) -> None:
    """Rolls back. Where that does not come to its end the connection is closed, and with it the transaction."""
    try:
        async with asyncio.timeout(TIDY_SECONDS):
            await roll_back()
    except BaseException as exc:
        # Cancelled once more as well: whoever has the connection next must not go on with what was begun here.
        terminate(connection)
        if not isinstance(exc, OSError | asyncpg.PostgresError | asyncpg.InterfaceError):
            raise


def terminate(connection: asyncpg.Connection) -> None:
    """Closes it without a word to the server. Its place in the pool is free at once."""
    # One that was lost has been taken away from us already.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


def _is_closed(connection: asyncpg.Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        # It was lost, and the pool has taken it away.
        return True
