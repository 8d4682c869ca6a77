"""What SQLite finds in a moment, read in the event loop's own thread: a change of threads takes many times as long.

Nothing here waits: not for a turn, and not for a statement that has more to look at than that. Whoever is told so
reads the same in a thread.
"""

import sqlite3
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from command_center.database.connections import Connection
from command_center.database.sqlite.direct import DirectConnection, fetch_rows

T = TypeVar("T")
MOMENT = 0.002
"""Seconds after which a reading is stopped."""
STEPS = 2_000
"""How many of its virtual machine's steps SQLite takes between two looks at the clock: some tens of microseconds."""
PAUSE = 0.1
"""Seconds for which longer readings are not tried here again after one was stopped: the next are likely as long."""


class TooSlowInline(Exception):
    """It cannot be had in a moment; that says nothing of the file or the statement."""


class InlineReader:
    """A reading connection, opened when it is first needed.

    Whoever asks lends the `spare` connection that writes while nobody writes: it has the pages in memory that it has
    just written, which every other one reads anew.
    """

    def __init__(self, path: str, pragmas: Mapping[str, str]) -> None:
        self._path = path
        self._pragmas = pragmas
        self._own: sqlite3.Connection | None = None
        self._until = 0.0
        self._not_before = 0.0

    def rows(self, spare: sqlite3.Connection | None, sql: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """The rows of a SELECT. Raises NotAtOnce."""
        return self._bounded(spare, lambda connection: fetch_rows(connection, sql, values))

    def read(self, spare: sqlite3.Connection | None, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Several SELECTs of one moment. Raises NotAtOnce: the work is then to be begun again elsewhere."""
        if time.monotonic() < self._not_before:
            raise TooSlowInline
        try:
            return self._bounded(spare, lambda connection: DirectConnection(connection).run_snapshot(work))
        except TooSlowInline:
            self._not_before = time.monotonic() + PAUSE
            raise

    def close(self) -> None:
        """The next one that asks opens it anew."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _bounded(self, spare: sqlite3.Connection | None, look: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = spare or self._opened()
            self._until = time.monotonic() + MOMENT
            connection.set_progress_handler(self._too_long, STEPS)
            try:
                return look(connection)
            finally:
                connection.set_progress_handler(None, 0)
        except sqlite3.Error as exc:
            if getattr(exc, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_INTERRUPT:
                # The statement's fault or the file's: whoever waits finds out.
                self.close()
            raise TooSlowInline from exc

    def _opened(self) -> sqlite3.Connection:
        if self._own is None:
            self._own = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            for pragma, value in self._pragmas.items():
                self._own.execute(f"PRAGMA {pragma}={value}")
        return self._own

    def _too_long(self) -> bool:
        return time.monotonic() > self._until
