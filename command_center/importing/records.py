"""Reads the records of a file with separated values.

Commas, semicolons, tabs or bars separate them.

An unreadable record becomes a record with a fault, and reading continues at the line after its first. A quotation mark
that is never closed therefore affects only its own row, not all following rows.
"""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

MAX_RECORD_CHARACTERS = 1 << 20
"""A record has at most this number of characters, which bounds the memory."""
MAX_SHOWN_CHARACTERS = 1000
DELIMITERS = ",;\t|"
_TOO_LONG = f"The row has more than {MAX_RECORD_CHARACTERS:,} characters, or a quotation mark in it is not closed."
_QUOTES = "The quotation marks of the row do not fit together."


@dataclass(frozen=True, slots=True)
class Record:
    """Holds a record and the line at which it begins.

    With a fault, `fields` contains only the beginning of the row.
    """

    line: int
    fields: tuple[str, ...]
    fault: str | None = None


class _TooLong(csv.Error):
    """A record exceeds the limit."""


class _Lines:
    """Iterates over the physical lines of a file for the CSV reader.

    It can go back to the second line of a record.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._pushed_back: deque[str] = deque()
        self._record: list[str] = []
        self._length = 0
        self.number = 0
        """This is the number of the last returned line."""

    def begin_record(self) -> None:
        """Start a new record."""
        self._record.clear()
        self._length = 0

    def push_back(self) -> str:
        """Push back all lines of the current record but the first one.

        Returns the first line.
        """
        first, *rest = self._record or [""]
        self._pushed_back.extendleft(reversed(rest))
        self.number -= len(rest)
        return first

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        is_repeated = bool(self._pushed_back)
        line = self._pushed_back.popleft() if is_repeated else self._file.readline(MAX_RECORD_CHARACTERS)
        if not line:
            raise StopIteration
        self.number += 1
        self._record.append(line)
        self._length += len(line)
        if len(line) == MAX_RECORD_CHARACTERS and not is_repeated:
            self._skip_line(line)
        if self._length >= MAX_RECORD_CHARACTERS:
            raise _TooLong
        return line

    def _skip_line(self, piece: str) -> None:
        """Skip the rest of a line that exceeds the limit."""
        while piece and not piece.endswith(("\n", "\r")):
            piece = self._file.readline(MAX_RECORD_CHARACTERS)


def read_records(file: TextIO, delimiter: str) -> Iterator[Record]:
    """Yield all records, including blank lines.

    The file must be opened with `newline=""`.
    """
    # This limit applies to the whole process. Here the length of a record bounds its fields.
    csv.field_size_limit(MAX_RECORD_CHARACTERS)
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        lines.begin_record()
        start = lines.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            fault = _TOO_LONG if isinstance(exc, _TooLong) else _QUOTES
            yield Record(start, (lines.push_back()[:MAX_SHOWN_CHARACTERS].rstrip("\r\n"),), fault)
        else:
            yield Record(start, tuple(fields))
