"""`python -m benchmarks.loading [SEARCHES]`: how long the matcher takes to file what stands in an SQLite database."""

import argparse
import asyncio
import json
import logging
import random
import time
from collections.abc import Callable

from benchmarks.standing import A_CAMPAIGN, resident, thresholds
from lists.matcher import Matcher
from models.database import Connection, transaction
from models.enums import Role, SavedSearchState
from search.canonical import to_value
from search.check import check
from server.engine import Engine, running
from tests.databases import databases
from tests.serving import settings

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
    await tx.run("INSERT INTO teams (id, name, created_at) VALUES (1, 'Team', 1)")
    await tx.run(_USERS, owners)
    await tx.run(_CAMPAIGNS, searches // A_CAMPAIGN + 1)
    for start in range(0, searches, PORTION):
        numbers = range(start, min(start + PORTION, searches))
        await tx.many(_SEARCHES, [_search(rng, number, owners) for number in numbers])


def _search(rng: random.Random, number: int, owners: int) -> tuple[int, int, str, int]:
    turn, owner = divmod(number, owners)
    campaign = owner * AN_OWNER // A_CAMPAIGN + turn // A_CAMPAIGN + 1
    raw = thresholds(campaign, turn % A_CAMPAIGN + 1, rng.randint(1, 3))
    return number + 1, owner + 1, json.dumps(to_value(check(raw))), number


async def run(database_url: str, searches: int) -> str:
    async with running(settings(database_url), works=False) as engine:
        async with transaction() as tx:
            await fill(tx, searches)
        return await _load(engine, searches)


async def _load(engine: Engine, searches: int) -> str:
    matcher = Matcher(engine.desk.writer)
    stalls, watcher = [0.0], asyncio.create_task(_watch(lambda late: stalls.append(late)))
    before, began, worked = resident(), time.perf_counter(), time.process_time()
    await matcher.start()
    took, busy = time.perf_counter() - began, time.process_time() - worked
    watcher.cancel()
    assert len(matcher.index) == searches
    each = (resident() - before) / searches
    return (
        f"{searches:,} searches from SQLite in {took:.1f} s ({busy:.1f} s of processor), {each:,.0f} bytes each;"
        f" nothing else waited longer than {max(stalls) * 1e3:.0f} ms"
    )


async def _watch(tell: Callable[[float], None]) -> None:
    """Says how much too late it is woken: whatever else the process serves is as late."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.01)
        tell(time.perf_counter() - began - 0.01)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.loading")
    parser.add_argument("searches", nargs="?", type=int, default=10_000)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with databases() as made:
        print(asyncio.run(run(made.make("sqlite"), parser.parse_args().searches)))
