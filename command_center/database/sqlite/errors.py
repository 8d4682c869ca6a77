"""Which of SQLite's errors are the file's and not the statement's, and what follows from each."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from tortoise.exceptions import BaseORMException

from command_center.database.errors import OutcomeUnknown, Unavailable

_AWAY = {
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
_WORN = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL}


def _primary(exc: BaseException) -> int:
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF


def is_busy(exc: BaseException) -> bool:
    """Somebody else holds the lock."""
    return _primary(exc) == sqlite3.SQLITE_BUSY


def is_broken(exc: BaseException) -> bool:
    """The connection may go on failing when the file is well again: it opened the file as it was."""
    return _primary(exc) in _WORN


def is_read_only(exc: BaseException) -> bool:
    """All connections of the process share in it: they have one index of the WAL between them."""
    return _primary(exc) == sqlite3.SQLITE_READONLY


def is_writable(path: str) -> bool:
    """Whether the file and those beside it may be written. Not by opening them: closing one would drop our locks."""
    beside = (f"{path}{suffix}" for suffix in ("-wal", "-shm"))
    return os.access(path, os.W_OK) and all(os.access(each, os.W_OK) for each in beside if os.access(each, os.F_OK))


def unavailable(exc: BaseException, committing: bool = False) -> Unavailable | None:
    """What to raise instead; None where the statement is to blame."""
    cause = exc.args[0] if isinstance(exc, BaseORMException) and exc.args else exc
    if isinstance(cause, TimeoutError):
        return Unavailable("no answer in time")
    if not isinstance(cause, sqlite3.Error) or _primary(cause) not in _AWAY:
        return None
    # Written as a whole and perhaps not on the disk: as long as the machine lives it is taken back.
    unsure = committing and cause.sqlite_errorcode == sqlite3.SQLITE_IOERR_FSYNC
    return (OutcomeUnknown if unsure else Unavailable)(f"{cause.sqlite_errorname}: {cause}")


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raises Unavailable instead of what the file is to blame for."""
    try:
        yield
    except (BaseORMException, sqlite3.Error, TimeoutError) as exc:
        if (instead := unavailable(exc)) is not None:
            raise instead from exc
        raise
