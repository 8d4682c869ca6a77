"""The records of a file of comma-separated values, or of semicolons, tabs or bars, each with the line it begins at.

What cannot be read is a record with a fault, and reading goes on at the line after the one where it begins: a quotation
mark that is never closed costs its own row, not all that follow.
"""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

LONGEST = 1 << 20
"""Characters of a record; the longest that is kept in memory."""
SHOWN = 1000
DELIMITERS = ",;\t|"
_TOO_LONG = f"The row has more than {LONGEST:,} characters, or a quotation mark in it is not closed."
_QUOTES = "The quotation marks of the row do not fit together."


@dataclass(frozen=True, slots=True)
class Record:
    """`fields` as they stand in the file; with a fault, the beginning of the row alone."""

    line: int
    fields: tuple[str, ...]
    fault: str | None = None


class _TooLong(csv.Error):
    """A record does not end."""


class _Lines:
    """The physical lines of a file for the reader of records, and a way back to the second line of a record."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self._record: list[str] = []
        self._length = 0
        self.number = 0
        """Of the last line that was handed out."""

    def begin(self) -> None:
        """Another record begins."""
        self._record.clear()
        self._length = 0

    def back(self) -> str:
        """Gives up the record but for its first line, which is answered."""
        first, *rest = self._record or [""]
        self._again.extendleft(reversed(rest))
        self.number -= len(rest)
        return first

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        again = bool(self._again)
        line = self._again.popleft() if again else self._file.readline(LONGEST)
        if not line:
            raise StopIteration
        self.number += 1
        self._record.append(line)
        self._length += len(line)
        if len(line) == LONGEST and not again:
            self._skip(line)
        if self._length >= LONGEST:
            raise _TooLong
        return line

    def _skip(self, begun: str) -> None:
        """Reads the rest of an endless line away."""
        while begun and not begun.endswith(("\n", "\r")):
            begun = self._file.readline(LONGEST)


def records(file: TextIO, delimiter: str) -> Iterator[Record]:
    """All records, blank lines among them. The file must have been opened with `newline=""`."""
    # A setting of the whole process; the lines are what bounds a field here.
    csv.field_size_limit(LONGEST)
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        lines.begin()
        start = lines.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            fault = _TOO_LONG if isinstance(exc, _TooLong) else _QUOTES
            yield Record(start, (lines.back()[:SHOWN].rstrip("\r\n"),), fault)
        else:
            yield Record(start, tuple(fields))
