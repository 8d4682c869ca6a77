"""What an import tells while it runs: how far it is, and each row that was refused, aloud and in a file.

The file of refused rows has the line, the reason and the columns of the original: it can be mended and imported.
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

ALOUD = 20
EVERY = 10_000
"""Rows between two lines about how far it is, where there is no terminal."""

Say = Callable[[str], None]
Advance = Callable[[int, int], None]


@contextmanager
def progress(size: int) -> Iterator[tuple[Say, Advance]]:
    """How to say a line, and how to tell the rows and bytes that are done: a bar on a terminal, else plain lines."""
    if not sys.stderr.isatty():
        yield _say, _plain()
        return
    shown = (TextColumn("{task.fields[rows]:,} rows"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size, rows=0)
        yield (
            lambda text: bar.console.print(text, markup=False, highlight=False, soft_wrap=True),
            lambda rows, read: bar.update(task, completed=read, rows=rows),
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _plain() -> Advance:
    told = 0

    def advance(rows: int, _: int) -> None:
        nonlocal told
        if rows // EVERY > told:
            told = rows // EVERY
            _say(f"{rows} rows")

    return advance


class Refusals:
    """Keeps the refused rows. The file is made with the first of them; where it cannot be, all are said aloud."""

    def __init__(self, path: Path, table: Table, say: Say) -> None:
        self._path = path
        self._table = table
        self._say = say
        self._file: TextIO | None = None
        self._failed = False
        self.count = 0

    def add(self, record: Record, reason: str) -> None:
        self.count += 1
        if self.count == 1:
            self._open()
        if self.count <= ALOUD or self._failed:
            self._say(f"line {record.line}: {reason}")
        self._keep(record.line, reason, *record.fields)

    def close(self) -> None:
        """Says where they all are."""
        if self._file is not None:
            self._attempt(self._file.close)
        if self.count and not self._failed:
            more = f"and {self.count - ALOUD} more; " if self.count > ALOUD else ""
            self._say(f"{more}refused rows are in {self._path}")

    def _open(self) -> None:
        def make() -> None:
            # With a mark, so that spreadsheets read it right.
            self._file = self._path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="")

        self._attempt(make)
        self._keep("Line", "Reason", *self._table.header.fields)

    def _keep(self, *values: object) -> None:
        if self._file is not None and not self._failed:
            writer = csv.writer(self._file, delimiter=self._table.delimiter)
            self._attempt(lambda: writer.writerow(values))

    def _attempt(self, uow: Callable[[], object]) -> None:
        try:
            uow()
        except OSError as exc:
            self._failed = True
            self._say(f"refused rows cannot be kept in {self._path} ({exc.strerror or exc}), so each is told here")
