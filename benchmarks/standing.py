"""`python -m benchmarks.standing [SIZES…]`: what standing searches cost, by how many there are and of what kind.

For each population and size, in a process of its own: seconds to file them all, bytes a search, microseconds to match
one email's facts in memory, and, where that ends within reason, to hold them against every search. Times are the
processor's own: nothing here waits, and other processes should not count.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.report import Report, Slope
from identifiers import encode
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SendKind
from search.check import check
from search.facts import Event, Facts
from search.index import Index
from search.scope import Owner, scope

SIZES = (1_000, 10_000)
EMAILS = 2_000
EVERY_UPTO = 100_000
NOW = 1_800_000_000_000_000
A_CAMPAIGN, AN_OWNER = 10, 100

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    population: str
    searches: int
    load: float
    bytes: float
    match: float
    looked: float
    matched: float
    every: float | None


@dataclass(frozen=True, slots=True)
class Population:
    """How the searches of a population are made, and of which campaign and sender the emails are."""

    search: Callable[[random.Random, int, int], tuple[Owner, Raw]]
    email: Callable[[random.Random, int], tuple[int, int]]


def thresholds(campaign: int, views: int, clicks: int) -> Raw:
    engagement = [{"kind": "VIEW", "atLeast": views}, {"kind": "CLICK", "atLeast": clicks}]
    return {"campaign": [encode("Campaign", campaign)], "engagement": engagement}


def _uniform(rng: random.Random, number: int, searches: int) -> tuple[Owner, Raw]:
    """Ten a campaign, over everyone's mail; of emails seen twice at most two match."""
    raw = thresholds(number // A_CAMPAIGN + 1, number % A_CAMPAIGN + 1, rng.randint(1, 3))
    return Owner(1, 1, True), {"everySender": True, **raw}


def _skewed(rng: random.Random, number: int, searches: int) -> tuple[Owner, Raw]:
    """One campaign in a hundred holds nine searches of ten."""
    campaigns = searches // A_CAMPAIGN
    few = campaigns // 100
    campaign = rng.randint(1, few) if number % 10 else rng.randint(few + 1, campaigns)
    return Owner(1, 1, True), {"everySender": True, **thresholds(campaign, rng.randint(1, 30), rng.randint(1, 10))}


def _owned(rng: random.Random, number: int, each: int) -> tuple[Owner, Raw]:
    """A hundred an owner, over their own mail; one in so many asks for a part of a subject."""
    owner = Owner(number // AN_OWNER + 1, 1, False)
    if number % each == 0:
        return owner, {"subject": {"contains": f"word {number}"}}
    return owner, thresholds(number // A_CAMPAIGN + 1, number % A_CAMPAIGN + 1, rng.randint(1, 3))


def _any_campaign(rng: random.Random, searches: int) -> tuple[int, int]:
    campaign = rng.randint(1, searches // A_CAMPAIGN)
    return campaign, (campaign - 1) * A_CAMPAIGN // AN_OWNER + 1


def _mostly_few_campaigns(rng: random.Random, searches: int) -> tuple[int, int]:
    few = searches // A_CAMPAIGN // 100
    return (rng.randint(1, few), 1) if rng.random() < 0.9 else _any_campaign(rng, searches)


def _unnarrowed(rng: random.Random, number: int, searches: int) -> tuple[Owner, Raw]:
    """The worst there is: one range for all, and one search in ten that no key narrows."""
    if number % 10 == 0:
        return Owner(1, 1, True), {"everySender": True, "subject": {"contains": f"word {number}"}}
    return _uniform(rng, number, searches)


POPULATIONS: Mapping[str, Population] = {
    "uniform": Population(_uniform, _any_campaign),
    "skewed": Population(_skewed, _mostly_few_campaigns),
    "1 % without a key": Population(lambda rng, number, _: _owned(rng, number, 100), _any_campaign),
    "10 % without a key": Population(lambda rng, number, _: _owned(rng, number, 10), _any_campaign),
    "10 % without a key, in one range": Population(_unnarrowed, _any_campaign),
}


def filed(population: str, searches: int) -> Index:
    rng, index = random.Random(1), Index()
    for number in range(searches):
        owner, raw = POPULATIONS[population].search(rng, number, searches)
        filter = check(raw)
        index.add(number + 1, scope(filter, owner), filter)
    return index


def emails(population: str, searches: int) -> Iterator[Facts]:
    rng = random.Random(2)
    for _ in range(EMAILS):
        campaign, sender = POPULATIONS[population].email(rng, searches)
        views, clicks = rng.randint(0, 2), rng.randint(0, 2)
        yield facts(campaign, sender, views, clicks)


def facts(campaign: int, sender: int, views: int, clicks: int) -> Facts:
    seen = Event(EngagementKind.VIEW, EngagementVerdict.HUMAN, NOW - 1)
    clicked = Event(EngagementKind.CLICK, EngagementVerdict.HUMAN, NOW - 1, "https://example.com/")
    return Facts(
        *(1, 1, sender, 1, campaign, None, None, SendKind.INDIVIDUAL, EmailStatus.SENT, False, False),
        *("an offer", "pat@example.com", None, NOW, NOW, None, None, frozenset()),
        (*(seen,) * views, *(clicked,) * clicks),
    )


def match(index: Index, email: Facts) -> int:
    """One email held against the searches it may match; how many do."""
    return len(index.matching(email, NOW))


def measure(population: str, searches: int) -> Measured:
    gc.collect()
    before, began = resident(), time.process_time()
    index = filed(population, searches)
    load = time.process_time() - began
    gc.collect()
    taken = (resident() - before) / searches
    gc.freeze()
    listed = list(emails(population, searches))
    matched = sum(match(index, email) for email in listed) / len(listed)
    looked = sum(len(index.candidates(email)) for email in listed) / len(listed)
    each = statistics.median(_seconds(lambda: [match(index, email) for email in listed]) for _ in range(5))
    every = None
    if searches <= EVERY_UPTO:
        _hold_against_all(index, listed[:1])
        every = _seconds(lambda: _hold_against_all(index, listed[1:3])) / 2
    return Measured(population, searches, load, taken, each / len(listed), looked, matched, every)


def _hold_against_all(index: Index, listed: list[Facts]) -> None:
    for email in listed:
        for search in index:
            index.matches(search, email, NOW)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def run(sizes: Sequence[int] = SIZES, populations: Iterable[str] = POPULATIONS) -> Report:
    """A process for each, so that none measures the memory another gave back."""
    told, loop = Report(), asyncio.get_running_loop()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for population in populations:
            measured = [await loop.run_in_executor(pool, measure, population, searches) for searches in sizes]
            told.slopes += _slopes(population, measured)
    return told


def _slopes(population: str, measured: Sequence[Measured]) -> Iterator[Slope]:
    figures: Sequence[tuple[str, str, Callable[[Measured], float | None]]] = (
        ("filed in memory", "s", lambda each: each.load),
        ("memory of a search", "bytes", lambda each: each.bytes),
        ("looked at for an email", "searches", lambda each: each.looked),
        ("matches of an email", "searches", lambda each: each.matched),
        ("a match", "µs", lambda each: each.match * 1e6),
        ("every search instead", "µs", lambda each: None if each.every is None else each.every * 1e6),
    )
    for name, unit, read in figures:
        values = {each.searches: value for each in measured if (value := read(each)) is not None}
        yield Slope(f"{population}: {name}", unit, values)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.standing")
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--population", choices=POPULATIONS, action="append")
    asked = parser.parse_args()
    print(report.text(asyncio.run(run(asked.sizes, asked.population or POPULATIONS))))


if __name__ == "__main__":
    main()
