"""`python -m benchmarks.soak [--seconds N]`: subscribers of every kind for a long time: what they miss, and memory.

500 subscribers follow one seller's feed over WebSockets; of these some never read and some come and go, resuming from
their cursor. 20 events a second, each a click on a link of 1 kB, are recorded one by one. Fails if a reader missed or
repeated an event, if the delivery is slow, or if the server's memory grows in the second half.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import orjson
import uvloop
import websockets

from benchmarks import client, processes, targets
from benchmarks.client import Wires
from benchmarks.neighbours import QUIET, TARGETS, authorized, fill, token
from benchmarks.processes import Served
from tests.support.databases import Databases, databases

SECONDS = 600.0
SUBSCRIBERS, NEVER_READ, COME_AND_GO = 500, 50, 20
EVENTS_PER_SECOND = 20
LINK_BYTES = 1_000
STAY_SECONDS = 10.0
"""On average, of a subscriber that comes and goes; it is away for as long."""
SAMPLE_SECONDS = 1.0
END_SECONDS = 15.0
"""After the last event, for those that resume."""
MAX_P99_SECONDS = 0.25
MAX_SLOPE = 20_000.0
"""Bytes a second of memory, in the second half."""
FEED = """subscription Feed($after: ChangeCursor) { engagementFeed(after: $after) { __typename
  ... on Change { cursor } ... on EngagementRecorded { engagement { url } } } }"""


@dataclass(slots=True)
class Subscriber:
    """One application. `got` is when it first received each event."""

    cursor: str | None = None
    got: dict[int, float] = field(default_factory=dict)
    live: set[int] = field(default_factory=set)
    """The events that it received without having been away."""
    repeated: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, port: int, seconds: float | None, reads: bool = True) -> None:
        """Follows the feed for some time, or for ever. Raises: RuntimeError for anything but a change message."""
        caught_up = False
        async with websockets.connect(
            f"ws://127.0.0.1:{port}/graphql",
            subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
            compression=None,
            max_queue=None if reads else 1,
            ping_interval=None,
        ) as socket:
            init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token(QUIET)}"}}
            await socket.send(orjson.dumps(init).decode())
            await socket.recv()
            payload = {"query": FEED, "variables": {"after": self.cursor}}
            await socket.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": payload}).decode())
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while True:
                        message = orjson.loads(await socket.recv())
                        caught_up = self._receive(message, caught_up)
                        if caught_up and not reads:
                            await asyncio.Event().wait()

    def _receive(self, message: Any, caught_up: bool) -> bool:
        at = time.monotonic()
        if message["type"] != "next" or message["payload"].get("errors"):
            raise RuntimeError(f"the stream failed: {message}")
        frame = message["payload"]["data"]["engagementFeed"]
        self.cursor = frame["cursor"]
        if frame["__typename"] == "CaughtUp":
            self.ready.set()
            return True
        number = int(frame["engagement"]["url"].rpartition("=")[2])
        self.repeated += number in self.got
        self.got.setdefault(number, at)
        if caught_up:
            self.live.add(number)
        return caught_up


@dataclass(frozen=True, slots=True)
class Soaked:
    """What was found. `slope` is in bytes a second."""

    events: int
    missed: int
    repeated: int
    p50: float
    p99: float
    slope: float
    first: int
    last: int

    @property
    def failures(self) -> list[str]:
        found = [] if not self.missed else [f"{self.missed} events were missed"]
        found += [] if not self.repeated else [f"{self.repeated} events were repeated"]
        found += [] if self.p99 <= MAX_P99_SECONDS else [f"p99 is {self.p99 * 1e3:,.0f} ms"]
        return found + ([] if self.slope <= MAX_SLOPE else [f"memory grows by {self.slope / 1e3:,.1f} kB/s"])


async def run(made: Databases, seconds: float = SECONDS, subscribers: int = SUBSCRIBERS) -> Soaked:
    url = await asyncio.to_thread(made.make, "sqlite")
    await fill(url)
    async with processes.product(url) as served:
        never = subscribers * NEVER_READ // SUBSCRIBERS
        going = subscribers * COME_AND_GO // SUBSCRIBERS
        all_of_them = [Subscriber() for _ in range(subscribers)]
        readers = all_of_them[never:]
        tasks = [asyncio.ensure_future(each.follow(served.port, None, reads=False)) for each in all_of_them[:never]]
        tasks += [asyncio.ensure_future(_come_and_go(each, served.port)) for each in readers[:going]]
        tasks += [asyncio.ensure_future(each.follow(served.port, None)) for each in readers[going:]]
        failed = asyncio.ensure_future(_first_failure(tasks))
        await _before(failed, asyncio.gather(*(each.ready.wait() for each in all_of_them)))
        memory: list[tuple[float, int]] = []
        sampling = asyncio.ensure_future(_sample(served, memory))
        sent = await _before(failed, _record(served, seconds))
        sampling.cancel()
        await _before(failed, asyncio.sleep(min(END_SECONDS, seconds)))
        for task in (failed, *tasks):
            task.cancel()
        await asyncio.gather(failed, *tasks, return_exceptions=True)
        return _judged(sent, readers, memory)


async def _come_and_go(subscriber: Subscriber, port: int) -> None:
    rng = random.Random(id(subscriber))
    while True:
        await subscriber.follow(port, rng.uniform(0.5, 1.5) * STAY_SECONDS)
        if rng.random() < 0.5:
            await asyncio.sleep(rng.uniform(0, 2 * STAY_SECONDS) / 2)


async def _first_failure(tasks: Sequence["asyncio.Future[None]"]) -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    raise RuntimeError("a stream ended")


async def _before(failure: "asyncio.Future[None]", work: Any) -> Any:
    """Returns what the work results in. Raises what a subscriber fails with meanwhile."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({failure, task}, return_when=asyncio.FIRST_COMPLETED)
    if failure.done():
        task.cancel()
        failure.result()
    return await task


async def _record(served: Served, seconds: float) -> dict[int, float]:
    """Records events at an even pace. Returns when each was sent."""
    wires, sent, began = Wires(served.port), dict[int, float](), time.monotonic()
    answers: list[asyncio.Future[bytes]] = []
    for number in range(int(seconds * EVENTS_PER_SECOND)):
        await asyncio.sleep(began + number / EVENTS_PER_SECOND - time.monotonic())
        link = f"https://shop.example/{'x' * (LINK_BYTES - 40)}?number={number}"
        event = targets.event(2 + TARGETS + number % 1_000, f"soak{number}", "CLICK") | {"url": link}
        payload = {"query": targets.RECORD, "variables": {"events": [event]}}
        sent[number] = time.monotonic()
        answers.append(asyncio.ensure_future(wires.ask(client.post("/graphql", payload, authorized(QUIET)))))
    for answer in await asyncio.gather(*answers):
        if b'"recorded":1' not in answer:
            raise RuntimeError(f"an event was not recorded: {answer[:500].decode()}")
    return sent


async def _sample(served: Served, memory: list[tuple[float, int]]) -> None:
    while True:
        memory.append((time.monotonic(), served.resident()))
        await asyncio.sleep(SAMPLE_SECONDS)


def _judged(sent: dict[int, float], readers: Sequence[Subscriber], memory: Sequence[tuple[float, int]]) -> Soaked:
    took = sorted(each.got[number] - sent[number] for each in readers for number in each.live)
    return Soaked(
        events=len(sent),
        missed=sum(len(sent.keys() - each.got.keys()) for each in readers),
        repeated=sum(each.repeated for each in readers),
        p50=took[len(took) // 2],
        p99=took[len(took) * 99 // 100],
        slope=_slope(memory[len(memory) // 2 :]),
        first=memory[len(memory) // 2][1],
        last=memory[-1][1],
    )


def _slope(points: Sequence[tuple[float, int]]) -> float:
    """Returns the median of the slopes between points half the time apart, which single jumps do not move."""
    half = len(points) // 2
    pairs = zip(points[:half], points[half:], strict=False)
    return median((size - before) / (at - since) for (since, before), (at, size) in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--subscribers", type=int, default=SUBSCRIBERS)
    asked = parser.parse_args()
    with databases() as made, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(run(made, asked.seconds, asked.subscribers))
    print(
        f"{found.events:,} events, {found.missed:,} missed, {found.repeated:,} repeated; p50 {found.p50 * 1e3:,.1f} ms,"
        f" p99 {found.p99 * 1e3:,.1f} ms; memory {found.first / 2**20:,.1f} to {found.last / 2**20:,.1f} MB in the"
        f" second half, {found.slope / 1e3:,.1f} kB/s"
    )
    sys.exit("; ".join(found.failures) or 0)


if __name__ == "__main__":
    main()
