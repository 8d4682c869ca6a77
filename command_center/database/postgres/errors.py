"""Translates asyncpg's errors.

It distinguishes failures of the database from errors in a statement.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from tortoise.exceptions import BaseORMException, IntegrityError, OperationalError

from command_center.database.errors import OutcomeUnknown, Unavailable

_FAILURE_STATES = ("08", "53", "57", "58", "25006", "40001", "40P01", "55P03")
"""Prefixes of SQLSTATE that mean a failure of the database.

They are those of connections, resources, the operator, the system, read-only servers, and conflicts of locks.
"""
_CLOSED_TEXTS = ("closed", "closing", "released back to the pool")
"""Texts in asyncpg's errors for a connection that was lost before anything was sent."""
_DISCONNECT_STATES = ("08", "57P")
"""Prefixes of SQLSTATE that end the connection. A COMMIT that fails with one of them may have succeeded."""


def unavailable(exc: BaseException, committing: bool = False) -> Unavailable | None:
    """Return an Unavailable for an error that the database caused, otherwise None.

    The result is an OutcomeUnknown if a commit failed (`committing`) and may nevertheless have succeeded.
    """
    cause = _find_server_fault(exc)
    if cause is None:
        return None
    return (OutcomeUnknown if committing and not _is_not_committed(cause) else Unavailable)(message_of(cause))


def message_of(cause: BaseException) -> str:
    """Return a short description of an error."""
    return "no answer in time" if isinstance(cause, TimeoutError) else f"{type(cause).__name__}: {cause}"


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise the exceptions that Tortoise's own statements raise.

    These are Unavailable if the database failed, and Tortoise's errors otherwise.
    """
    try:
        yield
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as exc:
        if (instead := unavailable(exc)) is not None:
            raise instead from exc
        if isinstance(exc, asyncpg.IntegrityConstraintViolationError):
            raise IntegrityError(exc) from exc
        if isinstance(exc, asyncpg.SyntaxOrAccessError | asyncpg.DataError):
            raise OperationalError(exc) from exc
        raise


def _find_server_fault(exc: BaseException) -> BaseException | None:
    """Return the error of the database that led to an exception, if there is one.

    The result is None if the statement is wrong.
    """
    cause = exc.__cause__ if isinstance(exc, BaseORMException) and exc.__cause__ is not None else exc
    if isinstance(cause, asyncpg.PostgresError):
        return cause if str(cause.sqlstate).startswith(_FAILURE_STATES) else None
    if type(cause) is asyncpg.InterfaceError:
        return cause if any(word in str(cause) for word in _CLOSED_TEXTS) else None
    # asyncpg raises InternalClientError if a connection is lost while it is being reset.
    return cause if isinstance(cause, OSError | asyncpg.InternalClientError) else None


def _is_not_committed(cause: BaseException) -> bool:
    """Return whether a failed COMMIT was never sent, or was rejected by the server."""
    if isinstance(cause, asyncpg.PostgresError):
        return not str(cause.sqlstate).startswith(_DISCONNECT_STATES)
    return isinstance(cause, asyncpg.InterfaceError)
