"""Runs an import: batches of rows, one transaction each.

The result of every row is reported.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from command_center.actions import imports
from command_center.actions.context import ActionContext
from command_center.actions.imports import Import, ImportResult
from command_center.changes.hub import Hub
from command_center.changes.unit_of_work import Writer
from command_center.database.clock import DatabaseClock
from command_center.importing.records import Record
from command_center.importing.report import Refusals, progress
from command_center.importing.tables import Table, UnreadableTable, read_table
from command_center.importing.texts import UndecodableText
from command_center.server.runtime import open_current_database
from command_center.server.settings import ConfigurationError, Settings

MAX_BATCH_ROWS = 1000
EXIT_ALL_IMPORTED, EXIT_SOME_REFUSED = 0, 1


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """Holds the options of an import.

    If `refused` is None, refused rows go to a file next to the original.
    """

    file: Path
    team: str
    owner: str
    group: str | None
    shared: bool
    encoding: str | None
    refused_path: Path | None


async def run_import(settings: Settings, order: ImportOrder) -> int:
    """Run an import, and return its exit code.

    The code is 0 if every row was imported, or 1 if some were refused.

    Raises: ConfigurationError and UserErrors if the import cannot start, and ConfigurationError if it stops early.
    """
    source = _open_table(order)
    refused_path = order.refused_path or order.file.with_name(f"{order.file.name}.refused.csv")
    if refused_path.exists() and refused_path.samefile(order.file):
        raise ConfigurationError("--refused names the file that is imported")
    async with open_current_database(settings):
        clock = DatabaseClock()
        await clock.start()
        ctx = ActionContext(Writer(clock, Hub()), settings.limits())
        work = Import(ctx, await imports.find_owner(order.team, order.owner), order.group)
        with progress(source.size) as (print_line, advance), source.open() as file:
            total = ImportResult()
            refusals = Refusals(refused_path, source, print_line)
            try:
                for batch in _batches(source.rows(file)):
                    await _import_batch(work, batch, order.shared, source, total, refusals)
                    advance(_row_count(total, refusals), file.buffer.tell())
            except Exception as exc:
                raise _stopped_error(exc, _row_count(total, refusals)) from exc
            finally:
                refusals.close()
    return _print_summary(total, refusals)


def _open_table(order: ImportOrder) -> Table:
    try:
        return read_table(order.file, order.encoding)
    except OSError as exc:
        raise ConfigurationError(f"{order.file} cannot be read: {exc.strerror or exc}") from exc
    except (UnreadableTable, UndecodableText) as exc:
        raise ConfigurationError(f"{order.file} cannot be imported: {exc}") from exc


def _stopped_error(exc: Exception, rows: int) -> ConfigurationError:
    return ConfigurationError(
        f"the import stopped after {rows} rows: {exc}. They are stored; run the import again to continue"
    )


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    remaining = iter(records)
    while batch := list(islice(remaining, MAX_BATCH_ROWS)):
        yield batch


async def _import_batch(
    work: Import, batch: list[Record], shared: bool, table: Table, total: ImportResult, refusals: Refusals
) -> None:
    """Import one batch, and add its counts to the total.

    Refused rows are reported in the order of the file.
    """
    reasons = {record.line: fault for record in batch if (fault := _fault_of(record, table)) is not None}
    importable = [record for record in batch if record.line not in reasons]
    tally = await work.import_batch(table.columns.row(each.line, each.fields, shared) for each in importable)
    total.added += tally.added
    total.changed += tally.changed
    total.unchanged += tally.unchanged
    total.colleagues += tally.colleagues
    total.hidden += tally.hidden
    total.unsubscribed += tally.unsubscribed
    reasons.update(tally.refused)
    for record in batch:
        if record.line in reasons:
            refusals.add(record, reasons[record.line])


def _fault_of(record: Record, table: Table) -> str | None:
    if record.fault is None and table.columns.too_wide(record.fields):
        return f"The row has {len(record.fields)} values, and the header {table.columns.width} names."
    return record.fault


def _row_count(total: ImportResult, refusals: Refusals) -> int:
    return total.added + total.changed + total.unchanged + refusals.count


def _print_summary(total: ImportResult, refusals: Refusals) -> int:
    if total.colleagues:
        hidden = f", {total.hidden} of them private" if total.hidden else ""
        print(f"{total.colleagues} of the unchanged are people of colleagues{hidden}")
    if total.unsubscribed:
        print(f"{total.unsubscribed} people are unsubscribed now, as the file says")
    print(
        f"{_row_count(total, refusals)} rows: {total.added} added, {total.changed} changed,"
        f" {total.unchanged} unchanged, {refusals.count} refused"
    )
    return EXIT_SOME_REFUSED if refusals.count else EXIT_ALL_IMPORTED
