"""A server in a process of its own, with its database file and its port."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from command_center.server.settings import PREFIX
from tests.support.commands import COMMAND
from tests.support.paths import ROOT
from tests.support.server import SECRET, Completed

CONNECTION_ERRORS = (
    OSError,
    httpx.HTTPError,
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    Completed,
    json.JSONDecodeError,
)

PERSON = "mutation($i:PersonInput!){personCreate(input:$i){person{id} userErrors{message}}}"
DRAFT = "mutation($i:EmailDraftInput!){emailDraft(input:$i){email{id} userErrors{message}}}"
SAVE = "mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){savedSearch{id} userErrors{message path}}}"
RECORD = """mutation($e:[EngagementInput!]!){engagementRecord(events:$e){
    recorded duplicates ignored userErrors{message path}}}"""


@dataclass
class ServerProcess:
    """A server in a process of its own, on one file and one port over all its lives."""

    path: Path
    port: int
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        given = {"DATABASE_URL": f"sqlite:///{self.path}", "SECRET": SECRET, "SMTP_URL": "smtp://127.0.0.1:1"}
        given["LOG_LEVEL"] = "error"
        plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return plain | {PREFIX + name: value for name, value in given.items()}

    async def start(self, errors: int | None = None) -> None:
        """`errors` is where the server's standard error goes."""
        self.process = await self._run("serve", "--port", str(self.port), errors=errors)
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            line = await self.process.stdout.readline()
            assert line.decode().strip() == f"{self.url}/graphql", "the server did not start"
            async with httpx.AsyncClient() as http:
                while True:
                    with suppress(httpx.HTTPError):
                        if (await http.get(f"{self.url}/readyz")).status_code == 200:
                            return
                    await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """As a power cut would have it, as far as the process is concerned."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        assert await self.process.wait() == -signal.SIGKILL

    async def command(self, *arguments: str) -> tuple[int, str]:
        """One command on the same database: its code and what it printed."""
        process = await self._run(*arguments)
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode().strip()

    async def _run(self, *arguments: str, errors: int | None = None) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(*COMMAND, *arguments),
            cwd=ROOT,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )

    def run(self, sql: str) -> None:
        """A statement on the file, of a server that does not run."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(sql)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the file holds, read beside the server."""
        with closing(sqlite3.connect(self.path, timeout=10)) as connection:
            return connection.execute(sql, values).fetchall()


@asynccontextmanager
async def open_server_process(path: Path) -> AsyncIterator[ServerProcess]:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = ServerProcess(path, port)
    try:
        yield made
    finally:
        if made.process is not None and made.process.returncode is None:
            made.process.kill()
            await made.process.wait()


@dataclass
class SharedDatabaseServer(ServerProcess):
    """A server in a process of its own, on a database that it shares."""

    database_url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {f"{PREFIX}DATABASE_URL": self.database_url}
