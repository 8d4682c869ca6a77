"""Tortoise's PostgreSQL client as this product needs it: every wait is bounded, a connection that failed is thrown
away, and a database that fails is told from a statement that does (see `models.unavailable`)."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
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

from models.database import Connection
from models.postgres_faults import sentence, told, unavailable
from models.postgres_straight import Straight
from models.unavailable import Unavailable, limit

CONNECTION_SECONDS = 4.0
"""How long one waits for a connection, a new one included."""
TIDY_SECONDS = 0.5
"""How long a connection may take to give up what it was doing; then it is closed."""
CLOSE_SECONDS = 2.0
T = TypeVar("T")


class _Bounded(stock.AsyncpgDBClient):
    """Statements with a time limit."""

    patience: float | None = None

    async def _translate_exceptions(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            async with asyncio.timeout(limit(self.patience)):
                return await super()._translate_exceptions(func, *args, **kwargs)
        except Exception as exc:
            if (instead := unavailable(exc)) is not None:
                raise instead from exc
            raise

    async def execute_query_dict(self, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
        with told():
            async with self.acquire_connection() as connection:
                return await Straight(connection, limit(self.patience)).rows(query, *(values or ()))


class Plain(asyncpg.Connection):  # type: ignore[misc]
    """Goes back into the pool as it is: nobody sets, locks or listens for anything for longer than a transaction, and
    asking the server to forget it all would double the ways there and back of a single statement."""

    def get_reset_query(self) -> str:
        return ""


class PostgresClient(_Bounded):
    """A pool of connections. `patience` is how many seconds a statement may take; None for as long as it likes."""

    def __init__(self, **kwargs: Any) -> None:
        # A pool that keeps some connections open tries to by itself while there is no server, and logs each attempt.
        super().__init__(**{"minsize": 0, **kwargs})

    async def create_connection(self, with_db: bool) -> None:
        self.extra.setdefault("timeout", CONNECTION_SECONDS)
        await super().create_connection(with_db)
        # Whether there is a server is known now, and not when it is first asked for something.
        async with self.acquire_connection():
            pass

    async def create_pool(self, **kwargs: Any) -> asyncpg.Pool:
        return await super().create_pool(**{**kwargs, "connection_class": Plain})

    async def _close(self) -> None:
        if self._pool is not None:
            with suppress(TimeoutError):
                # When its time is up, the pool closes its connections without a word to the server.
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._pool.close()
            self._pool = None

    def acquire_connection(self) -> "Borrowed":
        return Borrowed(self, self._pool_init_lock)

    async def at_once(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """A whole transaction on one connection (see `models.database.at_once`)."""
        return await self._at_once(lambda straight: straight.transact(work))

    async def read_at_once(self, work: Callable[[Connection], Coroutine[Any, Any, T]], by_key: bool) -> T:
        """Several SELECTs of one moment."""
        return await self._at_once(lambda straight: straight.read(work, by_key))

    async def _at_once(self, act: Callable[[Straight], Coroutine[Any, Any, T]]) -> T:
        """However it ends, no transaction is left open."""
        with told():
            async with self.acquire_connection() as connection:
                try:
                    return await act(Straight(connection, limit(self.patience)))
                except BaseException:
                    await _tidied(connection, lambda: connection.execute("ROLLBACK"))
                    raise

    def _in_transaction(self) -> TransactionContext:
        return Turn(Transaction(self), self._pool_init_lock)


class Borrowed(PoolConnectionWrapper[Any]):
    """A connection for one statement or transaction. Raises Unavailable where none is to be had."""

    async def __aenter__(self) -> Any:
        try:
            async with asyncio.timeout(CONNECTION_SECONDS):
                return await super().__aenter__()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise Unavailable(f"no connection: {sentence(exc)}") from exc

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        if self.connection is not None and self.client._pool is not None:
            # A connection that does not come to rest in time is closed, and its place in the pool is free again.
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self.client._pool.release(self.connection, timeout=TIDY_SECONDS)


async def _tidied(connection: asyncpg.Connection, roll_back: Callable[[], Awaitable[Any]]) -> None:
    """Where it does not work the connection is closed, and with it the transaction."""
    try:
        async with asyncio.timeout(TIDY_SECONDS):
            await roll_back()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        _terminate(connection)


def _terminate(connection: asyncpg.Connection) -> None:
    """Closes it without a word to the server. Its place in the pool is free at once."""
    # One that was lost has been taken away from us already.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


class Turn(TransactionContextPooled):
    """One transaction. However it begins and ends, its connection goes back."""

    __slots__ = ("_borrowed",)
    _borrowed: Borrowed

    async def __aenter__(self) -> TransactionalDBClient:
        client = cast(Transaction, self.client)
        self._borrowed = Borrowed(client._parent, self._pool_init_lock)
        client._connection = await self._borrowed.__aenter__()
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
            async with asyncio.timeout(limit(client.patience)):
                await client.commit()
        except Exception as exc:
            if (instead := unavailable(exc, committing=True)) is not None:
                raise instead from exc
            raise

    async def _roll_back(self) -> None:
        client = cast(Transaction, self.client)
        await _tidied(client._connection, client.rollback)

    async def _give_back(self, broken: bool) -> None:
        if broken:
            _terminate(cast(Transaction, self.client)._connection)
        await self._borrowed.__aexit__(None, None, None)


class Transaction(_Bounded, stock.TransactionWrapper):
    """The client inside a transaction."""

    def __init__(self, connection: _Bounded) -> None:
        super().__init__(connection)
        self.patience = connection.patience

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(Transaction(self))


client_class = PostgresClient
