"""`python -m benchmarks.polling [SIZES…]`: from a write to whoever follows, both on PostgreSQL: ours against polling.

The poll is multiplexed, as live queries often are: one prepared statement for all searches, whose parameters it holds;
its rows are held against the last ones. It runs again at once, without any pause, on a database that does nothing else,
and is written to at any moment of a run; ours is written to whenever the last write has come through.
What it is spared: rights, a log to go on from, filters of more than one shape, lists that have members to begin with.
A second poll is spared even sending the parameters, which it keeps in a table. Times begin where the write is sent.
"""

import argparse
import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import asyncpg
import uvloop

from benchmarks import report, targets, verifying
from benchmarks.filling import TEAM, Filled, fill, seller_of
from benchmarks.populations import A_CAMPAIGN, campaigns, every
from benchmarks.report import Compared, Report, Slope
from benchmarks.targets import Target
from tests.support.databases import Databases, Postgres, databases

SIZES = (10_000, 100_000)
PAIRS = 5
WRITES, POLLED = 50, 11
"""Of a round: ours, and for each poll, which takes so much longer."""
LOAD_SECONDS = 1_800.0
SEEN_SECONDS = 120.0
TARGETS = {10_000: "≥ 10", 100_000: "≥ 20"}
_COLUMNS = ("search", "sender", "campaign", "views", "replies")
_POLL = """SELECT p.search, e.id FROM {source} JOIN emails e ON e.campaign_id = p.campaign AND e.sender_id = p.sender
 AND e.views >= p.views AND e.replies <= p.replies"""
_SENT = f"unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::int[]) AS p({', '.join(_COLUMNS)})"
_KEPT = "CREATE TEMP TABLE standing (search bigint, sender bigint, campaign bigint, views int, replies int)"
_FAVOURS = {"jit": "off", "plan_cache_mode": "force_custom_plan", "work_mem": "'64MB'"}
"""Without these it takes two to three times as long: what is planned once for all is planned for a few rows."""
_EVENT = (
    "INSERT INTO engagements (team_id, email_id, sender_id, kind, verdict, verdict_reason, judged, occurred_at,"
    " recorded_at, dedupe_key) VALUES ($1, $2, $3, 1, 1, 'reported', FALSE, $4, $4, $5)"
)
_NO_LIMIT = 2**31 - 1


@dataclass(slots=True)
class Poller:
    """Polls while it may, and notes when a member was first seen."""

    connection: asyncpg.Connection
    source: str
    parameters: tuple[list[int], ...]
    may: asyncio.Event = field(default_factory=asyncio.Event)
    seen: dict[tuple[int, int], float] = field(default_factory=dict)
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with each statement."""
    took: list[float] = field(default_factory=list)
    """Seconds of each statement, and of holding its rows against the last."""

    async def run(self) -> None:
        statement = await self.connection.prepare(_POLL.format(source=self.source))
        members: set[tuple[int, int]] = set()
        while True:
            await self.may.wait()
            began = time.monotonic()
            rows = {(search, email) for search, email in await statement.fetch(*self.parameters)}
            at = time.monotonic()
            for member in rows - members:
                self.seen[member] = at
            for member in members - rows:
                del self.seen[member]
            members = rows
            self.took.append(time.monotonic() - began)
            self.looked.set()


async def run(made: Databases, sizes: Sequence[int] = SIZES, pairs: int = PAIRS) -> Report:
    told = Report()
    async with AsyncExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, made.apart())
        # The tests' server need not outlive a loss of power. This one must, on both sides.
        for setting in ("fsync", "full_page_writes"):
            await asyncio.to_thread(server.setting, setting, "on")
        for size in sizes:
            told.add(await _size(server, size, pairs))
    return told


async def _size(server: Postgres, size: int, pairs: int) -> Report:
    ours, theirs = [
        await fill(url, "uniform", size, spread=campaigns(size) * A_CAMPAIGN)
        for url in [await asyncio.to_thread(server.make) for _ in range(2)]
    ]
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(targets.product(ours, f"{size:,}"))
        await _write_ours(target, LOAD_SECONDS)
        writing = await stack.enter_async_context(_connected(theirs.url))
        pollers = [await stack.enter_async_context(_polling(theirs, size, kept)) for kept in (False, True)]
        emails = itertools.count()
        rounds: list[tuple[float, ...]] = []
        for _ in range(pairs):
            each = [median([await _write_ours(target) for _ in range(WRITES)])]
            for poller in pollers:
                poller.may.set()
                others = [await _write_theirs(writing, poller, theirs, next(emails)) for _ in range(POLLED)]
                poller.may.clear()
                each.append(median(others))
            rounds.append(tuple(each))
        await verifying.lists(ours, target.frames)
    return _told(size, rounds, pollers)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        for name, value in _FAVOURS.items():
            await connection.execute(f"SET {name} = {value}")
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _polling(filled: Filled, size: int, kept: bool) -> AsyncIterator[Poller]:
    """A poller that waits until it may; `kept`: its parameters are in a table."""
    async with _connected(filled.url) as connection:
        parameters = _parameters(size)
        poller = Poller(connection, "standing p" if kept else _SENT, () if kept else parameters)
        if kept:
            await connection.execute(_KEPT)
            await connection.copy_records_to_table("standing", records=zip(*parameters, strict=True))
            await connection.execute("ANALYZE standing")
        task = asyncio.create_task(poller.run())
        yield poller
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _parameters(size: int) -> tuple[list[int], ...]:
    rows: list[tuple[int, ...]] = []
    for key, search in enumerate(every("uniform", size), start=1):
        assert search.campaign is not None
        assert search.views is not None
        replies = 0 if len(search.definition["engagement"]) > 1 else _NO_LIMIT
        rows.append((key, seller_of(search.campaign), search.campaign + 1, search.views, replies))
    return tuple(map(list, zip(*rows, strict=True)))


async def _write_ours(target: Target, patience: float = SEEN_SECONDS) -> float:
    """Seconds from the request to the last of its frames."""
    sent = next(sent for sent in target.requests if sent.frames)
    began = time.monotonic()
    answer = asyncio.ensure_future(target.wires.ask(sent.request))
    async with asyncio.timeout(patience):
        while any(key not in target.arrivals for key in sent.frames):
            target.arrived.clear()
            await target.arrived.wait()
        await answer
    return max(target.arrivals[key] for key in sent.frames) - began


async def _write_theirs(connection: asyncpg.Connection, poller: Poller, filled: Filled, number: int) -> float:
    """Seconds from the write, at any phase of the poll, to the poll that shows the last of its members."""
    email = filled.timed[number]
    campaign = filled.campaign_of[email]
    expected = [(search, email) for search in filled.joins[campaign, 1]]
    await asyncio.sleep(random.uniform(0.0, 2 * poller.took[-1] if poller.took else 0.0))
    began = time.monotonic()
    now: Any = time.time_ns() // 1000
    async with connection.transaction():
        await connection.execute(_EVENT, TEAM, email, seller_of(campaign), now, f"p{number}")
        await connection.execute("UPDATE emails SET views = views + 1 WHERE id = $1", email)
    async with asyncio.timeout(SEEN_SECONDS):
        while any(member not in poller.seen for member in expected):
            poller.looked.clear()
            await poller.looked.wait()
    return max(poller.seen[member] for member in expected) - began


def _told(size: int, rounds: Sequence[tuple[float, ...]], pollers: Sequence[Poller]) -> Report:
    name = "from a write to who follows, PostgreSQL"
    mine = [each[0] for each in rounds]
    told = Report(slopes=[Slope(f"{name}: ours", "ms", {size: median(mine) * 1e3})])
    asked = (("a poll, parameters sent", TARGETS.get(size, "")), ("a poll, parameters kept in a table", ""))
    for place, (what, target) in enumerate(asked, start=1):
        others = [each[place] for each in rounds]
        told.compared.append(
            Compared.of(
                f"{name}, {size:,} searches: ours / {what}",
                (f"{median(mine) * 1e3:,.1f} ms", f"{median(others) * 1e3:,.1f} ms"),
                "times faster",
                [theirs / ours for ours, theirs in zip(mine, others, strict=True)],
                target,
            )
        )
        told.slopes.append(Slope(f"{name}: {what}", "ms", {size: median(others) * 1e3}))
        told.slopes.append(Slope(f"one run of {what}", "ms", {size: median(pollers[place - 1].took) * 1e3}))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polling")
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    asked = parser.parse_args()
    with databases() as made, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(report.text(runner.run(run(made, asked.sizes, asked.pairs))))


if __name__ == "__main__":
    main()
