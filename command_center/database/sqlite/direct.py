"""Several statements in one go, in the thread of an SQLite connection, where they need not wait for the event loop.

What runs there is a coroutine like any other that asks a `Connection`, so that it runs on PostgreSQL as it is. Here
each answer is there at once, and the coroutine comes to its end without ever waiting.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import aiosqlite
from tortoise.exceptions import IntegrityError, OperationalError

from command_center.database.connections import Connection, Row
from command_center.database.errors import Unavailable
from command_center.database.sqlite.errors import is_broken, is_busy, unavailable

T = TypeVar("T")
STEP_SECONDS = 1.0
"""How long SQLite itself waits for another process at a time; while it does, it cannot be called off. A connection that
writes is opened so."""


class DirectConnection(Connection):
    """The connection in its own thread. `stop` may be called from another one; `worn` as for the client."""

    postgres = False

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.broken: sqlite3.Error | None = None
        self._raw = raw
        self._stopped = False

    async def fetch(self, sql: str, *values: Any) -> list[Row]:
        self._check_interrupted()
        return fetch_rows(self._raw, sql, values)

    async def fetch_inline(self, sql: str, *values: Any) -> list[Row]:
        return await self.fetch(sql, *values)

    async def execute(self, sql: str, *values: Any) -> int:
        return self._execute(sql, values).rowcount

    async def execute_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        self._check_interrupted()
        self._raw.executemany(sql, values)

    def interrupt(self) -> None:
        """What it is at comes to nothing, unless it is done already."""
        self._stopped = True
        self._raw.interrupt()

    def begin(self, until: float) -> None:
        """Begins to write. Waits until the moment `until` of the monotonic clock for another process that does. Raises
        sqlite3.Error and Unavailable."""
        while True:
            self._check_interrupted()
            left = until - time.monotonic()
            try:
                _begin(self._raw, left)
                return
            except sqlite3.Error as exc:
                if not is_busy(exc) or left <= STEP_SECONDS:
                    raise

    def run_in_transaction(self, work: Callable[[Connection], Coroutine[Any, Any, T]], until: float) -> T:
        """One transaction (see `begin`). Raises sqlite3.Error and Unavailable."""
        self.begin(until)
        try:
            result = _run_coroutine(work(self))
            self._commit()
        except BaseException as exc:
            self._roll_back(exc)
            raise
        return result

    def run_snapshot(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Reads as of one moment. Raises sqlite3.Error and Unavailable."""
        self._execute("BEGIN", ())
        try:
            return _run_coroutine(work(self))
        finally:
            self._raw.rollback()

    def _execute(self, sql: str, values: Sequence[Any]) -> sqlite3.Cursor:
        self._check_interrupted()
        return self._raw.execute(sql, values)

    def _check_interrupted(self) -> None:
        if self._stopped:
            raise Unavailable("no answer in time")

    def _roll_back(self, cause: BaseException) -> None:
        origin = cause.__cause__ or cause
        if isinstance(origin, sqlite3.Error) and is_broken(origin):
            self.broken = origin
        try:
            self._raw.rollback()
        except sqlite3.Error as exc:
            # Closing it takes back whatever is open.
            self.broken = exc

    def _commit(self) -> None:
        # After some errors SQLite takes the transaction back by itself; then there is nothing left to commit.
        if not self._raw.in_transaction:
            raise Unavailable("SQLite took the transaction back")
        try:
            self._raw.commit()
        except sqlite3.Error as exc:
            if (instead := unavailable(exc, committing=True)) is not None:
                raise instead from exc
            raise


def fetch_rows(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> list[Row]:
    """All rows at once: where that is in another thread, the way there is gone once. sqlite3.Row looks each name up
    anew."""
    cursor = connection.cursor()
    try:
        cursor.row_factory = None
        rows = cursor.execute(sql, values).fetchall()
        names = [column for column, *_ in cursor.description]
    finally:
        # An error that is kept would keep the cursor, and that the connection from being closed: a file that may be
        # written again would go on as one that may not.
        cursor.close()
    return [dict(zip(names, row, strict=True)) for row in rows]


def _begin(connection: sqlite3.Connection, seconds: float) -> None:
    """Begins to write, after a step's wait at most, or less where so little is left."""
    if short := seconds < STEP_SECONDS:
        connection.execute(f"PRAGMA busy_timeout={int(1000 * max(0.0, seconds))}")
    try:
        # A deferred BEGIN would fail half-way as soon as two processes write.
        connection.execute("BEGIN IMMEDIATE")
    finally:
        if short:
            connection.execute(f"PRAGMA busy_timeout={int(1000 * STEP_SECONDS)}")


def _run_coroutine(work: Coroutine[Any, Any, T]) -> T:
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    work.close()
    raise RuntimeError("what is done at once awaits its connection and nothing else")


class _RunningCall(asyncio.Future[T]):
    """What goes on in a thread, and cannot be given up: whoever is cancelled meanwhile has it `stopped`, and
    hears of it after its end, as the task remembers what its future refuses."""

    def __init__(self, stopped: Callable[[], None] | None) -> None:
        super().__init__()
        self._stopped = stopped

    def cancel(self, msg: Any | None = None) -> bool:
        if self._stopped is not None:
            self._stopped()
        return False


async def in_thread(
    connection: aiosqlite.Connection,
    act: Callable[..., T],
    *values: Any,
    stop: Callable[[], None] | None = None,
    seconds: float | None = None,
) -> T:
    """What the act comes to in the connection's thread; waits for its end, come what may. `stop` is called when its
    time is up or nobody waits any more.

    Raises CancelledError after its end, if one came meanwhile; ValueError where the connection is closed.
    """
    if not connection._running:
        raise ValueError("the connection is closed")
    going: _RunningCall[T] = _RunningCall(stop)
    timer = asyncio.get_running_loop().call_later(seconds, stop) if stop and seconds is not None else None
    # As aiosqlite does it, whose own way ends with whoever waits.
    connection._tx.put_nowait((going, partial(act, *values)))
    try:
        return await going
    except asyncio.CancelledError:
        going.exception()
        raise
    finally:
        if timer is not None:
            timer.cancel()


def translated(exc: sqlite3.Error) -> Exception:
    """What Tortoise's own statements would raise: Unavailable for what the file is to blame for, or its errors."""
    if (instead := unavailable(exc)) is not None:
        return instead
    if isinstance(exc, sqlite3.IntegrityError):
        return IntegrityError(exc)
    return OperationalError(exc) if isinstance(exc, sqlite3.OperationalError) else exc
