"""Classifies SQLite's errors.

Errors of the database file become Unavailable, and some of them break the connection.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from tortoise.exceptions import BaseORMException

from command_center.database.errors import OutcomeUnknown, Unavailable

_FILE_ERRORS = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
_BREAKING_ERRORS = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL}


def _get_primary_code(exc: BaseException) -> int:
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF


def is_busy(exc: BaseException) -> bool:
    """Return whether the error is that another connection holds a lock."""
    return _get_primary_code(exc) == sqlite3.SQLITE_BUSY


def is_broken(exc: BaseException) -> bool:
    """Return whether an error requires that its connection be reopened.

    The connection opened the file in a bad state, and may keep failing after the file is right again.
    """
    return _get_primary_code(exc) in _BREAKING_ERRORS


def is_read_only(exc: BaseException) -> bool:
    """Return whether the error is that the database is read-only.

    All connections of the process may then be affected, because they share one index of the WAL.
    """
    return _get_primary_code(exc) == sqlite3.SQLITE_READONLY


def is_writable(path: str) -> bool:
    """Return whether the database file and its companions may be written.

    The files are not opened for this, because closing one would release the process's locks on it.
    """
    companions = (f"{path}{suffix}" for suffix in ("-wal", "-shm"))
    return os.access(path, os.W_OK) and all(os.access(each, os.W_OK) for each in companions if os.access(each, os.F_OK))


def unavailable(exc: BaseException, committing: bool = False) -> Unavailable | None:
    """Return an Unavailable for an error that the file caused, otherwise None.

    The result is an OutcomeUnknown if a commit failed (`committing`) and may nevertheless have succeeded.
    """
    cause = exc.args[0] if isinstance(exc, BaseORMException) and exc.args else exc
    if isinstance(cause, TimeoutError):
        return Unavailable("no answer in time")
    if not isinstance(cause, sqlite3.Error) or _get_primary_code(cause) not in _FILE_ERRORS:
        return None
    # The commit is written but perhaps not on the disk. SQLite rolls it back; after a power failure it may remain.
    is_uncertain = committing and cause.sqlite_errorcode == sqlite3.SQLITE_IOERR_FSYNC
    return (OutcomeUnknown if is_uncertain else Unavailable)(f"{cause.sqlite_errorname}: {cause}")


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise Unavailable instead of errors that the database file causes."""
    try:
        yield
    except (BaseORMException, sqlite3.Error, TimeoutError) as exc:
        if (instead := unavailable(exc)) is not None:
            raise instead from exc
        raise
