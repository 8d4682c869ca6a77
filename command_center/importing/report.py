"""Reports the progress of an import, and its refused rows.

Refused rows are reported on the terminal and in a file.

The file of refused rows contains the line, the reason and the columns of the original, so that it can be corrected and
imported.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from command_center.importing.records import Record
from command_center.importing.tables import Table

MAX_PRINTED_ROWS = 20
ROWS_PER_PROGRESS_LINE = 10_000
"""Without a terminal, a progress line is printed after each this many rows."""

PrintLine = Callable[[str], None]
Advance = Callable[[int, int], None]


@contextmanager
def progress(size: int) -> Iterator[tuple[PrintLine, Advance]]:
    """Show the progress as a bar on a terminal, or as plain lines.

    Yield a function that prints a line, and one that takes the numbers of finished rows and bytes. `size` is the
    file's size in bytes.
    """
    if not sys.stderr.isatty():
        yield _print_line, _plain_progress()
        return
    display_columns = (
        TextColumn("{task.fields[rows]:,} rows"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*display_columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size, rows=0)
        yield (
            lambda text: bar.console.print(text, markup=False, highlight=False, soft_wrap=True),
            lambda rows, read: bar.update(task, completed=read, rows=rows),
        )


def _print_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _plain_progress() -> Advance:
    printed = 0

    def advance(rows: int, _: int) -> None:
        nonlocal printed
        if rows // ROWS_PER_PROGRESS_LINE > printed:
            printed = rows // ROWS_PER_PROGRESS_LINE
            _print_line(f"{rows} rows")

    return advance


class Refusals:
    """Writes the refused rows to a file and prints the first of them.

    The file is created with the first refused row. If it cannot be written, all refused rows are printed.
    """

    def __init__(self, path: Path, table: Table, print_line: PrintLine) -> None:
        self._path = path
        self._table = table
        self._print_line = print_line
        self._file: TextIO | None = None
        self._failed = False
        self.count = 0

    def add(self, record: Record, reason: str) -> None:
        """Report one refused row."""
        self.count += 1
        if self.count == 1:
            self._open()
        if self.count <= MAX_PRINTED_ROWS or self._failed:
            self._print_line(f"line {record.line}: {reason}")
        self._write_row(record.line, reason, *record.fields)

    def close(self) -> None:
        """Close the file and print its path."""
        if self._file is not None:
            self._attempt(self._file.close)
        if self.count and not self._failed:
            more = f"and {self.count - MAX_PRINTED_ROWS} more; " if self.count > MAX_PRINTED_ROWS else ""
            self._print_line(f"{more}refused rows are in {self._path}")

    def _open(self) -> None:
        def create() -> None:
            # The byte order mark lets spreadsheets detect the encoding.
            self._file = self._path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="")

        self._attempt(create)
        self._write_row("Line", "Reason", *self._table.header.fields)

    def _write_row(self, *values: object) -> None:
        if self._file is not None and not self._failed:
            writer = csv.writer(self._file, delimiter=self._table.delimiter)
            self._attempt(lambda: writer.writerow(values))

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as exc:
            self._failed = True
            self._print_line(
                f"refused rows cannot be kept in {self._path} ({exc.strerror or exc}), so they are printed here"
            )
