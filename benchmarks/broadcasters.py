"""Who sends frames to a crowd: the product, from the request that records events on; stock Strawberry; bare uvicorn.

Each serves from a process of its own, its subscribers are in another.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from benchmarks import client, processes
from benchmarks.client import Wires
from benchmarks.processes import Served
from benchmarks.verifying import Wrong
from command_center.actions import users
from command_center.actions.context import ActionContext, Limits
from command_center.changes.cursors import parse
from command_center.changes.hub import Hub
from command_center.changes.unit_of_work import Writer
from command_center.database.clock import DatabaseClock
from command_center.database.connections import open_database
from command_center.web.authentication import Tokens
from models.enums import Role
from tests.support.searches import DRAFT, PERSON, RECORD, make_event, save_search, wait_until_live
from tests.support.server import SECRET, Client

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
        await ask(crowd, [self.said, self.before])
        return crowd


@asynccontextmanager
async def product(url: str) -> AsyncIterator[Target]:
    """With a list that an email joins by its first view, and enough emails."""
    async with open_database(url):
        ctx = ActionContext(Writer(DatabaseClock(), Hub()), Limits())
        user = await users.add(ctx, "Team", "Ann", "ann@team.example", Role.MEMBER, "UTC")
    token = Tokens(SECRET).issue(user, ("engagement:write",), timedelta(hours=1))
    async with processes.product(url) as served:
        ann = Client(f"http://127.0.0.1:{served.port}", token)
        search = await save_search(ann, {"engagement": [{"kind": "VIEW"}]})
        person = (await ann.one(PERSON, i={"name": "Pat", "address": "pat@example.org"}))["person"]["id"]
        mails = [
            (await ann.one(DRAFT, i={"personId": person, "subject": f"Hello {number:06}"}))["email"]["id"]
            for number in range(EMAILS)
        ]
        await wait_until_live(ann, search)
        wires, headers = Wires(served.port), {"Authorization": f"Bearer {token}"}

        async def cause(first: int, count: int) -> None:
            events = [make_event(mails[number], "VIEW", str(number)) for number in range(first, first + count)]
            request = client.post("/graphql", {"query": RECORD, "variables": {"e": events}}, headers)
            if f'"recorded":{count},'.encode() not in await wires.ask(request):
                raise Wrong("not all events were recorded")

        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
        async with _target("ours", served, [init, _subscribe(search)], 2, cause) as target:
            yield target
        wires.close()
        await ann.http.aclose()


@asynccontextmanager
async def other(kind: str) -> AsyncIterator[Target]:
    """`stock` or `bare`: `benchmarks.broadcasting`."""
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


async def ask(crowd: asyncio.subprocess.Process, question: Any) -> Any:
    """The crowd's answer."""
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    crowd.stdin.write(orjson.dumps(question) + b"\n")
    async with asyncio.timeout(PATIENCE):
        return orjson.loads(await crowd.stdout.readline())


async def verify(target: Target, crowd: asyncio.subprocess.Process) -> None:
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
