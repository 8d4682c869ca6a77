"""Executes several statements in the thread of an SQLite connection.

They do not return to the event loop in between. The body is an ordinary coroutine that uses a `Connection`, so the same
body runs on PostgreSQL. Here each result is available at once, and the coroutine ends without ever being suspended.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import TypeVar

import aiosqlite
from tortoise.exceptions import IntegrityError, OperationalError

from command_center.database.connections import Connection, Row, TransactionBody
from command_center.database.errors import Unavailable
from command_center.database.sqlite.errors import is_broken, is_busy, unavailable

T = TypeVar("T")
STEP_SECONDS = 1.0
"""How long one attempt waits for another process's lock (`busy_timeout`).

SQLite cannot be interrupted while it waits.
"""


class SqliteDirectConnection(Connection):
    """Executes statements on a connection of SQLite, in the connection's thread.

    Only `interrupt` may be called from another thread.

    `broken` is the error because of which the connection must be reopened.
    """

    postgres = False

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.broken: sqlite3.Error | None = None
        self._raw = raw
        self._is_interrupted = False

    async def fetch(self, sql: str, *values: object) -> list[Row]:
        self._check_interrupted()
        return fetch_rows(self._raw, sql, values)

    async def fetch_inline(self, sql: str, *values: object) -> list[Row]:
        return await self.fetch(sql, *values)

    async def execute(self, sql: str, *values: object) -> int:
        return self._execute(sql, values).rowcount

    async def execute_many(self, sql: str, values: Iterable[Sequence[object]]) -> None:
        self._check_interrupted()
        self._raw.executemany(sql, values)

    def interrupt(self) -> None:
        """Interrupt the running statement, and prevent further ones.

        This has no effect on a finished transaction.
        """
        self._is_interrupted = True
        self._raw.interrupt()

    def begin(self, until: float) -> None:
        """Begin a write transaction, which may wait for other processes that write.

        `until` is the time of the monotonic clock at which the wait ends.

        Raises: sqlite3.Error, Unavailable.
        """
        while True:
            self._check_interrupted()
            remaining = until - time.monotonic()
            try:
                _begin(self._raw, remaining)
                return
            except sqlite3.Error as exc:
                if not is_busy(exc) or remaining <= STEP_SECONDS:
                    raise

    def run_in_transaction(self, body: TransactionBody[T], until: float) -> T:
        """Run the body in one write transaction (see `begin`).

        Raises: sqlite3.Error, Unavailable.
        """
        self.begin(until)
        try:
            result = _run_coroutine(body(self))
            self._commit()
        except BaseException as exc:
            self._roll_back(exc)
            raise
        return result

    def run_snapshot(self, body: TransactionBody[T]) -> T:
        """Run a body of SELECTs that read the same snapshot.

        Raises: sqlite3.Error, Unavailable.
        """
        self._execute("BEGIN", ())
        try:
            return _run_coroutine(body(self))
        finally:
            self._raw.rollback()

    def _execute(self, sql: str, values: Sequence[object]) -> sqlite3.Cursor:
        self._check_interrupted()
        return self._raw.execute(sql, values)

    def _check_interrupted(self) -> None:
        if self._is_interrupted:
            raise Unavailable("no answer in time")

    def _roll_back(self, cause: BaseException) -> None:
        origin = cause.__cause__ or cause
        if isinstance(origin, sqlite3.Error) and is_broken(origin):
            self.broken = origin
        try:
            self._raw.rollback()
        except sqlite3.Error as exc:
            # Closing the connection rolls back its transaction.
            self.broken = exc

    def _commit(self) -> None:
        # After some errors SQLite rolls back by itself; then there is nothing to commit.
        if not self._raw.in_transaction:
            raise Unavailable("SQLite rolled the transaction back")
        try:
            self._raw.commit()
        except sqlite3.Error as exc:
            if (instead := unavailable(exc, committing=True)) is not None:
                raise instead from exc
            raise


def fetch_rows(connection: sqlite3.Connection, sql: str, values: Sequence[object]) -> list[Row]:
    """Execute a statement, and return all its rows as dictionaries.

    Column names are read once. sqlite3.Row would look up each name again.
    """
    cursor = connection.cursor()
    try:
        cursor.row_factory = None
        rows = cursor.execute(sql, values).fetchall()
        names = [column for column, *_ in cursor.description]
    finally:
        # A stored exception would reference an open cursor, which prevents the connection from being closed. After a
        # file has become writable again, that connection would still treat it as read-only.
        cursor.close()
    return [dict(zip(names, row, strict=True)) for row in rows]


def _begin(connection: sqlite3.Connection, seconds: float) -> None:
    """Begin a write transaction, waiting at most STEP_SECONDS for other processes.

    The wait is shorter if `seconds` is less.
    """
    if is_short := seconds < STEP_SECONDS:
        connection.execute(f"PRAGMA busy_timeout={int(1000 * max(0.0, seconds))}")
    try:
        # With a deferred BEGIN, a transaction could fail at its first write because another process writes.
        connection.execute("BEGIN IMMEDIATE")
    finally:
        if is_short:
            connection.execute(f"PRAGMA busy_timeout={int(1000 * STEP_SECONDS)}")


def _run_coroutine(work: Coroutine[object, None, T]) -> T:
    """Run a coroutine to its end without an event loop, and return its result.

    Raises: RuntimeError if it awaits anything that is not done.
    """
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    work.close()
    raise RuntimeError("the body of a transaction must await its connection and nothing else")


class _RunningCall(asyncio.Future[T]):
    """The future of a call in a thread, which cannot be abandoned.

    If the waiting task is cancelled, the call is interrupted. The task is cancelled once the call has ended: asyncio
    repeats a cancellation that a future refuses.
    """

    def __init__(self, stop: Callable[[], None] | None) -> None:
        super().__init__()
        self._stop = stop

    def cancel(self, msg: object = None) -> bool:
        if self._stop is not None:
            self._stop()
        return False


async def run_in_thread(
    connection: aiosqlite.Connection,
    function: Callable[..., T],
    *values: object,
    stop: Callable[[], None] | None = None,
    seconds: float | None = None,
) -> T:
    """Call a function in the connection's thread and return its result.

    This always waits for the end of the call. `stop` is called after `seconds`, or when the waiting task is cancelled.

    Raises: CancelledError after the call if the task was cancelled meanwhile, ValueError if the connection is closed.
    """
    if not connection._running:
        raise ValueError("the connection is closed")
    call: _RunningCall[T] = _RunningCall(stop)
    timer = asyncio.get_running_loop().call_later(seconds, stop) if stop and seconds is not None else None
    # As aiosqlite does it; its own method abandons the call if the waiting task is cancelled.
    connection._tx.put_nowait((call, partial(function, *values)))
    try:
        return await call
    except asyncio.CancelledError:
        call.exception()
        raise
    finally:
        if timer is not None:
            timer.cancel()


def translate_error(exc: sqlite3.Error) -> Exception:
    """Return the exception that Tortoise's own statements would raise for an error.

    It is Unavailable if the database file is the cause, and Tortoise's error otherwise.
    """
    if (instead := unavailable(exc)) is not None:
        return instead
    if isinstance(exc, sqlite3.IntegrityError):
        return IntegrityError(exc)
    return OperationalError(exc) if isinstance(exc, sqlite3.OperationalError) else exc
