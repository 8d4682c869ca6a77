"""A pool of connections for statements that find their rows by keys.

One plan is right for all values of such a statement, and planning takes longer than executing. These connections
therefore use generic plans and keep them. Sequential scans are disabled, so that a plan made while a table was empty
still uses an index.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import asyncpg

from command_center.database.errors import Unavailable
from command_center.database.postgres.errors import message_of
from command_center.database.postgres.url import CONNECT_TIMEOUT_SECONDS

T = TypeVar("T")
MAX_CONNECTIONS = 5
SESSION_SETTINGS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}
"""Session settings of the connections."""
RESET_TIMEOUT_SECONDS = 0.5
"""How long resetting a connection may take before it is closed instead."""


class LookupPool:
    """Reuses connections of a pool without releasing them to the pool in between.

    To release one and acquire it again would need as much processor time as a statement.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._idle: list[asyncpg.Connection] = []
        self._free_slots = asyncio.Semaphore(MAX_CONNECTIONS)

    async def use(self, act: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Call a coroutine function with a connection, and return its result.

        Afterwards no transaction is open on the connection, whatever happens.

        Raises: Unavailable if no connection is available in time.
        """
        await self._enter()
        try:
            connection = await self._acquire()
            try:
                return await roll_back_on_failure(connection, act)
            finally:
                if not _is_closed(connection):
                    self._idle.append(connection)
        finally:
            self._free_slots.release()

    async def close(self) -> None:
        """Close idle connections.

        When cancelled by a timeout, the pool terminates them without notifying the server.
        """
        for connection in self._idle:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._pool.release(connection, timeout=RESET_TIMEOUT_SECONDS)
        await self._pool.close()

    async def _enter(self) -> None:
        if self._free_slots.locked():
            await acquire_connection(self._free_slots.acquire)
        else:
            await self._free_slots.acquire()

    async def _acquire(self) -> asyncpg.Connection:
        while self._idle:
            if not _is_closed(connection := self._idle.pop()):
                return connection
        return await acquire_connection(self._pool.acquire)


async def acquire_connection(acquire: Callable[[], Awaitable[T]]) -> T:
    """Acquire a connection, or the right to open one.

    Raises: Unavailable if none is available in time.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            return await acquire()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise Unavailable(f"no connection: {message_of(exc)}") from exc


async def roll_back_on_failure(connection: asyncpg.Connection, act: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Call a coroutine function; if it fails, roll back the transaction it left open.

    If it succeeds, it must have closed each transaction that it opened.
    """
    try:
        return await act(connection)
    except BaseException:
        await reset_or_terminate(connection, lambda: connection.execute("ROLLBACK"))
        raise


async def reset_or_terminate(connection: asyncpg.Connection, roll_back: Callable[[], Awaitable[object]]) -> None:
    """Call `roll_back`. If it fails or takes too long, terminate the connection.

    That ends the connection's transaction as well.
    """
    try:
        async with asyncio.timeout(RESET_TIMEOUT_SECONDS):
            await roll_back()
    except BaseException as exc:
        # Also after a second cancellation: the next user of the connection must not continue this transaction.
        terminate(connection)
        if not isinstance(exc, OSError | asyncpg.PostgresError | asyncpg.InterfaceError):
            raise


def terminate(connection: asyncpg.Connection) -> None:
    """Close a connection at once, without notifying the server.

    This makes room in the pool.
    """
    # The pool has already removed a connection that was lost.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


def _is_closed(connection: asyncpg.Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        # It was lost, and the pool has removed it.
        return True
