"""Opens a file of people as a table.

It detects the encoding, the delimiter and the header, and reads the rows.
"""

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from command_center.importing.columns import MAX_HEADER_RECORDS, ColumnMapping, recognise_columns
from command_center.importing.records import DELIMITERS, Record, read_records
from command_center.importing.texts import detect_encoding

_DELIMITER_LINE = re.compile(r'\ufeff?"?sep=([^\s"]|\t)"?[,;\t|]*\s*', re.IGNORECASE)


class UnreadableTable(ValueError):
    """A file is not a table of people. The message explains the reason."""


@dataclass(frozen=True, slots=True)
class Table:
    """Describes a table in a file. `size` is in bytes."""

    path: Path
    size: int
    encoding: str
    delimiter: str
    header: Record
    columns: ColumnMapping

    def open(self) -> TextIO:
        """Open the file with the detected encoding. The caller must close it."""
        return _open(self.path, self.encoding)

    def rows(self, file: TextIO) -> Iterator[Record]:
        """Yield the records after the header, without blank rows.

        `file` must be a result of `open`.
        """
        return (record for record in _non_blank_records(file, self.delimiter) if record.line > self.header.line)


def read_table(path: Path, encoding: str | None) -> Table:
    """Return the table in a file. Raises: UnreadableTable, UndecodableText, OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableTable("only a file can be read twice, as an import has to")
    encoding = detect_encoding(path, encoding)
    declared = _declared_delimiter(path, encoding)
    best = _find_header(path, status.st_size, encoding, (declared,)) if declared is not None else None
    best = best or _find_header(path, status.st_size, encoding, DELIMITERS)
    if best is None:
        raise UnreadableTable(
            f"no column is named as one of addresses, such as Email; the file begins with {_preview(path, encoding)}"
        )
    return best


def _declared_delimiter(path: Path, encoding: str) -> str | None:
    """Return the delimiter that the first line declares to Excel, or None.

    Such a line is `sep=;`.
    """
    with _open(path, encoding) as file:
        match = _DELIMITER_LINE.fullmatch(file.readline(200))
    return match[1] if match else None


def _find_header(path: Path, size: int, encoding: str, delimiters: Iterable[str]) -> Table | None:
    """Return the table for the delimiter with the most recognised columns.

    The result is None if there is no header.
    """
    best: Table | None = None
    for delimiter in delimiters:
        with _open(path, encoding) as file:
            for record in islice(_non_blank_records(file, delimiter), MAX_HEADER_RECORDS):
                recognised = None if record.fault else recognise_columns(record.fields)
                if recognised is not None:
                    if best is None or recognised.recognised_count > best.columns.recognised_count:
                        best = Table(path, size, encoding, delimiter, record, recognised)
                    break
    return best


def _open(path: Path, encoding: str) -> TextIO:
    # Line ends are not translated, because they may be part of a quoted field.
    return path.open(encoding=encoding, newline="")


def _non_blank_records(file: TextIO, delimiter: str) -> Iterator[Record]:
    return (record for record in read_records(file, delimiter) if record.fault or any(map(str.strip, record.fields)))


def _preview(path: Path, encoding: str) -> str:
    """Return the beginning of a file in a form that can be displayed."""
    with _open(path, encoding) as file:
        text = file.read(60)
    return repr(text) if text else "nothing"
