"""A file of people as a table: its encoding, its delimiter and its header found out, and its rows one by one."""

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from command_center.importing.columns import HEADER_WITHIN, Columns, columns
from command_center.importing.records import DELIMITERS, Record, records
from command_center.importing.texts import encoding_of

_SEPARATOR = re.compile(r'\ufeff?"?sep=([^\s"]|\t)"?[,;\t|]*\s*', re.IGNORECASE)


class Unreadable(ValueError):
    """Not a table of people; the message says why."""


@dataclass(frozen=True, slots=True)
class Table:
    path: Path
    size: int
    encoding: str
    delimiter: str
    header: Record
    columns: Columns

    def open(self) -> TextIO:
        return _open(self.path, self.encoding)

    def rows(self, file: TextIO) -> Iterator[Record]:
        """What follows the header, without blank rows."""
        return (record for record in _filled(file, self.delimiter) if record.line > self.header.line)


def table(path: Path, encoding: str | None) -> Table:
    """The table in a file. Raises Unreadable, Undecodable and OSError."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("only a file can be read twice, as an import has to")
    encoding = encoding_of(path, encoding)
    declared = _declared_delimiter(path, encoding)
    best = _best(path, found.st_size, encoding, (declared,)) if declared is not None else None
    best = best or _best(path, found.st_size, encoding, DELIMITERS)
    if best is None:
        raise Unreadable(
            f"no column is named as one of addresses, such as Email; the file begins with {_begin(path, encoding)}"
        )
    return best


def _declared_delimiter(path: Path, encoding: str) -> str | None:
    """The delimiter that the first line tells Excel: `sep=;`."""
    with _open(path, encoding) as file:
        match = _SEPARATOR.fullmatch(file.readline(200))
    return match[1] if match else None


def _best(path: Path, size: int, encoding: str, delimiters: Iterable[str]) -> Table | None:
    """The table by that delimiter which makes the most columns known; None if there is no header."""
    best: Table | None = None
    for delimiter in delimiters:
        with _open(path, encoding) as file:
            for record in islice(_filled(file, delimiter), HEADER_WITHIN):
                meaning = None if record.fault else columns(record.fields)
                if meaning is not None:
                    if best is None or meaning.known > best.columns.known:
                        best = Table(path, size, encoding, delimiter, record, meaning)
                    break
    return best


def _open(path: Path, encoding: str) -> TextIO:
    # The line ends as they are: they belong to the fields that hold them.
    return path.open(encoding=encoding, newline="")


def _filled(file: TextIO, delimiter: str) -> Iterator[Record]:
    return (record for record in records(file, delimiter) if record.fault or any(map(str.strip, record.fields)))


def _begin(path: Path, encoding: str) -> str:
    """The first words of a file, fit to be shown."""
    with _open(path, encoding) as file:
        text = file.read(60)
    return repr(text) if text else "nothing"
