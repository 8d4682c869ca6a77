"""`python -m benchmarks.fanout [SUBSCRIBERS]`: the frames of one list, on their way to all who follow it.

The product, from the request that records the events on; stock Strawberry; and bare uvicorn, in turns: twenty events at
once, and as many one by one, each sent when everyone has had the one before. Afterwards every subscriber must have had
every frame once and in order. Then what an idle subscriber takes of the memory, with a few and with many.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median

import uvloop

from benchmarks import report
from benchmarks.broadcasters import Target, ask, other, product, verify
from benchmarks.report import Compared, Report
from tests.support.databases import Databases, databases

SUBSCRIBERS, IDLE = 1_000, 5_000
PAIRS, FRAMES = 5, 20
AT_ONCE, ONE_BY_ONE = f"{FRAMES} events at once", "one event at a time"
WAYS: Mapping[str, tuple[int, int]] = {AT_ONCE: (FRAMES, 1), ONE_BY_ONE: (1, FRAMES)}
"""Frames at once, and how often."""


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds for one delivery: by the clock, and of the processor, the server's and the subscribers'."""

    clock: float
    server: float
    client: float


async def run(made: Databases, subscribers: int = SUBSCRIBERS, idle: int = IDLE) -> Report:
    told = Report()
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(product(await asyncio.to_thread(made.make, "sqlite")))
        targets = [ours, *[await stack.enter_async_context(other(kind)) for kind in ("stock", "bare")]]
        crowds = {target.name: await target.gather(subscribers) for target in targets}
        rounds: dict[str, dict[str, list[Round]]] = {way: {target.name: [] for target in targets} for way in WAYS}
        for number in range(1 + PAIRS):
            for way, (frames, times) in WAYS.items():
                for target in targets:
                    took = await _round(target, crowds[target.name], subscribers, frames, times)
                    if number:
                        rounds[way][target.name].append(took)
        for target in targets:
            await verify(target, crowds[target.name])
    for way, each in rounds.items():
        _tell(told, way, each)
    told.notes.append(await memory(made, subscribers))
    told.notes.append(await memory(made, idle))
    return told


async def memory(made: Databases, subscribers: int) -> str:
    """What idle subscribers take of it. Raises Wrong where one of them does not have the next frame."""
    async with product(await asyncio.to_thread(made.make, "sqlite")) as target:
        await verify(target, await target.gather(1))
        empty = target.served.resident()
        crowd = await target.gather(subscribers)
        await asyncio.sleep(2)
        full = target.served.resident()
        took = await _round(target, crowd, subscribers, 1, 1)
        await verify(target, crowd)
    each = (full - empty) / subscribers / 1024
    return (
        f"{subscribers:,} idle subscribers take {each:,.1f} kB each, {full / 2**20:,.0f} MB in all; the next frame"
        f" was with all of them after {took.clock * subscribers:,.2f} s."
    )


async def _round(target: Target, crowd: asyncio.subprocess.Process, subscribers: int, frames: int, times: int) -> Round:
    """So many frames at once, to all; the next ones when all have had them."""
    _, client_before = await ask(crowd, 0)
    server_before, client_after, clock = target.served.cpu(), client_before, 0.0
    for _ in range(times):
        began = time.monotonic()
        asked = asyncio.create_task(target.cause(target.sent, frames))
        target.sent += frames
        ended, client_after = await ask(crowd, target.sent)
        await asked
        clock += ended - began
    deliveries = subscribers * frames * times
    return Round(
        clock / deliveries,
        (target.served.cpu() - server_before) / deliveries,
        (client_after - client_before) / deliveries,
    )


def _tell(told: Report, way: str, rounds: Mapping[str, list[Round]]) -> None:
    figures: tuple[tuple[str, Callable[[Round], float]], ...] = (
        ("by the clock", lambda each: each.clock),
        ("the server's processor", lambda each: each.server),
    )
    for name, target in (("stock", "≥ 8"), ("bare", "≥ 0.5")):
        for what, read in figures:
            pairs = [(read(mine), read(theirs)) for mine, theirs in zip(rounds["ours"], rounds[name], strict=True)]
            mine, theirs = (f"{median(each) * 1e6:,.1f} µs" for each in zip(*pairs, strict=True))
            told.compared.append(
                Compared.of(
                    f"a delivery, {way}, {what}, and {name}'s",
                    (mine, theirs),
                    "times faster",
                    [theirs_ / max(mine_, 1e-9) for mine_, theirs_ in pairs],
                    target if read is figures[0][1] else "",
                )
            )
    for name, each in rounds.items():
        rate, spent = 1 / median(one.clock for one in each), median(one.client for one in each) * 1e6
        told.notes.append(f"{name}, {way}: {rate:,.0f} deliveries a second; a subscriber's own part {spent:,.1f} µs.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout")
    parser.add_argument("subscribers", nargs="?", type=int, default=SUBSCRIBERS)
    parser.add_argument("--idle", type=int, default=IDLE)
    asked = parser.parse_args()
    with databases() as made, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(report.text(runner.run(run(made, asked.subscribers, asked.idle))))


if __name__ == "__main__":
    main()
