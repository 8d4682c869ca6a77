"""Errors of the database itself: it is full, read-only, locked or unreachable.

They are not bugs of this product and may be temporary. Each backend translates its own errors into `Unavailable`, so
callers handle this one exception.
"""

import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

REQUEST_TIMEOUT_SECONDS = 7.0
"""How long a request waits for one result of the database, or for the write lock."""
LONG_TIMEOUT_SECONDS = 300.0
"""The same limit for background work, whose statements may be long."""
LOG_INTERVAL_SECONDS = 60.0
"""The least interval between two log messages about the same failure."""
_has_long_timeout: ContextVar[bool] = ContextVar("has_long_timeout", default=False)


class Unavailable(Exception):
    """The database cannot execute this now.

    `rolled_back` is True if it was in a transaction of which nothing remains.
    """

    rolled_back = False


class OutcomeUnknown(Unavailable):
    """The database was lost during a commit, so it is unknown whether it succeeded.

    The transaction is committed as a whole or not at all.
    """


@contextmanager
def long_timeout() -> Iterator[None]:
    """Raise the time limit of the statements in this context to LONG_TIMEOUT_SECONDS."""
    token = _has_long_timeout.set(True)
    try:
        yield
    finally:
        _has_long_timeout.reset(token)


def effective_timeout(timeout: float | None) -> float | None:
    """Return the time limit of a statement in this context, in seconds.

    `timeout` is the limit with which the database was opened; None is no limit.
    """
    return LONG_TIMEOUT_SECONDS if timeout is not None and _has_long_timeout.get() else timeout


class FailureLog:
    """Logs consecutive failures: the first at once, then one message a minute.

    A message contains the number of failures.

    All messages of one outage contain the same reference. An hour without a database is sixty lines, however many
    requests fail.
    """

    def __init__(self, logger: logging.Logger, message: str) -> None:
        self._logger = logger
        self._message = message
        self._reference = ""
        self._failed_at = self._logged_at = float("-inf")
        self._count = 0

    def warn(self, cause: BaseException) -> str:
        """Count a failure, and log it if a message is due.

        Return the reference of the outage, which all its messages contain.
        """
        now = time.monotonic()
        if now - self._failed_at > LOG_INTERVAL_SECONDS:
            self._reference, self._count = secrets.token_hex(6), 0
            self._logged_at = float("-inf")
        self._failed_at = now
        self._count += 1
        if now - self._logged_at >= LOG_INTERVAL_SECONDS:
            self._logged_at = now
            again = f", {self._count} times so far" if self._count > 1 else ""
            self._logger.warning("%s%s: %s (reference %s)", self._message, again, cause, self._reference)
        return self._reference
