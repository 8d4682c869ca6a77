"""`python -m benchmarks.ingest [SEARCHES]`: how many events a second come in through HTTP while lists follow them.

One event in ten is a pixel fetched by a reader, the others come in mutations of two hundred, from a client that sends
the next as soon as one is answered. Time runs until every list has settled. Beside it, on the same disk and as durable:
Tortoise's get + save of a row an event, and bare `executemany` of the same rows in commits of the same size.
"""

import argparse
import asyncio
import itertools
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from statistics import median

import uvloop

from benchmarks import client, report, targets, verifying
from benchmarks.client import Wires
from benchmarks.filling import ADMIN, TEAM, Filled, fill
from benchmarks.processes import Served, own_cpu
from benchmarks.report import Compared, Report
from command_center.database.connections import database, open_database, sqlite_path
from command_center.mail.links import Links
from models.emails import Email
from tests.support.databases import Databases, databases
from tests.support.server import SECRET

SEARCHES = 100_000
SECONDS, PAIR_SECONDS = 60.0, 5.0
PAIRS = 5
TOGETHER = 200
"""Events of one mutation."""
MUTATING, READING = 16, 16
"""Connections at once."""
PIXELS = TOGETHER / 9
"""For each mutation, so that they are a tenth of all."""
FOLLOWED, SPREAD = 1_000, 20_000
"""Emails whose lists are followed, and others."""
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
KINDS = ("VIEW",) * 8 + ("CLICK", "REPLY")
_RAW = (
    "INSERT INTO engagements (team_id, email_id, sender_id, kind, verdict, verdict_reason, judged, occurred_at,"
    " recorded_at, dedupe_key) VALUES (?, ?, ?, 1, 1, 'reported', 0, ?, ?, ?)"
)
_COUNT = "SELECT COUNT(*) AS count FROM engagements"


@dataclass(frozen=True, slots=True)
class Ingested:
    """Seconds: until the last answer, and until every list had settled; of the processor, the server's and ours."""

    events: int
    answered: float
    settled: float
    server: float
    client: float

    @property
    def rate(self) -> float:
        return self.events / self.settled


@dataclass(slots=True)
class Source:
    """Who observes events, and the readers."""

    served: Served
    filled: Filled
    sent: int = 0
    """Events that were answered."""
    _rng: random.Random = field(default_factory=lambda: random.Random(5))
    _keys: Iterator[int] = field(default_factory=itertools.count)
    _owed: float = 0.0
    """Pixels that are due before the tenth is a tenth."""

    async def run(self, seconds: float) -> Ingested:
        wires = Wires(self.served.port)
        sent, server, ours = self.sent, self.served.cpu(), own_cpu()
        began = time.monotonic()
        until = began + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(MUTATING):
                group.create_task(self._mutate(wires, until))
            for _ in range(READING):
                group.create_task(self._read(wires, until))
        answered = time.monotonic() - began
        wires.close()
        # Before anybody asks whether the lists have settled: asking costs too.
        client = own_cpu() - ours
        async with open_database(self.filled.url):
            await verifying.settled()
        settled = time.monotonic() - began
        return Ingested(self.sent - sent, answered, settled, self.served.cpu() - server, client)

    async def _mutate(self, wires: Wires, until: float) -> None:
        headers = targets.authorization()
        expected = f'"recorded":{TOGETHER},'.encode()
        while time.monotonic() < until:
            events = [self._event() for _ in range(TOGETHER)]
            payload = {"query": targets.RECORD, "variables": {"events": events}}
            answer = await wires.ask(client.post("/graphql", payload, headers))
            if expected not in answer:
                raise verifying.Wrong(f"events were not recorded: {answer[:500].decode()}")
            self.sent += TOGETHER
            self._owed += PIXELS

    async def _read(self, wires: Wires, until: float) -> None:
        links = Links(SECRET, "")
        while time.monotonic() < until:
            if self._owed < 1:
                await asyncio.sleep(0.002)
                continue
            self._owed -= 1
            await wires.ask(client.get(links.pixel(self._email()), {"User-Agent": AGENT}))
            self.sent += 1

    def _event(self) -> dict[str, str]:
        return targets.event(self._email(), f"i{next(self._keys)}", self._rng.choice(KINDS))

    def _email(self) -> int:
        return self._rng.randint(1, len(self.filled.campaign_of))


async def run(
    made: Databases,
    searches: int = SEARCHES,
    seconds: float = SECONDS,
    pairs: int = PAIRS,
    pair_seconds: float = PAIR_SECONDS,
) -> Report:
    url, other = [await asyncio.to_thread(made.make, "sqlite") for _ in range(2)]
    filled = await fill(url, "uniform", searches, FOLLOWED, SPREAD)
    await fill(other, "uniform", 1_000)
    async with targets.product(filled, "product") as target:
        # Its searches are filed once the first event is through.
        source = Source(target.served, filled)
        source.sent += await _first(target)
        long = await source.run(seconds)
        rates: list[tuple[Ingested, float, float]] = []
        for turn in range(pairs):
            mine = await source.run(pair_seconds)
            rates.append((mine, await _tortoise(other), await asyncio.to_thread(_raw, other, turn)))
        stored = await _stored(filled)
        if stored != source.sent:
            raise verifying.Wrong(f"{source.sent} events were answered, {stored} are stored")
        looked = await verifying.lists(filled, target.frames)
    return _told(searches, long, rates, stored, looked)


async def _first(target: targets.Target) -> int:
    sent = next(target.requests)
    await target.wires.ask(sent.request)
    async with open_database(target.filled.url if target.filled else ""):
        await verifying.settled()
    return 1


async def _stored(filled: Filled) -> int:
    async with open_database(filled.url):
        row = await database().fetch_one(_COUNT)
        return int(row["count"]) if row else 0


async def _tortoise(url: str, seconds: float = 2.0) -> float:
    """Rows a second, each read and saved for itself, with the product's own pragmas."""
    async with open_database(url):
        began, count = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            email = await Email.get(id=count % 1_000 + 1)
            email.views += 1
            await email.save()
            count += 1
        return count / (time.monotonic() - began)


def _raw(url: str, turn: int, seconds: float = 1.0) -> float:
    """Rows a second, in commits of one mutation's and its pixels' size."""
    batch = round(TOGETHER + PIXELS)
    with closing(sqlite3.connect(sqlite_path(url))) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        now = time.time_ns() // 1000
        began, count = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            rows = [
                (TEAM, number % 5_000 + 1, ADMIN, now, now, f"raw {turn} {number}")
                for number in range(count, count + batch)
            ]
            with connection:
                connection.executemany(_RAW, rows)
            count += batch
        return count / (time.monotonic() - began)


def _told(
    searches: int, long: Ingested, rates: Sequence[tuple[Ingested, float, float]], stored: int, looked: int
) -> Report:
    name = f"events a second, {searches:,} searches standing"
    ours = f"{median(mine.rate for mine, _, _ in rates):,.0f} /s"
    slow, raw = median(each for _, each, _ in rates), median(each for _, _, each in rates)
    note = (
        f"{name}: {long.rate:,.0f} over {long.settled:.0f} s until every list had settled,"
        f" {long.settled - long.answered:.1f} s of it after the last answer (target ≥ 5,000); the server's processor"
        f" {long.server / long.events * 1e6:,.0f} µs an event, the client's {long.client / long.events * 1e6:,.0f} µs."
        f" {stored:,} answered, as many stored, {looked:,} lists equal to fresh queries."
    )
    over_slow, over_raw = [mine.rate / theirs for mine, theirs, _ in rates], [mine.rate / raw for mine, _, raw in rates]
    return Report(
        compared=[
            Compared.of(
                f"{name}: ours / Tortoise's get + save", (ours, f"{slow:,.0f} /s"), "times it", over_slow, "≥ 5"
            ),
            Compared.of(f"{name}: ours / bare executemany", (ours, f"{raw:,.0f} /s"), "of it", over_raw, "as it is"),
        ],
        notes=[note],
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest")
    parser.add_argument("searches", nargs="?", type=int, default=SEARCHES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--pair-seconds", type=float, default=PAIR_SECONDS)
    asked = parser.parse_args()
    with databases() as made, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(run(made, asked.searches, asked.seconds, asked.pairs, asked.pair_seconds))
        print(report.text(told))


if __name__ == "__main__":
    main()
