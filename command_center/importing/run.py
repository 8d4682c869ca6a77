"""The import from beginning to end: batches of rows become deeds, and what became of each row is counted and told."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from command_center.actions import imports
from command_center.actions.context import ActionContext
from command_center.actions.imports import Import, Tally
from command_center.changes.hub import Hub
from command_center.changes.unit_of_work import Writer
from command_center.database.clock import DatabaseClock
from command_center.importing.records import Record
from command_center.importing.report import Refusals, progress
from command_center.importing.tables import Table, Unreadable, table
from command_center.importing.texts import Undecodable
from command_center.server.runtime import connected
from command_center.server.settings import Misconfigured, Settings

BATCH = 1000
ALL_TAKEN, SOME_REFUSED = 0, 1


@dataclass(frozen=True, slots=True)
class Order:
    """What to import, for whom, and how. `refused` is None for a file beside the original."""

    file: Path
    team: str
    owner: str
    group: str | None
    shared: bool
    encoding: str | None
    refused: Path | None


async def run(settings: Settings, order: Order) -> int:
    """0 where every row was taken, 1 where some were refused. Raises Misconfigured and Refused where nothing can be."""
    found = _table(order)
    refused = order.refused or order.file.with_name(f"{order.file.name}.refused.csv")
    if refused.exists() and refused.samefile(order.file):
        raise Misconfigured("--refused names the file that is imported")
    async with connected(settings):
        clock = DatabaseClock()
        await clock.start()
        ctx = ActionContext(Writer(clock, Hub()), settings.limits())
        work = Import(ctx, await imports.owner(order.team, order.owner), order.group)
        with progress(found.size) as (say, advance), found.open() as file:
            total = Tally()
            refusals = Refusals(refused, found, say)
            try:
                for batch in _batches(found.rows(file)):
                    await _take(work, batch, order.shared, found, total, refusals)
                    advance(_rows(total, refusals), file.buffer.tell())
            except Exception as exc:
                raise _stopped(exc, _rows(total, refusals)) from exc
            finally:
                refusals.close()
    return _summary(total, refusals)


def _table(order: Order) -> Table:
    try:
        return table(order.file, order.encoding)
    except OSError as exc:
        raise Misconfigured(f"{order.file} cannot be read: {exc.strerror or exc}") from exc
    except (Unreadable, Undecodable) as exc:
        raise Misconfigured(f"{order.file} cannot be imported: {exc}") from exc


def _stopped(exc: Exception, rows: int) -> Misconfigured:
    return Misconfigured(f"the import stopped after {rows} rows: {exc}. They stay; run it again, and it goes on")


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    left = iter(records)
    while batch := list(islice(left, BATCH)):
        yield batch


async def _take(
    work: Import, batch: list[Record], shared: bool, table: Table, total: Tally, refusals: Refusals
) -> None:
    """One batch: its rows are taken or refused, and told of in the order of the file."""
    reasons = {record.line: fault for record in batch if (fault := _fault(record, table)) is not None}
    sound = [record for record in batch if record.line not in reasons]
    tally = await work.take(table.columns.row(each.line, each.fields, shared) for each in sound)
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


def _fault(record: Record, table: Table) -> str | None:
    if record.fault is None and table.columns.too_wide(record.fields):
        return f"The row has {len(record.fields)} values, and the header {table.columns.width} names."
    return record.fault


def _rows(total: Tally, refusals: Refusals) -> int:
    return total.added + total.changed + total.unchanged + refusals.count


def _summary(total: Tally, refusals: Refusals) -> int:
    if total.colleagues:
        hidden = f", {total.hidden} of them private" if total.hidden else ""
        print(f"{total.colleagues} of the unchanged are people of colleagues{hidden}")
    if total.unsubscribed:
        print(f"{total.unsubscribed} people are unsubscribed now, as the file says")
    print(
        f"{_rows(total, refusals)} rows: {total.added} added, {total.changed} changed, {total.unchanged} unchanged,"
        f" {refusals.count} refused"
    )
    return SOME_REFUSED if refusals.count else ALL_TAKEN
