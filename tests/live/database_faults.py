"""The product in a process of its own while its database fails, and somebody who keeps account of every answer."""

import asyncio
import ctypes
import json
import os
import resource
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from command_center.changes.cursors import parse
from command_center.server.serving import bind_socket
from command_center.server.settings import PREFIX
from tests.support.commands import COMMAND
from tests.support.list_replicas import ALL
from tests.support.paths import ROOT
from tests.support.server import SECRET, Client, Failed
from tests.support.server_process import CONNECTION_ERRORS, DRAFT, PERSON, RECORD, SAVE

LONGEST = 10.0
"""Seconds within which every request must be answered, whatever the database does."""
EMAILS = 4
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1


def without_privilege() -> None:
    """In the server's process before it begins: even as root it may write only what its permissions say."""
    if os.geteuid() == 0:
        assert ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0) == 0


@dataclass
class Process:
    """A server on one database and one port, and the commands beside it."""

    database_url: str
    port: int
    process: asyncio.subprocess.Process | None = None
    said: list[str] = field(default_factory=list)
    _hearing: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def path(self) -> Path:
        return Path(self.database_url.removeprefix("sqlite:///"))

    async def start(self) -> None:
        self.process = await self._run("serve", "--port", str(self.port))
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            assert (await self.process.stdout.readline()).decode().strip() == f"{self.url}/graphql"
        self._hearing = asyncio.create_task(self._hear())
        async with asyncio.timeout(30), httpx.AsyncClient() as http:
            while not await self.ready(http):
                await asyncio.sleep(0.05)

    async def ready(self, http: httpx.AsyncClient) -> bool:
        with suppress(httpx.HTTPError):
            return (await http.get(f"{self.url}/readyz", timeout=LONGEST)).status_code == 200
        return False

    async def stop(self) -> None:
        """Its code is 0: whatever the database did, the server ends by itself when it is told."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LONGEST):
            assert await self.process.wait() in (0, -signal.SIGTERM)
        if self._hearing is not None:
            await self._hearing

    async def command(self, *arguments: str) -> tuple[int, str]:
        process = await self._run(*arguments)
        out, said = await process.communicate()
        return process.returncode or 0, (out + said).decode().strip()

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the database holds, read beside the server."""
        if self.database_url.startswith("sqlite"):
            with closing(sqlite3.connect(self.path, timeout=10)) as connection:
                return connection.execute(sql).fetchall()
        connection = await asyncpg.connect(self.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    def limit_files(self, size: int) -> None:
        """How large a file the server may write from now on."""
        assert self.process is not None
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def _run(self, *arguments: str) -> asyncio.subprocess.Process:
        given = {"DATABASE_URL": self.database_url, "SECRET": SECRET, "SMTP_URL": "smtp://127.0.0.1:1"}
        given["LOG_LEVEL"] = "warning"
        plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return await asyncio.create_subprocess_exec(
            *(*COMMAND, *arguments),
            cwd=ROOT,
            env=plain | {PREFIX + name: value for name, value in given.items()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=without_privilege,
        )

    async def _hear(self) -> None:
        """What it logs, so that its pipe is never full."""
        assert self.process is not None
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said.append(line.decode().rstrip())


@asynccontextmanager
async def process(database_url: str) -> AsyncIterator[Process]:
    with closing(bind_socket("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = Process(database_url, port)
    try:
        yield made
    finally:
        if made.process is not None and made.process.returncode is None:
            made.process.kill()
            await made.process.wait()


@dataclass
class AnswerLog:
    """What was answered: keys of events and addresses of people that are done, undone for certain, or neither."""

    done: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    codes: Counter[str] = field(default_factory=Counter)
    longest: dict[str, float] = field(default_factory=dict)
    notes: int = 0

    def timed(self, what: str, began: float) -> None:
        took = time.perf_counter() - began
        self.longest[what] = max(self.longest.get(what, 0.0), took)
        assert took < LONGEST, f"{what} took {took:.1f} s"

    def enter(self, key: str, answer: dict[str, Any]) -> bool:
        """Whether it was done."""
        errors = answer.get("errors", [])
        for error in errors:
            self.codes[error["extensions"]["code"]] += 1
            assert error["extensions"]["code"] in ("UNAVAILABLE", "OUTCOME_UNKNOWN"), error
        if not errors:
            assert next(iter(answer["data"].values()))["userErrors"] == []
            self.done.add(key)
        elif all(error["extensions"].get("nothingDone") for error in errors):
            self.undone.add(key)
        else:
            self.unsure.add(key)
        return not errors


@dataclass
class Team:
    """One user's applications, and a recipient of theirs."""

    server: Process
    token: str
    pixel: Callable[[int], str]
    click: Callable[[int], str]
    account: AnswerLog = field(default_factory=AnswerLog)
    emails: list[str] = field(default_factory=list)
    search: str = ""
    cursor: str = ""
    began: int = 0
    positions: list[int] = field(default_factory=list)
    connections: int = 0
    enough: bool = False
    _number: int = 0

    async def furnish(self) -> None:
        client = Client(self.server.url, self.token)
        person = (await client.one(PERSON, i={"name": "P", "address": "p@people.example"}))["person"]["id"]
        for number in range(EMAILS):
            made = await client.one(DRAFT, i={"personId": person, "subject": f"Hello {number}"})
            self.emails.append(made["email"]["id"])
        saved = await client.one(SAVE, i={"name": "L", "filter": {"engagement": [{"kind": "VIEW", "atLeast": 1}]}})
        self.search = saved["savedSearch"]["id"]
        await client.http.aclose()

    async def write(self) -> None:
        """Events and people, one request after the other."""
        client = Client(self.server.url, self.token)
        while not self.enough:
            await self.once(client)
            await asyncio.sleep(0.05)
        await client.http.aclose()

    async def once(self, client: Client) -> bool:
        self._number += 1
        number = self._number
        began = time.perf_counter()
        if number % 2:
            key = f"event-{number}"
            moment = datetime.now(UTC).isoformat()
            event = {"emailId": self.emails[number % EMAILS], "kind": "VIEW", "occurredAt": moment, "verdict": "HUMAN"}
            answer = await client.raw(RECORD, e=[event | {"dedupeKey": key}])
        else:
            key = f"person-{number}@people.example"
            answer = await client.raw(PERSON, i={"name": f"P{number}", "address": key})
        self.account.timed("mutation", began)
        return self.account.enter(key, answer)

    async def read(self) -> None:
        """Queries, the readiness, and a recipient who looks and follows a link."""
        client = Client(self.server.url, self.token)
        while not self.enough:
            began = time.perf_counter()
            answer = await client.raw("{viewer{id} savedSearches(first:1){nodes{memberCount}}}")
            self.account.timed("query", began)
            for error in answer.get("errors", []):
                assert error["extensions"]["code"] == "UNAVAILABLE", error
            self.account.codes["query failed" if answer.get("errors") else "query answered"] += 1
            await self._look(client.http)
            began = time.perf_counter()
            self.account.codes["ready" if await self.server.ready(client.http) else "not ready"] += 1
            self.account.timed("readiness", began)
            await asyncio.sleep(0.1)
        await client.http.aclose()

    async def _look(self, http: httpx.AsyncClient) -> None:
        began = time.perf_counter()
        picture = await http.get(self.pixel(1).replace("http://mail.test", self.server.url))
        assert picture.headers["content-type"] == "image/gif"
        followed = await http.get(self.click(1).replace("http://mail.test", self.server.url))
        assert (followed.status_code, followed.headers["location"]) == (302, "https://x.test/")
        self.account.notes += 2
        self.account.timed("picture and link", began)

    async def follow(self) -> None:
        """All lists, from the last cursor, whenever the stream ended."""
        while True:
            with suppress(*CONNECTION_ERRORS, Failed):
                after = {"after": self.cursor} if self.cursor else {}
                async with Client(self.server.url, self.token).follow(ALL, **after) as stream:
                    while True:
                        frame = await stream.frame(3600)
                        assert frame["__typename"] != "CursorExpired"
                        self.cursor = frame["cursor"]
                        if frame["__typename"] == "CaughtUp":
                            self.connections += 1
                            self.began = self.began or parse(self.cursor).position
                        else:
                            self.positions.append(parse(self.cursor).position)
            await asyncio.sleep(0.1)


def read_messages(server: Process) -> str:
    """The log, for a message."""
    return json.dumps(server.said[-40:], indent=1)
