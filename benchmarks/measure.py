"""Measuring as a ratio: two ways of doing the same thing, interleaved in one run, each by its median."""

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Work = Callable[[], Awaitable[None]]
Clock = Callable[[], float]
PAIRS = 5


@dataclass(frozen=True, slots=True)
class Ratio:
    """`ours` and `theirs` are seconds for one unit of work, medians; `spread` is the ratio's smallest and largest."""

    name: str
    ours: float
    theirs: float
    spread: tuple[float, float]

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


async def ratio(
    name: str, ours: Work, theirs: Work, units: tuple[int, int], clock: Clock = time.perf_counter, pairs: int = PAIRS
) -> Ratio:
    """How many times faster `ours` is a unit. `units`: how many each call does."""
    mine: list[float] = []
    others: list[float] = []
    for _ in range(pairs):
        mine.append(await _seconds(ours, clock) / units[0])
        others.append(await _seconds(theirs, clock) / units[1])
    each = [theirs / ours for ours, theirs in zip(mine, others, strict=True)]
    return Ratio(name, statistics.median(mine), statistics.median(others), (min(each), max(each)))


async def _seconds(work: Work, clock: Clock) -> float:
    began = clock()
    await work()
    return clock() - began
