"""`python -m benchmarks.events [SIZES…]`: a whole event, from the request on its way to the frame read elsewhere.

The product serves from a SQLite file, as it comes, in a process for each size; 200 events a second come one by one,
whether or not the ones before are answered. An event has arrived when all its frames were read. The servers take turns
with each other and with the floor program, so that what disturbs one disturbs all.
"""

import argparse
import asyncio
import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import report, targets, verifying
from benchmarks.filling import fill
from benchmarks.populations import POPULATIONS
from benchmarks.processes import own_cpu
from benchmarks.report import Compared, Report, Slope
from benchmarks.targets import Sent, Target
from command_center.database.connections import sqlite_path
from tests.support.databases import Databases, databases

RATE = 200
SECONDS = 5.0
PAIRS = 5
SIZES: Mapping[str, Sequence[int]] = {
    each: (1_000, 1_000_000 if each == "uniform" else 100_000) for each in POPULATIONS
}
LOAD_SECONDS = 1_800.0
"""How long a server may take to file its searches."""
FRAME_SECONDS = 300.0
FLOOR = 0
"""Stands for the floor program where others stand by their size."""


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds: of an event's way by rank, and of the processor for one event, the server's and the client's."""

    p50: float
    p99: float
    server: float
    client: float


P50, SERVER = "p50", "server's processor"
FIGURES: Mapping[str, Callable[[Round], float]] = {
    P50: lambda each: each.p50,
    "p99": lambda each: each.p99,
    SERVER: lambda each: each.server,
    "client's processor": lambda each: each.client,
}


async def run(
    made: Databases, sizes: Sequence[int] | None = None, populations: Iterable[str] = POPULATIONS, pairs: int = PAIRS,
    seconds: float = SECONDS, whole: bool = False,
) -> Report:  # fmt: skip
    told = Report()
    for population in populations:
        told.add(await _population(made, population, sizes or SIZES[population], pairs, seconds, whole))
    return told


async def _population(
    made: Databases, population: str, sizes: Sequence[int], pairs: int, seconds: float, whole: bool
) -> Report:
    loads: dict[int, float] = {}
    async with AsyncExitStack() as stack:
        turns: dict[int, Target] = {}
        if population == "uniform":
            place = Path(sqlite_path(await asyncio.to_thread(made.make, "sqlite")))
            turns[FLOOR] = await stack.enter_async_context(targets.floor(place.with_suffix(".floor")))
        urls = [await asyncio.to_thread(made.make, "sqlite") for _ in sizes]
        for filled in [await fill(url, population, size) for url, size in zip(urls, sizes, strict=True)]:
            size = filled.searches
            turns[size] = await stack.enter_async_context(targets.product(filled, f"{size:,}"))
            loads[size] = await first(turns[size])
        for target in turns.values():
            await _round(target, 1.0)
        gc.collect()
        gc.freeze()
        rounds: dict[int, list[Round]] = {size: [] for size in turns}
        for _ in range(pairs):
            for size, target in turns.items():
                rounds[size].append(await _round(target, seconds))
        memory = {size: turns[size].served.resident() / 2**20 for size in sizes}
        for target in turns.values():
            if target.filled is not None:
                await verifying.lists(target.filled, target.frames, whole)
    told = _told(f"a whole event, {population}", rounds)
    told.slopes.append(Slope(f"a whole event, {population}: filed at the start", "s", loads))
    told.slopes.append(Slope(f"a whole event, {population}: resident, the whole process", "MB", memory))
    return told


async def first(target: Target) -> float:
    """Seconds until the first event is through: the searches are filed by then."""
    began = time.monotonic()
    timed = next(each for each in target.requests if each.frames)
    await target.wires.ask(timed.request)
    await _arrived(target, [timed], LOAD_SECONDS)
    return time.monotonic() - began


async def _round(target: Target, seconds: float) -> Round:
    server, client = target.served.cpu(), own_cpu()
    took = await sent(target, seconds)
    count = int(RATE * seconds)
    return Round(
        p50=took[len(took) // 2],
        p99=took[len(took) * 99 // 100],
        server=(target.served.cpu() - server) / count,
        client=(own_cpu() - client) / count,
    )


async def sent(target: Target, seconds: float) -> list[float]:
    """So many seconds of events, one after the other however long they take: seconds of each one's way, in order."""
    batch = list(islice(target.requests, int(RATE * seconds)))
    moments: list[float] = []
    answers: list[asyncio.Task[bytes]] = []
    began = time.monotonic()
    for place, each in enumerate(batch):
        await asyncio.sleep(began + place / RATE - time.monotonic())
        moments.append(time.monotonic())
        answers.append(asyncio.ensure_future(target.wires.ask(each.request)))
    for answer in await asyncio.gather(*answers):
        if b'"recorded":1' not in answer:
            raise verifying.Wrong(f"an event was not recorded: {answer.decode()}")
    await _arrived(target, batch, FRAME_SECONDS)
    return sorted(
        max(target.arrivals[key] for key in each.frames) - at
        for at, each in zip(moments, batch, strict=True)
        if each.frames
    )


async def _arrived(target: Target, batch: Iterable[Sent], patience: float) -> None:
    async with asyncio.timeout(patience):
        for each in batch:
            while any(key not in target.arrivals for key in each.frames):
                await asyncio.sleep(0.01)


def _told(name: str, rounds: dict[int, list[Round]]) -> Report:
    told = Report()
    floor, ours = rounds.get(FLOOR), {size: each for size, each in rounds.items() if size != FLOOR}
    small, large = ours[min(ours)], ours[max(ours)]
    sizes = f"{max(ours):,}", f"{min(ours):,}"
    if floor is not None:
        told.compared.append(_against(f"{name}: p50 at {sizes[0]} / floor's", _pairs(large, floor, P50), "≤ 4"))
    own = [(each.p99, each.p50) for each in large]
    told.compared.append(_against(f"{name}: p99 / p50 at {sizes[0]}", own, "≤ 5"))
    if len(ours) > 1:
        target = "≤ 1.3 at 1,000,000" if floor is not None else ""
        for what in (P50, SERVER):
            label = f"{name}: {what} at {sizes[0]} / at {sizes[1]}"
            told.compared.append(_against(label, _pairs(large, small, what), target))
    for what, read in FIGURES.items():
        values = {size: median(map(read, each)) * 1e3 for size, each in ours.items()}
        told.slopes.append(Slope(f"{name}: {what}", "ms", values))
    if floor is not None:
        shown = ", ".join(f"{what} {median(map(read, floor)) * 1e3:,.2f} ms" for what, read in FIGURES.items())
        told.notes.append(f"{name}, the floor program: {shown}.")
    return told


def _pairs(mine: Sequence[Round], theirs: Sequence[Round], what: str) -> list[tuple[float, float]]:
    read = FIGURES[what]
    return [(read(one), read(other)) for one, other in zip(mine, theirs, strict=True)]


def _against(name: str, pairs: Sequence[tuple[float, float]], target: str) -> Compared:
    mine, theirs = (f"{median(each) * 1e3:,.2f} ms" for each in zip(*pairs, strict=True))
    return Compared.of(name, (mine, theirs), "times it", [one / max(other, 1e-9) for one, other in pairs], target)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events")
    parser.add_argument("sizes", nargs="*", type=int)
    parser.add_argument("--population", choices=POPULATIONS, action="append")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each turn")
    parser.add_argument("--whole", action="store_true", help="hold every single list against its filter afterwards")
    asked = parser.parse_args()
    with databases() as made, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        chosen = asked.population or POPULATIONS
        print(report.text(runner.run(run(made, asked.sizes, chosen, asked.pairs, asked.seconds, asked.whole))))


if __name__ == "__main__":
    main()
