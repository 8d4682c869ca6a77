"""Tortoise's PostgreSQL client as this product needs it: every wait is bounded, a connection that failed is thrown
away, and a database that fails is told from a statement that does (see `models.unavailable`)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

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
from tortoise.exceptions import BaseORMException

from models.unavailable import OutcomeUnknown, Unavailable, limit

CONNECTION_SECONDS = 4.0
"""How long one waits for a connection, a new one included."""
TIDY_SECONDS = 0.5
"""How long a connection may take to give up what it was doing; then it is closed."""
CLOSE_SECONDS = 2.0
_STATES = ("08", "53", "57", "58", "25006", "40001", "40P01", "55P03")
"""Beginnings of SQLSTATE: connection, resources, operator and system; a read-only server, deadlocks and locks."""
_OVER = ("closed", "closing", "released back to the pool")
"""What asyncpg says of a connection that was lost before anything was sent."""
_LOST = ("08", "57P")
"""Those that end the connection: a COMMIT they answer may stand nevertheless."""


def _fault(exc: BaseException) -> BaseException | None:
    """The database's own failure behind an exception; None where the statement is to blame."""
    cause = exc.__cause__ if isinstance(exc, BaseORMException) and exc.__cause__ is not None else exc
    if isinstance(cause, asyncpg.PostgresError):
        return cause if str(cause.sqlstate).startswith(_STATES) else None
    if type(cause) is asyncpg.InterfaceError:
        return cause if any(word in str(cause) for word in _OVER) else None
    # The last is what asyncpg says where a connection was lost while it was being tidied up.
    return cause if isinstance(cause, OSError | asyncpg.InternalClientError) else None


def _uncommitted(cause: BaseException) -> bool:
    """Whether a COMMIT that failed so was never sent, or was refused by the server."""
    if isinstance(cause, asyncpg.PostgresError):
        return not str(cause.sqlstate).startswith(_LOST)
    return isinstance(cause, asyncpg.InterfaceError)


def _sentence(cause: BaseException) -> str:
    return "no answer in time" if isinstance(cause, TimeoutError) else f"{type(cause).__name__}: {cause}"


class _Bounded(stock.AsyncpgDBClient):
    """Statements with a time limit."""

    patience: float | None = None

    async def _translate_exceptions(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            async with asyncio.timeout(limit(self.patience)):
                return await super()._translate_exceptions(func, *args, **kwargs)
        except Exception as exc:
            if (cause := _fault(exc)) is not None:
                raise Unavailable(_sentence(cause)) from exc
            raise


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

    def _in_transaction(self) -> TransactionContext:
        return Turn(Transaction(self), self._pool_init_lock)


class Borrowed(PoolConnectionWrapper[Any]):
    """A connection for one statement or transaction. Raises Unavailable where none is to be had."""

    async def __aenter__(self) -> Any:
        try:
            async with asyncio.timeout(CONNECTION_SECONDS):
                return await super().__aenter__()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            raise Unavailable(f"no connection: {_sentence(exc)}") from exc

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        if self.connection is not None and self.client._pool is not None:
            # A connection that does not come to rest in time is closed, and its place in the pool is free again.
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self.client._pool.release(self.connection, timeout=TIDY_SECONDS)

    def terminate(self) -> None:
        """Closes it without a word to the server. Its place in the pool is free at once."""
        # One that was lost has been taken away from us already.
        with suppress(asyncpg.InterfaceError):
            cast(asyncpg.Connection, self.connection).terminate()


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
            if (cause := _fault(exc)) is None:
                raise
            raise (Unavailable if _uncommitted(cause) else OutcomeUnknown)(_sentence(cause)) from exc

    async def _roll_back(self) -> None:
        """Where it does not work the connection is closed, and with it the transaction."""
        try:
            async with asyncio.timeout(TIDY_SECONDS):
                await cast(Transaction, self.client).rollback()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._borrowed.terminate()

    async def _give_back(self, broken: bool) -> None:
        if broken:
            self._borrowed.terminate()
        await self._borrowed.__aexit__(None, None, None)


class Transaction(_Bounded, stock.TransactionWrapper):
    """The client inside a transaction."""

    def __init__(self, connection: _Bounded) -> None:
        super().__init__(connection)
        self.patience = connection.patience

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(Transaction(self))


client_class = PostgresClient
