"""Stores a stamp of the last changes outside the database.

A comparison of the two shows whether the database was restored from a backup.

It contains the last entry of a change log and the number of batches of emails that were claimed. With SQLite it is a
file beside the database; with PostgreSQL it is kept in memory, because processes run on several machines. It is written
after each commit, so it may be behind the database after a crash, and is never ahead of it.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from command_center.changes.entries import LogEntry

FILE_BYTES = 120
"""The size of the file in bytes.

It is overwritten in place, so that after a crash it has the old or the new content.
"""

STORABLE_NUMBERS = range(2**63)
"""The numbers that a database can store."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The last log entry and the number of claimed batches of emails, when stamped.

    `database` names the database. `position` is 0 if no entry was written so far.
    """

    database: str
    team_id: int = 0
    position: int = 0
    check_value: int = 0
    claims: int = 0


class StampFile:
    """The file beside an SQLite database that contains the stamp.

    If `path` is None, the stamp is kept in memory only.
    """

    def __init__(self, path: Path | None, stamp: Stamp) -> None:
        self._path = path
        self._file: int | None = None
        self.stamp = stamp

    def create(self) -> None:
        """Write the file so that it survives a power failure. Raises: OSError."""
        if self._path is None:
            return
        new = self._path.with_name(self._path.name + ".new")
        with new.open("wb") as file:
            file.write(_format_line(self.stamp))
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
        """Close the file. Later stamps are kept in memory only."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def record_commit(self, entry: LogEntry) -> None:
        """Write a log entry that was committed to the stamp."""
        self.stamp = replace(self.stamp, team_id=entry.team_id, position=entry.position, check_value=entry.check_value)
        self._write()

    def record_claim(self, claims: int) -> None:
        """Write the number of claimed batches of emails to the stamp.

        Call it before the emails of the last batch are sent.
        """
        self.stamp = replace(self.stamp, claims=claims)
        self._write()

    def _write(self) -> None:
        # The stamp may be behind. If the file system is full, writes to the database report it.
        if self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, _format_line(self.stamp), 0)


def read_stamp(path: Path) -> Stamp | None:
    """Return the stamp in a file; None if the file is missing or damaged."""
    try:
        name, *texts = path.read_text("ascii").split()
        numbers = [int(text) for text in texts]
        return Stamp(name, *numbers) if all(number in STORABLE_NUMBERS for number in numbers) else None
    except (OSError, ValueError, TypeError):
        return None


def _format_line(stamp: Stamp) -> bytes:
    plain = f"{stamp.database} {stamp.team_id} {stamp.position} {stamp.check_value} {stamp.claims}"
    return f"{plain:<{FILE_BYTES - 1}}\n".encode()
