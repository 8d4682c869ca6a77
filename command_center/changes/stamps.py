"""The stamp: what a running product last did, kept outside the database, so that a restored one is recognised.

It holds the last entry of a change log and the number of batches of mail that were claimed. With SQLite it is a file
beside the database; with PostgreSQL it is kept in memory, because processes run on several machines. It is written
after each commit, so it may be behind the database after a crash, and is never ahead of it.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from command_center.changes.entries import LogEntry

WIDTH = 120
"""Bytes of the file. It is rewritten in place, so that a crash leaves either content."""

STORABLE = range(2**63)
"""The numbers that a database can hold."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """`database` names the database. `position` is 0 if no entry was written so far."""

    database: str
    team_id: int = 0
    position: int = 0
    check_value: int = 0
    claims: int = 0


class StampFile:
    """The file beside an SQLite database, or only the memory of this process if `path` is None."""

    def __init__(self, path: Path | None, stamp: Stamp) -> None:
        self._path = path
        self._file: int | None = None
        self.stamp = stamp

    def create(self) -> None:
        """Writes the file so that it survives a loss of power. Raises OSError."""
        if self._path is None:
            return
        new = self._path.with_name(self._path.name + ".new")
        with new.open("wb") as file:
            file.write(_line(self.stamp))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._file = os.open(self._path, os.O_WRONLY)

    def close(self) -> None:
        """Nothing is written afterwards."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def committed(self, entry: LogEntry) -> None:
        """Remembers an entry that was committed."""
        self.stamp = replace(self.stamp, team_id=entry.team_id, position=entry.position, check_value=entry.check_value)
        self._write()

    def claimed(self, claims: int) -> None:
        """Remembers a batch of mail that was claimed, before it is handed over."""
        self.stamp = replace(self.stamp, claims=claims)
        self._write()

    def _write(self) -> None:
        # It may be behind: a file system that is full is reported by those who write to the database.
        if self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, _line(self.stamp), 0)


def read(path: Path) -> Stamp | None:
    """The stamp in a file; None if there is none, or one that cannot be read."""
    try:
        name, *texts = path.read_text("ascii").split()
        numbers = [int(text) for text in texts]
        return Stamp(name, *numbers) if all(number in STORABLE for number in numbers) else None
    except (OSError, ValueError, TypeError):
        return None


def _line(stamp: Stamp) -> bytes:
    plain = f"{stamp.database} {stamp.team_id} {stamp.position} {stamp.check_value} {stamp.claims}"
    return f"{plain:<{WIDTH - 1}}\n".encode()
