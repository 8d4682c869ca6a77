"""`python -m benchmarks.standing [SIZES…]`: what standing searches cost, by how many there are and of what kind.

For each population, in a process of its own, all sizes one after the other: seconds to file them, bytes a search; then
in turns microseconds to match one email's facts in memory, and, where that ends within reason, to hold them against
every search. Times are the processor's own: nothing here waits, and other processes should not count.
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
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.report import Compared, Report, Slope
from command_center.ids import encode
from command_center.search.facts import Event, Facts
from command_center.search.index.search_index import Index
from command_center.search.parser import parse_filter
from command_center.search.scope import Owner, resolve_scope
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SendKind

SIZES = (1_000, 100_000, 1_000_000)
EMAILS = 2_000
TURN_SECONDS = 1.0
"""Of one turn, at most: where a match takes long, fewer emails are matched."""
FEWEST = 5
PAIRS = 5
EVERY_UPTO = 100_000
NOW = 1_800_000_000_000_000
A_CAMPAIGN, AN_OWNER = 10, 100

Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filed:
    """So many searches of a population: seconds to file them, bytes of each."""

    searches: int
    index: Index
    load: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Measured:
    """For one email: `matches` and `every` in seconds, a figure for each turn; `looked` and `matched` in searches."""

    searches: int
    load: float
    bytes: float
    looked: float
    matched: float
    matches: Sequence[float]
    every: Sequence[float]


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
        filter = parse_filter(raw)
        index.add(number + 1, resolve_scope(filter, owner), filter)
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


def measure(population: str, sizes: Sequence[int]) -> list[Measured]:
    standing = [_file(population, searches) for searches in sorted(sizes)]
    turns = [(filed.index, _emails(population, filed)) for filed in standing]
    matches: list[list[float]] = [[] for _ in standing]
    every: list[list[float]] = [[] for _ in standing]
    for number in range(PAIRS):
        for place, (index, listed) in enumerate(turns):
            matches[place].append(_seconds(partial(_match, index, listed)) / len(listed))
            if len(index) <= EVERY_UPTO:
                email = listed[number % len(listed)]
                every[place].append(_seconds(partial(_hold_against_all, index, email)))
    return [
        Measured(
            filed.searches,
            filed.load,
            filed.bytes,
            sum(len(index.candidates(email)) for email in listed) / len(listed),
            _match(index, listed) / len(listed),
            *figures,
        )
        for filed, (index, listed), *figures in zip(standing, turns, matches, every, strict=True)
    ]


def _file(population: str, searches: int) -> Filed:
    gc.collect()
    before, began = resident(), time.process_time()
    index = filed(population, searches)
    load = time.process_time() - began
    gc.collect()
    taken = (resident() - before) / searches
    gc.freeze()
    return Filed(searches, index, load, taken)


def _emails(population: str, filed: Filed) -> list[Facts]:
    """As many as a turn has time for. They have been matched once, so that nothing is new to the index."""
    listed = list(emails(population, filed.searches))
    _match(filed.index, listed[:FEWEST])
    each = _seconds(lambda: _match(filed.index, listed[:FEWEST])) / FEWEST
    listed = listed[: max(FEWEST, int(TURN_SECONDS / max(each, 1e-9)))]
    _match(filed.index, listed)
    return listed


def _match(index: Index, listed: Sequence[Facts]) -> int:
    return sum(match(index, email) for email in listed)


def _hold_against_all(index: Index, email: Facts) -> None:
    for search in index:
        index.matches(search, email, NOW)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def run(sizes: Sequence[int] = SIZES, populations: Iterable[str] = POPULATIONS) -> Report:
    told, loop = Report(), asyncio.get_running_loop()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for population in populations:
            measured = await loop.run_in_executor(pool, measure, population, sizes)
            told.compared += _compared(population, measured)
            told.slopes += _slopes(population, measured)
    return told


def _compared(population: str, measured: Sequence[Measured]) -> Iterator[Compared]:
    uniform = population == "uniform"
    small, large = measured[0], measured[-1]
    if small is not large:
        yield _in_turns(
            f"a match in memory, {population}: at {large.searches:,} / at {small.searches:,}",
            (large.matches, small.matches),
            "times it",
            "≤ 8" if uniform else "",
            lambda mine, theirs: mine / theirs,
        )
    if against := [each for each in measured if each.every]:
        yield _in_turns(
            f"a match in memory, {population}, {against[-1].searches:,} searches: index / every search",
            (against[-1].matches, against[-1].every),
            "times faster",
            "≥ 1,000 at 100,000" if uniform else "",
            lambda mine, theirs: theirs / mine,
        )


def _in_turns(
    name: str,
    figures: tuple[Sequence[float], Sequence[float]],
    how: str,
    target: str,
    ratio: Callable[[float, float], float],
) -> Compared:
    mine, theirs = (f"{statistics.median(each) * 1e6:,.1f} µs" for each in figures)
    return Compared.of(name, (mine, theirs), how, list(map(ratio, *figures)), target)


def _slopes(population: str, measured: Sequence[Measured]) -> Iterator[Slope]:
    figures: Sequence[tuple[str, str, Callable[[Measured], float]]] = (
        ("filed in memory", "s", lambda each: each.load),
        ("memory of a search (≤ 2,000)", "bytes", lambda each: each.bytes),
        ("looked at for an email", "searches", lambda each: each.looked),
        ("matches of an email", "searches", lambda each: each.matched),
        ("a match", "µs", lambda each: statistics.median(each.matches) * 1e6),
        ("a match, for each search looked at", "µs", lambda each: statistics.median(each.matches) * 1e6 / each.looked),
    )
    for name, unit, read in figures:
        yield Slope(f"{population}: {name}", unit, {each.searches: read(each) for each in measured})


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.standing")
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--population", choices=POPULATIONS, action="append")
    asked = parser.parse_args()
    print(report.text(asyncio.run(run(asked.sizes, asked.population or POPULATIONS))))


if __name__ == "__main__":
    main()
