"""What an error of asyncpg's means: the server failed, or the statement is to blame."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from tortoise.exceptions import BaseORMException, IntegrityError, OperationalError

from command_center.database.errors import OutcomeUnknown, Unavailable

_STATES = ("08", "53", "57", "58", "25006", "40001", "40P01", "55P03")
"""Beginnings of SQLSTATE: connection, resources, operator and system; a read-only server, deadlocks and locks."""
_OVER = ("closed", "closing", "released back to the pool")
"""What asyncpg says of a connection that was lost before anything was sent."""
_LOST = ("08", "57P")
"""Those that end the connection: a COMMIT they answer may stand nevertheless."""


def unavailable(exc: BaseException, committing: bool = False) -> Unavailable | None:
    """What to raise instead where the database itself failed; None where the statement is to blame."""
    cause = _server_fault(exc)
    if cause is None:
        return None
    return (OutcomeUnknown if committing and not _uncommitted(cause) else Unavailable)(message_of(cause))


def message_of(cause: BaseException) -> str:
    return "no answer in time" if isinstance(cause, TimeoutError) else f"{type(cause).__name__}: {cause}"


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raises what Tortoise's own statements would: Unavailable for what the server is to blame for, or its errors."""
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


def _server_fault(exc: BaseException) -> BaseException | None:
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
