"""`python -m benchmarks.loading [SIZES…]`: how long the matcher takes to file what stands in an SQLite database.

On uvloop, as `command-center serve` runs.
"""

import argparse
import asyncio
import gc
import json
import logging
import multiprocessing
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import uvloop

from benchmarks import report
from benchmarks.report import Report, Slope
from benchmarks.standing import A_CAMPAIGN, resident, thresholds
from command_center.database.connections import Connection, database, open_database, transaction
from command_center.lists.matcher import Matcher
from command_center.search.canonical import to_value
from command_center.search.parser import parse_filter
from command_center.server.cli import GC_THRESHOLD
from command_center.server.runtime import Runtime, run_runtime
from models.enums import Role, SavedSearchState
from tests.support.databases import Databases, databases
from tests.support.server import settings

SIZES = (100_000, 1_000_000)
AN_OWNER = 500
PORTION = 10_000
_NUMBERED = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
_USERS = (
    f"INSERT INTO users (id, team_id, name, address, address_folded, role, time_zone, created_at) {_NUMBERED}"
    f" SELECT i, 1, 'Ann', 'a' || i, 'a' || i, {int(Role.MEMBER)}, 'UTC', i FROM n"
)
_CAMPAIGNS = (
    f"INSERT INTO campaigns (id, team_id, owner_id, name, created_at) {_NUMBERED} SELECT i, 1, 1, 'c', i FROM n"
)
_SEARCHES = (
    "INSERT INTO saved_searches (id, team_id, owner_id, name, definition, shared, state, member_count, created_at,"
    f" updated_at) VALUES (?, 1, ?, 'list', ?, 0, {int(SavedSearchState.LIVE)}, 0, ?, 0)"
)


async def fill(tx: Connection, searches: int) -> None:
    """Ten searches a campaign and 500 an owner, each owner's scattered over the table."""
    rng, owners = random.Random(1), max(searches // AN_OWNER, 1)
    await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (1, 'Team', 1)")
    await tx.execute(_USERS, owners)
    await tx.execute(_CAMPAIGNS, searches // A_CAMPAIGN + 1)
    for start in range(0, searches, PORTION):
        numbers = range(start, min(start + PORTION, searches))
        await tx.execute_many(_SEARCHES, [_search(rng, number, owners) for number in numbers])


def _search(rng: random.Random, number: int, owners: int) -> tuple[int, int, str, int]:
    turn, owner = divmod(number, owners)
    campaign = owner * AN_OWNER // A_CAMPAIGN + turn // A_CAMPAIGN + 1
    raw = thresholds(campaign, turn % A_CAMPAIGN + 1, rng.randint(1, 3))
    return number + 1, owner + 1, json.dumps(to_value(parse_filter(raw))), number


@dataclass(frozen=True, slots=True)
class Loaded:
    """Seconds by the clock and of the processor, bytes a search, and the longest that anything else waited."""

    searches: int
    took: float
    busy: float
    bytes: float
    stall: float


async def run(made: Databases, sizes: Sequence[int] = SIZES) -> Report:
    loop = asyncio.get_running_loop()
    # A process for each, which neither filled the database nor gave back the memory of another.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        told = []
        for searches in sizes:
            url = await asyncio.to_thread(made.make, "sqlite")
            await loop.run_in_executor(pool, _filled, url, searches)
            told.append(await loop.run_in_executor(pool, load, url, searches))
    figures: Sequence[tuple[str, str, Callable[[Loaded], float]]] = (
        ("filed from SQLite (a million ≤ 90)", "s", lambda each: each.took),
        ("of the processor", "s", lambda each: each.busy),
        ("memory of a search", "bytes", lambda each: each.bytes),
        ("whatever else the process does waits at most", "ms", lambda each: each.stall * 1e3),
    )
    return Report(
        slopes=[
            Slope(f"loading: {name}", unit, {each.searches: read(each) for each in told})
            for name, unit, read in figures
        ]
    )


def _filled(database_url: str, searches: int) -> None:
    async def work() -> None:
        async with open_database(database_url), transaction() as tx:
            await fill(tx, searches)

    asyncio.run(work())


def load(database_url: str, searches: int) -> Loaded:
    """In a process of its own, which is set up as `command-center` sets itself up."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)

    async def work() -> Loaded:
        async with run_runtime(settings(database_url), run_worker=False) as engine:
            return await _load(engine, searches)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


async def _load(engine: Runtime, searches: int) -> Loaded:
    matcher = Matcher(engine.ctx.writer)
    # What SQLite keeps of the file in memory, up to 64 MB, is no part of what the searches take.
    await database().fetch("SELECT max(length(definition)), max(state) FROM saved_searches")
    gc.collect()
    stalls, watcher = [0.0], asyncio.create_task(_watch(lambda late: stalls.append(late)))
    before, began, worked = resident(), time.perf_counter(), time.process_time()
    await matcher.start()
    took, busy = time.perf_counter() - began, time.process_time() - worked
    watcher.cancel()
    assert len(matcher.index) == searches
    return Loaded(searches, took, busy, (resident() - before) / searches, max(stalls))


async def _watch(tell: Callable[[float], None]) -> None:
    """Says how much too late it is woken: whatever else the process serves is as late."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.01)
        tell(time.perf_counter() - began - 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading")
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    asked = parser.parse_args()
    with databases() as made:
        print(report.text(asyncio.run(run(made, asked.sizes))))


if __name__ == "__main__":
    main()
