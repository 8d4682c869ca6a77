"""`python -m benchmarks clock [--sizes …]`: what a tick of the clock costs, by what stands and by what crosses.

Every standing search asks how long ago an email was sent, within or beyond one to five hours. The clock is moved by a
second at a time, and so many emails become an hour old in it: each leaves one list and joins one. Beside them stand
emails that cross nothing. Afterwards the lists must hold what a fresh query finds. A process for each size.
"""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

import orjson
import uvloop

from benchmarks import filling, verifying
from benchmarks.filling import FIRST_SELLER, TEAM, Rows
from benchmarks.populations import A_CAMPAIGN, campaigns
from benchmarks.report import Compared, Report, Slope
from benchmarks.verifying import Wrong
from command_center.database.connections import database, sqlite_path
from command_center.ids import encode
from command_center.search.parser import parse_filter
from command_center.search.scope import Scope
from command_center.server.runtime import Runtime, run_runtime
from models.enums import ChangeCauseKind, EmailStatus, InvalidationKind, SavedSearchState, SendKind
from tests.support.databases import Databases
from tests.support.server import ManualClock, settings

SIZES = (1_000, 100_000)
CROSSING = (0, 10, 100, 1_000)
"""Emails that cross a boundary in one tick."""
ROUNDS = 5
STANDING_EMAILS = 50_000
CHECKED = 2_000
"""Lists that are held against a fresh query, at most."""
SECOND, HOUR = 1_000_000, 3_600_000_000
SPANS = [f"PT{n}{unit}" for unit, most in (("S", 59), ("M", 59), ("H", 47)) for n in range(1, most + 1)]
SPANS += [f"P{n}D" for n in range(1, 731)]
"""All that a filter may use."""
DATES = ("createdAt", "sentAt", "scheduledAt", "failedAt")


@dataclass(frozen=True, slots=True)
class Ticked:
    """Seconds of one tick with all that came of it, by how many emails crossed; and one that looks for every span."""

    searches: int
    ticks: Mapping[int, float]
    every_span: float


async def run(made: Databases, sizes: Sequence[int]) -> Report:
    loop = asyncio.get_running_loop()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        told = [
            await loop.run_in_executor(pool, measure, await asyncio.to_thread(made.make, "sqlite"), searches)
            for searches in sizes
        ]
    return _told(told)


def measure(database_url: str, searches: int) -> Ticked:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(database_url, searches))


async def _measure(database_url: str, searches: int) -> Ticked:
    clock = ManualClock()
    # The first round is not counted.
    plan = [crossing for _ in range(1 + ROUNDS) for crossing in CROSSING]
    sent = [
        clock.moment + tick * SECOND - HOUR + SECOND // 2 for tick, crossing in enumerate(plan) for _ in range(crossing)
    ]
    homes = [number * 7919 % campaigns(searches) for number in range(len(sent))]
    filling.fill_sqlite(sqlite_path(database_url), _tables(searches, sent, homes, clock.moment))
    async with run_runtime(settings(database_url), clock, run_worker=False) as engine:
        await engine.matcher.start()
        async with engine.ctx.writer.unit_of_work() as uow:
            for key in range(1, len(sent) + 1):
                uow.invalidate(InvalidationKind.EMAIL, TEAM, key, ChangeCauseKind.EMAIL_CHANGED)
        await engine.matcher.settle()
        took: dict[int, list[float]] = {crossing: [] for crossing in CROSSING}
        for crossing in plan:
            took[crossing].append(await _tick(engine, clock, crossing))
        await _verify(searches, homes, clock.moment)
        return Ticked(
            searches,
            {crossing: median(each[1:]) for crossing, each in took.items()},
            await _every_span(engine, clock),
        )


async def _tick(engine: Runtime, clock: ManualClock, crossing: int) -> float:
    matcher = engine.matcher
    before = matcher.leave_count, matcher.join_count
    clock.advance(timedelta(seconds=1))
    began = time.perf_counter()
    await matcher.settle()
    took = time.perf_counter() - began
    if (matcher.leave_count, matcher.join_count) != (before[0] + crossing, before[1] + crossing):
        left, joined = matcher.leave_count - before[0], matcher.join_count - before[1]
        raise Wrong(f"{crossing} emails crossed: {left} left, {joined} joined")
    return took


async def _every_span(engine: Runtime, clock: ManualClock) -> float:
    """A tick that nothing crosses, where every span is asked of every date."""
    for number, (date, span) in enumerate((date, span) for date in DATES for span in SPANS):
        engine.matcher.index.add(
            -1 - number, Scope(TEAM, frozenset({FIRST_SELLER})), parse_filter({date: {"olderThan": span}})
        )
    return median([await _tick(engine, clock, 0) for _ in range(ROUNDS)])


async def _verify(searches: int, homes: Sequence[int], now: int) -> None:
    touched = sorted({home * A_CAMPAIGN + place + 1 for home in homes for place in range(A_CAMPAIGN)})
    keys = sorted(random.Random(4).sample(touched, min(CHECKED, len(touched))))
    for start in range(0, len(keys), verifying.PART):
        await verifying.compare(database(), keys[start : start + verifying.PART], now)


def _tables(searches: int, sent: Sequence[int], homes: Sequence[int], now: int) -> Iterator[tuple[str, str, Rows]]:
    yield from filling.crew(searches, now)
    keys = range(1, len(sent) + STANDING_EMAILS + 1)
    yield (
        "people",
        "id, team_id, owner_id, name, name_folded, address, address_folded, address_search, shared, created_at",
        ((key, TEAM, FIRST_SELLER, "Pat", "pat", *[f"p{key}@x.test"] * 3, True, now) for key in keys),
    )
    crossing = ((key, home, at) for key, home, at in zip(keys, homes, sent, strict=False))
    standing = ((key, None, now - 400 * 24 * HOUR - key) for key in keys[len(sent) :])
    yield "emails", filling.EMAIL, (_email(*each) for each in (*crossing, *standing))
    yield "saved_searches", filling.SEARCH, _searches(searches, now)


def _email(key: int, home: int | None, at: int) -> Sequence[object]:
    seller, campaign = (FIRST_SELLER, None) if home is None else (filling.seller_of(home), home + 1)
    kind = int(SendKind.INDIVIDUAL if home is None else SendKind.CAMPAIGN), int(EmailStatus.SENT)
    return (
        key,
        TEAM,
        seller,
        key,
        campaign,
        "[]",
        "[]",
        "Hello",
        "hello",
        "",
        *kind,
        False,
        False,
        at,
        at,
        at,
        0,
        0,
        0,
        0,
    )


def _searches(searches: int, now: int) -> Iterator[Sequence[object]]:
    for number in range(searches):
        campaign, place = divmod(number, A_CAMPAIGN)
        bound = {"olderThan" if place % 2 else "within": f"PT{place // 2 + 1}H"}
        text = orjson.dumps({"campaign": [encode("Campaign", campaign + 1)], "sentAt": bound}).decode()
        seller = filling.seller_of(campaign)
        yield number + 1, TEAM, seller, "List", text, False, int(SavedSearchState.LIVE), 0, now, now


def _told(told: Sequence[Ticked]) -> Report:
    found = Report()
    small, large = min(told, key=lambda each: each.searches), max(told, key=lambda each: each.searches)
    if small is not large:
        for crossing in CROSSING:
            mine, theirs = large.ticks[crossing], small.ticks[crossing]
            found.compared.append(
                Compared.of(
                    f"the clock: a tick that {crossing:,} emails cross, at {large.searches:,} / at {small.searches:,}",
                    (f"{mine * 1e3:,.2f} ms", f"{theirs * 1e3:,.2f} ms"),
                    "times it",
                    [mine / theirs],
                )
            )
    for crossing in CROSSING:
        values = {each.searches: each.ticks[crossing] * 1e3 for each in told}
        found.slopes.append(Slope(f"the clock: a tick that {crossing:,} emails cross", "ms", values))
    values = {each.searches: each.every_span * 1e3 for each in told}
    found.slopes.append(Slope(f"the clock: one that looks for {len(SPANS) * len(DATES):,} boundaries", "ms", values))
    return found
