"""Runs short SELECTs in the event loop's thread.

Switching threads would take many times as long as they do.

Nothing here waits for a lock, and a statement that takes too long is interrupted. The caller then repeats it in a
thread.
"""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from command_center.database.connections import Row, TransactionBody
from command_center.database.sqlite.direct import SqliteDirectConnection, fetch_rows

T = TypeVar("T")
MAX_READ_SECONDS = 0.002
"""The time, in seconds, after which a read is interrupted."""
STEPS_PER_CHECK = 2_000
"""The number of virtual machine instructions between two checks of the time: some tens of microseconds."""
PAUSE_SECONDS = 0.1
"""The time, in seconds, for which snapshots are read in a thread after one was interrupted here."""


class TooSlowInline(Exception):
    """The SELECT could not be executed at once in the event loop's thread.

    This does not mean that the file or the statement is wrong.
    """


class InlineReader:
    """A reading connection that is opened when it is first needed.

    Callers pass the writing connection as `warm_connection` while it is idle. Its page cache has the pages that it
    wrote last, which any other connection would read from the file.
    """

    def __init__(self, path: str, pragmas: Mapping[str, str]) -> None:
        self._path = path
        self._pragmas = pragmas
        self._own: sqlite3.Connection | None = None
        self._deadline = 0.0
        self._retry_at = 0.0

    def fetch(self, warm_connection: sqlite3.Connection | None, sql: str, values: Sequence[object]) -> list[Row]:
        """Return the rows of a SELECT. Raises: TooSlowInline."""
        return self._read_with_limit(warm_connection, lambda connection: fetch_rows(connection, sql, values))

    def run_snapshot(self, warm_connection: sqlite3.Connection | None, body: TransactionBody[T]) -> T:
        """Run a body of several SELECTs that read one snapshot.

        Raises: TooSlowInline; the caller then runs the body again elsewhere.
        """
        if time.monotonic() < self._retry_at:
            raise TooSlowInline
        try:
            return self._read_with_limit(
                warm_connection, lambda connection: SqliteDirectConnection(connection).run_snapshot(body)
            )
        except TooSlowInline:
            self._retry_at = time.monotonic() + PAUSE_SECONDS
            raise

    def close(self) -> None:
        """Close the connection. The next read opens it again."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _read_with_limit(
        self, warm_connection: sqlite3.Connection | None, read: Callable[[sqlite3.Connection], T]
    ) -> T:
        try:
            connection = warm_connection or self._open()
            self._deadline = time.monotonic() + MAX_READ_SECONDS
            connection.set_progress_handler(self._is_overdue, STEPS_PER_CHECK)
            try:
                return read(connection)
            finally:
                connection.set_progress_handler(None, 0)
        except sqlite3.Error as exc:
            if getattr(exc, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_INTERRUPT:
                # The statement or the file is wrong. Repeating it in a thread reports the error.
                self.close()
            raise TooSlowInline from exc

    def _open(self) -> sqlite3.Connection:
        if self._own is None:
            self._own = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            for pragma, value in self._pragmas.items():
                self._own.execute(f"PRAGMA {pragma}={value}")
        return self._own

    def _is_overdue(self) -> bool:
        return time.monotonic() > self._deadline
