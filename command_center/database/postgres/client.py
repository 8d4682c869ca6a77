"""Tortoise's PostgreSQL client with limited waits.

A connection that failed is closed. Failures of the database and of a statement are different exceptions (see
`command_center.database.errors`).
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

import asyncpg
from tortoise.backends.asyncpg import client as stock
from tortoise.backends.base.client import (
    NestedTransactionContext,
    PoolConnectionWrapper,
    TransactionalDBClient,
    TransactionContext,
    TransactionContextPooled,
)
from tortoise.connection import get_connections

from command_center.database.connections import DatabaseClient, Row, TransactionBody
from command_center.database.errors import effective_timeout
from command_center.database.postgres.direct import PostgresDirectConnection
from command_center.database.postgres.errors import translate_errors, unavailable
from command_center.database.postgres.lookup_pool import (
    MAX_CONNECTIONS,
    RESET_TIMEOUT_SECONDS,
    SESSION_SETTINGS,
    LookupPool,
    acquire_connection,
    reset_or_terminate,
    roll_back_on_failure,
    terminate,
)
from command_center.database.postgres.url import PostgresAddress

CLOSE_TIMEOUT_SECONDS = 2.0
_ARGUMENTS_FROM_ADDRESS = frozenset({"host", "port", "user", "password", "database", "dsn"})
T = TypeVar("T")


class _TimeoutClient(stock.AsyncpgDBClient):
    """Limits the time of each statement to `timeout` seconds; None is no limit."""

    timeout: float | None = None

    async def _translate_exceptions(self, func: Callable[..., object], *args: object, **kwargs: object) -> Any:
        # Tortoise says that this returns an exception, but it returns what `func` does.
        try:
            async with asyncio.timeout(effective_timeout(self.timeout)):
                return await super()._translate_exceptions(func, *args, **kwargs)
        except Exception as exc:
            if (instead := unavailable(exc)) is not None:
                raise instead from exc
            raise

    async def execute_query_dict(self, query: str, values: list[object] | None = None) -> list[Row]:
        with translate_errors():
            async with self.acquire_connection() as connection:
                return await self._wrap(connection).fetch(query, *(values or ()))

    def _wrap(self, connection: asyncpg.Connection) -> PostgresDirectConnection:
        return PostgresDirectConnection(connection, effective_timeout(self.timeout))


class NoResetConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that returns to the pool without a reset.

    This product uses no session settings, session locks or LISTEN, and the reset would double the round trips of a
    single statement.
    """

    def get_reset_query(self) -> str:
        return ""


class PostgresClient(_TimeoutClient):
    """Executes statements on connections of two pools.

    One pool is for all statements. The other, a `LookupPool`, is for statements that find their rows by keys.

    `timeout` is the limit of a statement in seconds; None is no limit.
    """

    def __init__(self, address: PostgresAddress, **kwargs: Any) -> None:
        # With a minimum size, the pool would reconnect by itself during an outage and log each attempt.
        super().__init__(**{"minsize": 0, **kwargs})
        self._address = address

    async def create_connection(self, with_db: bool) -> None:
        await super().create_connection(with_db)
        settings = {"max_size": MAX_CONNECTIONS, "server_settings": self.server_settings | SESSION_SETTINGS}
        self._lookup_pool = LookupPool(await self.create_pool(password=self.password, **self._template | settings))
        # Connect once, so that an unreachable server is detected now and not by the first statement.
        async with self.acquire_connection():
            pass

    async def create_pool(self, **kwargs: object) -> asyncpg.Pool:
        # The address contains all parameters; Tortoise's own arguments would take precedence over them.
        options = {name: value for name, value in kwargs.items() if name not in _ARGUMENTS_FROM_ADDRESS}
        return await asyncpg.create_pool(
            **{**options, **self._address.arguments(), "connection_class": NoResetConnection}
        )

    async def _close(self) -> None:
        if self._pool is not None:
            for close in (self._lookup_pool.close, self._pool.close):
                with suppress(TimeoutError):
                    # After the timeout the pool terminates its connections without notifying the server.
                    async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS / 2):
                        await close()
            self._pool = None

    def acquire_connection(self) -> "PooledConnection":
        return PooledConnection(self, self._pool_init_lock)

    async def run_in_transaction(self, body: TransactionBody[T]) -> T:
        """Run a transaction on one connection.

        See `command_center.database.connections.run_in_transaction`.
        """
        return await self._use_lookup_pool(lambda direct: direct.run_in_transaction(body))

    async def run_statement(self, body: TransactionBody[T]) -> T:
        """Run a body that executes one statement, which is a transaction by itself."""
        return await self._use_lookup_pool(lambda direct: direct.run_statement(body))

    async def run_snapshot(self, body: TransactionBody[T]) -> T:
        """Run several SELECTs that all read the same snapshot."""
        with translate_errors():
            async with self.acquire_connection() as connection:
                return await roll_back_on_failure(connection, lambda raw: self._wrap(raw).run_snapshot(body))

    async def run_indexed_reads(self, body: TransactionBody[T]) -> T:
        """Run several SELECTs on one connection."""
        return await self._use_lookup_pool(body)

    async def fetch_inline(self, query: str, values: Sequence[object]) -> list[Row]:
        """Return the rows of a SELECT that finds few rows by a key."""
        return await self._use_lookup_pool(lambda direct: direct.fetch(query, *values))

    async def _use_lookup_pool(self, body: Callable[[PostgresDirectConnection], Coroutine[object, None, T]]) -> T:
        if self._pool is None:
            await self.create_connection(with_db=True)
        with translate_errors():
            return await self._lookup_pool.use(lambda connection: body(self._wrap(connection)))

    def _in_transaction(self) -> TransactionContext:
        return PostgresWriteTransaction(PostgresTransaction(self), self._pool_init_lock)


class PooledConnection(PoolConnectionWrapper[asyncpg.Connection]):
    """A connection of the pool for one statement or transaction.

    Raises: Unavailable if no connection is free in time.
    """

    async def __aenter__(self) -> asyncpg.Connection:
        return await acquire_connection(super().__aenter__)

    async def __aexit__(self, exc_type: object, exc_val: object, exc_tb: object) -> None:
        if self.connection is not None and self.client._pool is not None:
            # A connection that cannot be reset in time is closed, which makes room in the pool.
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self.client._pool.release(self.connection, timeout=RESET_TIMEOUT_SECONDS)


class PostgresWriteTransaction(TransactionContextPooled):
    """One transaction on a connection of the pool.

    The connection returns to the pool however the transaction starts and ends.
    """

    __slots__ = ("_borrowed",)
    _pooled: PooledConnection

    async def __aenter__(self) -> TransactionalDBClient:
        client = cast(PostgresTransaction, self.client)
        self._pooled = PooledConnection(client._parent, self._pool_init_lock)
        client._connection = await self._pooled.__aenter__()
        try:
            await client.begin()
        except BaseException:
            await self._give_back(broken=True)
            raise
        # Only after BEGIN: a concurrent task must not see a transaction that has not started.
        self.token = get_connections().set(self.connection_name, client)
        return client

    async def __aexit__(self, exc_type: object, exc_val: object, exc_tb: object) -> None:
        get_connections().reset(self.token)
        broken = True
        try:
            if exc_type is None:
                await self._commit()
            else:
                await self._roll_back()
            broken = False
        finally:
            await self._give_back(broken)

    async def _commit(self) -> None:
        client = cast(PostgresTransaction, self.client)
        try:
            async with asyncio.timeout(effective_timeout(client.timeout)):
                await client.commit()
        except Exception as exc:
            if (instead := unavailable(exc, committing=True)) is not None:
                raise instead from exc
            raise

    async def _roll_back(self) -> None:
        client = cast(PostgresTransaction, self.client)
        await reset_or_terminate(client._connection, client.rollback)

    async def _give_back(self, broken: bool) -> None:
        if broken:
            terminate(cast(PostgresTransaction, self.client)._connection)
        await self._pooled.__aexit__(None, None, None)


class PostgresTransaction(_TimeoutClient, stock.TransactionWrapper):
    """The client inside a transaction."""

    def __init__(self, connection: _TimeoutClient) -> None:
        super().__init__(connection)
        self.timeout = connection.timeout

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(PostgresTransaction(self))


client_class: type[DatabaseClient] = PostgresClient
