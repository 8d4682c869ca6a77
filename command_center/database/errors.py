"""What is raised when the database itself fails: full, read-only, locked, gone. No mistake of ours, and not for ever.

Each backend says so of its own errors, so whoever asks the database need know one exception alone.
"""

import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PATIENCE = 7.0
"""Seconds that a request waits for one answer of the database, or for its turn to write."""
LONG = 300.0
"""The same for work that nobody waits for and that may be much."""
EVERY_SECONDS = 60.0
_unhurried: ContextVar[bool] = ContextVar("unhurried", default=False)


class Unavailable(Exception):
    """The database cannot do it now. `undone`: it was in a transaction, and nothing of that remains."""

    rolled_back = False


class OutcomeUnknown(Unavailable):
    """The database was lost while it committed: the transaction stands as a whole, or nothing of it does."""


@contextmanager
def long_timeout() -> Iterator[None]:
    """Work in a server that may take its time with one statement."""
    token = _unhurried.set(True)
    try:
        yield
    finally:
        _unhurried.reset(token)


def timeout_limit(patience: float | None) -> float | None:
    """How many seconds one answer may take here, of a database that was opened with such a patience."""
    return LONG if patience is not None and _unhurried.get() else patience


class FailureLog:
    """Tells the log of failures that follow one another: the first at once, then one line a minute with their number.

    All of them have one reference. An hour without a database is sixty lines, however many ask.
    """

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._reference = ""
        self._last = self._told = float("-inf")
        self._count = 0

    def warn(self, cause: BaseException) -> str:
        """The reference."""
        now = time.monotonic()
        if now - self._last > EVERY_SECONDS:
            self._reference, self._count = secrets.token_hex(6), 0
            self._told = float("-inf")
        self._last = now
        self._count += 1
        if now - self._told >= EVERY_SECONDS:
            self._told = now
            again = f", {self._count} times so far" if self._count > 1 else ""
            self._logger.warning("%s%s: %s (reference %s)", self._what, again, cause, self._reference)
        return self._reference
