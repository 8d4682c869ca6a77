"""SIGTERM while streams are open: each ends at once and properly, nothing is logged as an error, and the code is 0."""

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from command_center.actions import users
from command_center.actions.context import ActionContext
from command_center.changes.hub import Hub
from command_center.changes.unit_of_work import Writer
from command_center.database.clock import DatabaseClock
from command_center.server.runtime import open_current_database as connected_database
from command_center.web.authentication import Tokens
from models.enums import Role
from tests.support.raw_http import RawConnection, open_raw_connection
from tests.support.server import SECRET, Client, settings
from tests.support.server_process import ServerProcess, open_server_process

STREAMS = 100
SOCKETS = 5
END = 4.0
"""Seconds that everything may take to end. The time after which uvicorn cancels what is left is longer."""
LISTS = "subscription{allSavedSearchChanges{__typename}}"
EVENTS = "text/event-stream"
PARTS = "multipart/mixed;subscriptionSpec=1.0"


async def _client(made: ServerProcess) -> Client:
    """Make a user before the server starts, without a process for each command."""
    given = settings(f"sqlite:///{made.path}")
    async with connected_database(given):
        ctx = ActionContext(Writer(DatabaseClock(), Hub()), given.limits())
        user = await users.add(ctx, "Team", "Ann", "ann@team.example", Role.MEMBER, "UTC")
        return Client(made.url, Tokens(SECRET).issue(user, (), timedelta(hours=1)))


async def _stream(raw: RawConnection, client: Client, accept: str, query: str = LISTS) -> None:
    body = json.dumps({"query": query})
    await raw.send(
        f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\nAccept: {accept}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


async def _caught_up(raw: RawConnection) -> None:
    async with asyncio.timeout(20):
        await raw.reader.readuntil(b"CaughtUp")


async def test_streams_and_sockets_end_and_the_exit_code_is_0(tmp_path: Path) -> None:
    async with open_server_process(tmp_path / "x.db") as made, AsyncExitStack() as stack:
        client = await _client(made)
        await made.start(asyncio.subprocess.PIPE)
        process = made.process
        assert process is not None
        events, parts = [
            [await stack.enter_async_context(open_raw_connection(made.url)) for _ in range(number)]
            for number in (STREAMS, SOCKETS)
        ]
        for raw, accept in [*((each, EVENTS) for each in events), *((each, PARTS) for each in parts)]:
            await _stream(raw, client, accept)
            await _caught_up(raw)
        sockets = [await stack.enter_async_context(client.follow(LISTS)) for _ in range(SOCKETS)]
        for each in sockets:
            await each.frame()

        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END):
            for raw in events:
                rest = await raw.reader.read()
                # Without `complete` the official client connects again, which is what it should do.
                assert rest.endswith(b"\r\n0\r\n\r\n")
                assert b"complete" not in rest
            for raw in parts:
                rest = await raw.reader.read()
                assert rest.endswith(b"\r\n--graphql--\r\n\r\n0\r\n\r\n")
                assert b'"payload":null,"errors":[{"message":"The server is stopping.' in rest
            for each in sockets:
                await each.socket.wait_closed()
                assert each.socket.close_code == 1012
            _, errors = await process.communicate()
        assert process.returncode == 0
        assert errors.decode() == ""
        await client.http.aclose()
