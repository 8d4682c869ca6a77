"""`python -m benchmarks.fanout [SUBSCRIBERS]`: the frames of one list, on their way to all who follow it.

The product, from the request that records the events on; stock Strawberry; and bare uvicorn. Each serves from a process
of its own, its subscribers are in another, and the three take turns. Afterwards every subscriber must have had every
frame once and in order. Then what an idle subscriber takes of the memory, with a few and with many.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from typing import Any

import orjson
import uvloop

from actions import users
from actions.desk import Desk, Limits
from benchmarks import client, processes, report
from benchmarks.client import Wires
from benchmarks.processes import Served
from benchmarks.report import Compared, Report
from benchmarks.verifying import Wrong
from changes.cursors import parse
from changes.deeds import Writer
from changes.hub import Hub
from models.clocks import DatabaseClock
from models.database import opened
from models.enums import Role
from server.auth import Tokens
from tests.databases import Databases, databases
from tests.serving import SECRET, Client
from tests.test_lists import DRAFT, PERSON, RECORD, event, live, save

SUBSCRIBERS, IDLE = 1_000, 5_000
PAIRS, FRAMES = 5, 20
PATIENCE = 60.0
EMAILS = 400
DOCUMENT = """subscription($id:ID!){savedSearchChanges(savedSearchId:$id){__typename ... on Change{cursor}
    ... on MemberJoined{memberId emailId member{id email{subject} cause{kind engagement{kind}}}}}}"""


@dataclass(slots=True)
class Target:
    """A server, its crowd, and what makes it send so many frames more; `sent` is how many it was made to send."""

    name: str
    served: Served
    said: list[str]
    before: int
    cause: Callable[[int, int], Coroutine[Any, Any, None]]
    sent: int = 0
    crowds: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def gather(self, subscribers: int) -> asyncio.subprocess.Process:
        """So many subscribers, once they follow."""
        command = [sys.executable, "-m", "benchmarks.crowd", str(self.served.port), "/graphql", str(subscribers)]
        pipe = asyncio.subprocess.PIPE
        crowd = await asyncio.create_subprocess_exec(*command, cwd=processes.ROOT, stdin=pipe, stdout=pipe, limit=2**26)
        self.crowds.append(crowd)
        await _ask(crowd, [self.said, self.before])
        return crowd


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
        others = [await stack.enter_async_context(_other(kind)) for kind in ("stock", "bare")]
        crowds = {target.name: await target.gather(subscribers) for target in (ours, *others)}
        rounds: dict[str, list[Round]] = {target.name: [] for target in (ours, *others)}
        for number in range(1 + PAIRS):
            for target in (ours, *others):
                took = await _round(target, crowds[target.name], subscribers)
                if number:
                    rounds[target.name].append(took)
        for target in (ours, *others):
            await _verify(target, crowds[target.name])
    _tell(told, rounds)
    told.notes.append(await memory(made, subscribers))
    told.notes.append(await memory(made, idle))
    return told


async def memory(made: Databases, subscribers: int) -> str:
    """What idle subscribers take of it. Raises Wrong where one of them does not have the next frame."""
    async with product(await asyncio.to_thread(made.make, "sqlite")) as target:
        await _verify(target, await target.gather(1))
        empty = target.served.resident()
        crowd = await target.gather(subscribers)
        await asyncio.sleep(2)
        full = target.served.resident()
        took = await _round(target, crowd, subscribers, 1)
        await _verify(target, crowd)
    each = (full - empty) / subscribers / 1024
    return (
        f"{subscribers:,} idle subscribers take {each:,.1f} kB each, {full / 2**20:,.0f} MB in all; the next frame"
        f" was with all of them after {took.clock * subscribers:,.2f} s."
    )


@asynccontextmanager
async def product(url: str) -> AsyncIterator[Target]:
    """With a list that an email joins by its first view, and enough emails."""
    async with opened(url):
        desk = Desk(Writer(DatabaseClock(), Hub()), Limits())
        user = await users.add(desk, "Team", "Ann", "ann@team.example", Role.MEMBER, "UTC")
    token = Tokens(SECRET).issue(user, ("engagement:write",), timedelta(hours=1))
    async with processes.product(url) as served:
        ann = Client(f"http://127.0.0.1:{served.port}", token)
        search = await save(ann, {"engagement": [{"kind": "VIEW"}]})
        person = (await ann.one(PERSON, i={"name": "Pat", "address": "pat@example.org"}))["person"]["id"]
        mails = [
            (await ann.one(DRAFT, i={"personId": person, "subject": f"Hello {number:06}"}))["email"]["id"]
            for number in range(EMAILS)
        ]
        await live(ann, search)

        async def cause(first: int, count: int) -> None:
            events = [event(mails[number], "VIEW", str(number)) for number in range(first, first + count)]
            if (await ann.one(RECORD, e=events))["recorded"] != count:
                raise Wrong("not all events were recorded")

        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
        async with _target("ours", served, [init, _subscribe(search)], 2, cause) as target:
            yield target
        await ann.http.aclose()


@asynccontextmanager
async def _other(kind: str) -> AsyncIterator[Target]:
    number = processes.port()
    async with processes.started(["-m", "benchmarks.broadcasting", kind, str(number)], number) as served:
        wires = Wires(served.port)

        async def cause(first: int, count: int) -> None:
            await wires.ask(client.post(f"/broadcast?first={first}&count={count}", None))

        said = [{"type": "connection_init"}, _subscribe("1")]
        async with _target(kind, served, said if kind == "stock" else [], 2 if kind == "stock" else 1, cause) as target:
            yield target
        wires.close()


@asynccontextmanager
async def _target(
    name: str, served: Served, said: list[Any], before: int, cause: Callable[[int, int], Coroutine[Any, Any, None]]
) -> AsyncIterator[Target]:
    target = Target(name, served, [orjson.dumps(each).decode() for each in said], before, cause)
    try:
        yield target
    finally:
        for crowd in target.crowds:
            if crowd.returncode is None:
                crowd.kill()
                await crowd.wait()


def _subscribe(search: str) -> Any:
    return {"id": "1", "type": "subscribe", "payload": {"query": DOCUMENT, "variables": {"id": search}}}


async def _ask(crowd: asyncio.subprocess.Process, question: Any) -> Any:
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    crowd.stdin.write(orjson.dumps(question) + b"\n")
    async with asyncio.timeout(PATIENCE):
        return orjson.loads(await crowd.stdout.readline())


async def _round(target: Target, crowd: asyncio.subprocess.Process, subscribers: int, frames: int = FRAMES) -> Round:
    """So many frames at once, to all."""
    _, client_before = await _ask(crowd, 0)
    server_before = target.served.cpu()
    began = time.monotonic()
    asked = asyncio.create_task(target.cause(target.sent, frames))
    target.sent += frames
    ended, client_after = await _ask(crowd, target.sent)
    await asked
    deliveries = subscribers * frames
    return Round(
        (ended - began) / deliveries,
        (target.served.cpu() - server_before) / deliveries,
        (client_after - client_before) / deliveries,
    )


async def _verify(target: Target, crowd: asyncio.subprocess.Process) -> None:
    """Every subscriber had every frame once, in order: they had the same, and one is looked at. Raises Wrong."""
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    crowd.stdin.write_eof()
    async with asyncio.timeout(PATIENCE):
        found = orjson.loads(await crowd.stdout.readline())
    await crowd.wait()
    if found["wrong"]:
        raise Wrong(f"{target.name}: {found['wrong']}")
    frames = [orjson.loads(frame)["payload"]["data"]["savedSearchChanges"] for frame in found["frames"]]
    if [frame["__typename"] for frame in frames] != ["MemberJoined"] * target.sent:
        raise Wrong(f"{target.name}: {len(frames)} frames came of {target.sent}, or others than were sent")
    subjects = [frame["member"]["email"]["subject"] for frame in frames]
    if len(set(subjects)) != target.sent or (target.name != "ours" and subjects != sorted(subjects)):
        raise Wrong(f"{target.name}: a frame came twice, or too early")
    if target.name == "ours":
        places = [parse(frame["cursor"]).position for frame in frames]
        if places != sorted(set(places)):
            raise Wrong("the cursors do not rise")


def _tell(told: Report, rounds: dict[str, list[Round]]) -> None:
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
                    f"a delivery, {what}, and {name}'s",
                    (mine, theirs),
                    "times faster",
                    [theirs_ / max(mine_, 1e-9) for mine_, theirs_ in pairs],
                    target if read is figures[0][1] else "",
                )
            )
    for name, each in rounds.items():
        rate, spent = 1 / median(one.clock for one in each), median(one.client for one in each) * 1e6
        told.notes.append(f"{name}: {rate:,.0f} deliveries a second; a subscriber's own part {spent:,.1f} µs.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout")
    parser.add_argument("subscribers", nargs="?", type=int, default=SUBSCRIBERS)
    parser.add_argument("--idle", type=int, default=IDLE)
    asked = parser.parse_args()
    with databases() as made, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(report.text(runner.run(run(made, asked.subscribers, asked.idle))))


if __name__ == "__main__":
    main()
