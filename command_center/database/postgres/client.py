"""Tortoise's PostgreSQL client as this product needs it: every wait is bounded, a connection that failed is thrown
away, and a database that fails is told from a statement that does (see `command_center.database.errors`)."""

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

from command_center.database.connections import TransactionBody
from command_center.database.errors import timeout_limit
from command_center.database.postgres.direct import DirectConnection
from command_center.database.postgres.errors import translate_errors, unavailable
from command_center.database.postgres.lookup_pool import (
    MOST,
    SETTINGS,
    TIDY_SECONDS,
    LookupPool,
    acquire_connection,
    reset_or_terminate,
    roll_back_on_failure,
    terminate,
)
from command_center.database.postgres.url import PostgresAddress

CLOSE_SECONDS = 2.0
_IN_THE_ADDRESS = frozenset({"host", "port", "user", "password", "database", "dsn"})
T = TypeVar("T")


class _TimeoutClient(stock.AsyncpgDBClient):
    """Statements with a time limit."""

    timeout: float | None = None

    async def _translate_exceptions(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            async with asyncio.timeout(timeout_limit(self.timeout)):
                return await super()._translate_exceptions(func, *args, **kwargs)
        except Exception as exc:
            if (instead := unavailable(exc)) is not None:
                raise instead from exc
            raise

    async def execute_query_dict(self, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
        with translate_errors():
            async with self.acquire_connection() as connection:
                return await self._direct(connection).fetch(query, *(values or ()))

    def _direct(self, connection: asyncpg.Connection) -> DirectConnection:
        return DirectConnection(connection, timeout_limit(self.timeout))


class NoResetConnection(asyncpg.Connection):  # type: ignore[misc]
    """Goes back into the pool as it is: nobody sets, locks or listens for anything for longer than a transaction, and
    asking the server to forget it all would double the ways there and back of a single statement."""

    def get_reset_query(self) -> str:
        return ""


class PostgresClient(_TimeoutClient):
    """A pool of connections, and one for what finds rows by keys.

    `patience` is how many seconds a statement may take; None for as long as it likes.
    """

    def __init__(self, address: PostgresAddress, **kwargs: Any) -> None:
        # A pool that keeps some connections open tries to by itself while there is no server, and logs each attempt.
        super().__init__(**{"minsize": 0, **kwargs})
        self._address = address

    async def create_connection(self, with_db: bool) -> None:
        await super().create_connection(with_db)
        settings = {"max_size": MOST, "server_settings": self.server_settings | SETTINGS}
        self._keyed = LookupPool(await self.create_pool(password=self.password, **self._template | settings))
        # Whether there is a server is known now, and not when it is first asked for something.
        async with self.acquire_connection():
            pass

    async def create_pool(self, **kwargs: Any) -> asyncpg.Pool:
        # The address says it all; Tortoise's own arguments would take precedence over what stands there.
        others = {name: value for name, value in kwargs.items() if name not in _IN_THE_ADDRESS}
        return await asyncpg.create_pool(
            **{**others, **self._address.arguments(), "connection_class": NoResetConnection}
        )

    async def _close(self) -> None:
        if self._pool is not None:
            for close in (self._keyed.close, self._pool.close):
                with suppress(TimeoutError):
                    # When its time is up, a pool closes its connections without a word to the server.
                    async with asyncio.timeout(CLOSE_SECONDS / 2):
                        await close()
            self._pool = None

    def acquire_connection(self) -> "PooledConnection":
        return PooledConnection(self, self._pool_init_lock)

    async def run_in_transaction(self, work: TransactionBody[T]) -> T:
        """A whole transaction on one connection (see `command_center.database.connections.at_once`)."""
        return await self._lookup(lambda straight: straight.run_in_transaction(work))

    async def run_statement(self, work: TransactionBody[T]) -> T:
        """A statement that is a transaction by itself."""
        return await self._lookup(lambda straight: straight.run_statement(work))

    async def run_snapshot(self, work: TransactionBody[T]) -> T:
        """Several SELECTs of one moment."""
        with translate_errors():
            async with self.acquire_connection() as connection:
                return await roll_back_on_failure(connection, lambda raw: self._direct(raw).run_snapshot(work))

    async def run_indexed_reads(self, work: TransactionBody[T]) -> T:
        """Several SELECTs on one connection."""
        return await self._lookup(work)

    async def fetch_inline(self, query: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """The rows of a SELECT that finds few, by a key."""
        return await self._lookup(lambda straight: straight.fetch(query, *values))

    async def _lookup(self, work: Callable[[DirectConnection], Coroutine[Any, Any, T]]) -> T:
        if self._pool is None:
            await self.create_connection(with_db=True)
        with translate_errors():
            return await self._keyed.use(lambda connection: work(self._direct(connection)))

    def _in_transaction(self) -> TransactionContext:
        return WriteTransaction(Transaction(self), self._pool_init_lock)


class PooledConnection(PoolConnectionWrapper[Any]):
    """A connection for one statement or transaction. Raises Unavailable where none is to be had."""

    async def __aenter__(self) -> Any:
        return await acquire_connection(super().__aenter__)

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        if self.connection is not None and self.client._pool is not None:
            # A connection that does not come to rest in time is closed, and its place in the pool is free again.
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self.client._pool.release(self.connection, timeout=TIDY_SECONDS)


class WriteTransaction(TransactionContextPooled):
    """One transaction. However it begins and ends, its connection goes back."""

    __slots__ = ("_borrowed",)
    _pooled: PooledConnection

    async def __aenter__(self) -> TransactionalDBClient:
        client = cast(Transaction, self.client)
        self._pooled = PooledConnection(client._parent, self._pool_init_lock)
        client._connection = await self._pooled.__aenter__()
        try:
            await client.begin()
        except BaseException:
            await self._give_back(broken=True)
            raise
        # Only now: a task that runs beside this one must not see a transaction that has not begun.
        self.token = get_connections().set(self.connection_name, client)
        return client

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
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
        client = cast(Transaction, self.client)
        try:
            async with asyncio.timeout(timeout_limit(client.timeout)):
                await client.commit()
        except Exception as exc:
            if (instead := unavailable(exc, committing=True)) is not None:
                raise instead from exc
            raise

    async def _roll_back(self) -> None:
        client = cast(Transaction, self.client)
        await reset_or_terminate(client._connection, client.rollback)

    async def _give_back(self, broken: bool) -> None:
        if broken:
            terminate(cast(Transaction, self.client)._connection)
        await self._pooled.__aexit__(None, None, None)


class Transaction(_TimeoutClient, stock.TransactionWrapper):
    """The client inside a transaction."""

    def __init__(self, connection: _TimeoutClient) -> None:
        super().__init__(connection)
        self.timeout = connection.timeout

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(Transaction(self))


client_class = PostgresClient
