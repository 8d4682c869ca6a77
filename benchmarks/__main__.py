"""`python -m benchmarks [NAMES…]`: every ratio in one table, also written to benchmarks/RESULTS.md.

Each part says how to run it alone. A part that fails is told of and does not stop the others.
"""

import argparse
import asyncio
import os
import platform
import sqlite3
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import uvloop

from benchmarks import (
    clock,
    events,
    fanout,
    folder_counts,
    ingest,
    loading,
    neighbours,
    new_lists,
    pages,
    polling,
    recording,
    report,
    standing,
)
from benchmarks.measure import Ratio
from benchmarks.report import Report, compared
from tests.support.databases import Databases, databases

RESULTS = Path(__file__).parent / "RESULTS.md"
NOTES_HEADING = "## Measurements behind decisions\n"
"""The section of RESULTS that is written by hand. A new run keeps it."""
PACKAGES = (
    "strawberry-graphql",
    "graphql-core",
    "tortoise-orm",
    "aiosqlite",
    "asyncpg",
    "starlette",
    "uvicorn",
    "uvloop",
)
Part = Callable[[Databases, Sequence[int] | None], Awaitable[Report]]
"""Takes how many searches are to stand; None for as many as it has its targets for."""


async def _recording(made: Databases, _: Sequence[int] | None) -> Report:
    return _of([await recording.run(await _file(made))])


async def _pages(made: Databases, _: Sequence[int] | None) -> Report:
    return _of(await pages.run(await _file(made)))


async def _folder_counts(made: Databases, _: Sequence[int] | None) -> Report:
    return _of([await folder_counts.run(await _file(made))])


async def _events(made: Databases, sizes: Sequence[int] | None) -> Report:
    return await events.run(made, sizes)


async def _polling(made: Databases, _: Sequence[int] | None) -> Report:
    return await polling.run(made)


async def _ingest(made: Databases, _: Sequence[int] | None) -> Report:
    return await ingest.run(made)


async def _fanout(made: Databases, _: Sequence[int] | None) -> Report:
    return await fanout.run(made)


async def _standing(_: Databases, sizes: Sequence[int] | None) -> Report:
    return await standing.run(sizes or standing.SIZES)


async def _loading(made: Databases, sizes: Sequence[int] | None) -> Report:
    return await loading.run(made, sizes or loading.SIZES)


async def _clock(made: Databases, sizes: Sequence[int] | None) -> Report:
    return await clock.run(made, sizes or clock.SIZES)


async def _filling(made: Databases, _: Sequence[int] | None) -> Report:
    return await new_lists.run(made)


async def _neighbours(made: Databases, _: Sequence[int] | None) -> Report:
    return await neighbours.run(made)


PARTS: Mapping[str, Part] = {
    "recording": _recording,
    "pages": _pages,
    "folder_counts": _folder_counts,
    "polling": _polling,
    "ingest": _ingest,
    "fanout": _fanout,
    "standing": _standing,
    "loading": _loading,
    "clock": _clock,
    "filling": _filling,
    "neighbours": _neighbours,
    "events": _events,
}


def _of(ratios: Sequence[Ratio]) -> Report:
    return Report(compared=[compared(each) for each in ratios])


async def _file(made: Databases) -> str:
    return await asyncio.to_thread(made.make, "sqlite")


def _run(names: Sequence[str], sizes: Sequence[int] | None) -> tuple[Report, list[str]]:
    """What was measured, and which parts failed. Each has databases and a loop of its own, and pays for no other."""
    told, failed = Report(), []
    for name in names:
        began = time.monotonic()
        try:
            with databases() as made, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                told.add(part := runner.run(_awaited(PARTS[name](made, sizes))))
        except Exception:
            traceback.print_exc()
            failed.append(name)
        else:
            print(f"## {name}, {time.monotonic() - began:,.0f} s\n\n{report.text(part)}", flush=True)
    return told, failed


async def _awaited(part: Awaitable[Report]) -> Report:
    return await part


def _machine() -> str:
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {model}, {os.cpu_count()} processors, {memory:.0f} GB; {platform.system()}"
        f" {platform.release()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; {versions}."
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _notes() -> str:
    """Returns the section with the notes written by hand, with its heading."""
    _, heading, notes = RESULTS.read_text().partition(NOTES_HEADING)
    return heading + notes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(PARTS)}; all where none is named")
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=int,
        help="how many searches stand for `standing`, `loading`, `clock` and `events`; a million for the targets",
    )
    asked = parser.parse_args()
    if unknown := sorted(set(asked.names) - set(PARTS)):
        parser.error(f"there is no part named {unknown[0]}")
    told, failed = _run(asked.names or list(PARTS), asked.sizes)
    text = (
        f"# Measured\n\n{_machine()}\n\nMedians of interleaved rounds; the spread is that of the single rounds' ratios."
        f" Times differ between machines, ratios hardly do.\n\n{report.text(told)}"
    )
    if not asked.names:
        print(text)
        if not failed:
            RESULTS.write_text(text.rstrip("\n") + "\n\n" + _notes())
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
