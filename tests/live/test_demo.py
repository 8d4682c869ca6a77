"""The demo as one runs it: a process of its own, real mail, real HTTP; and what goes wrong before it begins."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from command_center.demo.recipients import PEOPLE, plan_recipients
from tests.support.commands import COMMAND
from tests.support.emails import create_draft, create_person, send_email
from tests.support.server import Client

PATIENCE = 120.0


@asynccontextmanager
async def demo(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, with the throw-away folder in a place that the test can look into."""
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "demo", *arguments),
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    """Its code, and what it said."""
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    return process.returncode, said.decode()


async def line(process: asyncio.subprocess.Process, pattern: str) -> str:
    """The first line that holds a pattern."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        async for said in process.stdout:
            if re.search(pattern, said.decode()):
                return said.decode()
    raise AssertionError(f"the demo ended without saying {pattern!r}")


async def test_a_short_run_sends_100_emails_and_all_lists_are_right(tmp_path: Path) -> None:
    async with demo(tmp_path, "--once", "--port", "0", "--seed", "7", "--seconds", "8", "--patience", "3") as process:
        code, said = await ended(process)
    assert code == 0, said
    assert re.search(r"^handed over +100 of 100$", said, re.MULTILINE)
    assert len(re.findall(r" (\d+) stored, \1 fresh, \1 by frames: equal$", said, re.MULTILINE)) == 3
    assert re.search(r"^audit +no difference$", said, re.MULTILINE)
    assert "\x1b" not in said
    assert list(tmp_path.iterdir()) == []


LISTS = "{savedSearches(first:10){nodes{id name}} emails(first:100,filter:{folder:[DELIVERED]}){nodes{id person{id}}}}"
ARCHIVE = "mutation($ids:[ID!]!){emailArchive(ids:$ids){emails{id} userErrors{message}}}"
DELETE = "mutation($id:ID!){savedSearchDelete(id:$id){deletedIds userErrors{message}}}"
REFINE = "mutation($id:ID!,$f:EmailFilter!){savedSearchRefine(id:$id,filter:$f){userErrors{message}}}"
VIEW = "mutation($e:[EngagementInput!]!){engagementRecord(events:$e){recorded userErrors{message}}}"


async def test_a_visitor_in_graphiql_makes_nothing_wrong(tmp_path: Path) -> None:
    async with demo(tmp_path, "--once", "--port", "0", "--seconds", "12", "--patience", "3") as process:
        url, _, token = (await line(process, r"/graphiql#token=")).strip().partition("/graphiql#token=")
        visitor = Client(url, token)
        await line(process, r"arrived within")
        found = await visitor("query" + LISTS)
        emails = [node["id"] for node in found["emails"]["nodes"]]
        first, second, *_ = [node["id"] for node in found["savedSearches"]["nodes"]]
        assert len(emails) > 10
        assert not (await visitor.one(ARCHIVE, ids=emails[:10]))["userErrors"]
        now = datetime.now(UTC).isoformat()
        events = [{"emailId": emails[10], "kind": "VIEW", "occurredAt": now, "dedupeKey": f"{n}"} for n in range(5)]
        assert (await visitor.one(VIEW, e=events))["recorded"] == 5
        assert not (await visitor.one(DELETE, id=first))["userErrors"]
        assert not (await visitor.one(REFINE, id=second, f={"folder": ["ARCHIVED"]}))["userErrors"]
        await send_email(visitor, await create_draft(visitor, await create_person(visitor, "new@visitor.example")))
        await visitor.http.aclose()
        code, said = await ended(process)
    assert code == 0, said
    assert "WRONG" not in said
    assert re.search(r"^not comparable .*; \d+ changes came from elsewhere$", said, re.MULTILINE)
    assert len(re.findall(r" (\d+) stored, \1 fresh, \1 by frames: equal$", said, re.MULTILINE)) == 2


async def test_a_signal_ends_the_demo_in_seconds_and_leaves_nothing(tmp_path: Path) -> None:
    async with demo(tmp_path, "--port", "0", "--seconds", "60") as process:
        mail = Path((await line(process, r"^The mail that arrives: ")).partition(": ")[2].strip())
        await line(process, r"queued in")
        assert mail.parent.parent == tmp_path
        assert list(mail.glob("*.eml"))
        process.send_signal(signal.SIGTERM)
        code, said = await asyncio.wait_for(ended(process), 5)
    assert (code, said.splitlines()[-1]) == (0, f"Deleted: {mail.parent}")
    assert list(tmp_path.iterdir()) == []


async def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with demo(tmp_path, "--port", str(port)) as process:
            code, said = await ended(process)
    assert (code, said) == (2, f"command-center: cannot listen on 127.0.0.1:{port}: Address already in use\n")


def test_a_seed_gives_the_same_hundred_distinct_people() -> None:
    assert plan_recipients(3, 60.0) == plan_recipients(3, 60.0) != plan_recipients(4, 60.0)
    assert len({actor.address for actor in plan_recipients(3, 60.0)}) == PEOPLE
