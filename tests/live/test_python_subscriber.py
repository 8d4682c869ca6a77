"""The Python subscriber that docs/following.md shows, through everything that happens to one."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import websockets
from websockets.asyncio.server import ServerConnection, serve

from tests.support.documentation import Page
from tests.support.emails import create_draft, create_person
from tests.support.searches import RECORD, make_event, save_search, wait_until_live
from tests.support.server import PATIENCE, Client
from tests.support.server_process import ServerProcess, open_server_process

LISTS = "{savedSearches{nodes{id members(first:100){nodes{id email{subject}}}}}}"
DELETE = "mutation($id:ID!){savedSearchDelete(id:$id){deletedIds}}"
REFINE = "mutation($id:ID!,$f:EmailFilter!){savedSearchRefine(id:$id,filter:$f){userErrors{message}}}"
VIEWED = {"engagement": [{"kind": "VIEW"}]}


@dataclass
class Subscriber:
    """The program while it runs: what it printed last, and each event so far."""

    process: asyncio.subprocess.Process
    members: dict[str, dict[str, str]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    async def shows(self, client: Client) -> None:
        """Waits until its members are those of a fresh query."""
        nodes = (await client.one(LISTS))["nodes"]
        wanted = {
            each["id"]: {node["id"]: node["email"]["subject"] for node in each["members"]["nodes"]} for each in nodes
        }
        assert self.process.stdout is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * PATIENCE):
                while self.members != wanted:
                    line = (await self.process.stdout.readline()).decode()
                    assert line, "the program ended"
                    name, _, rest = line.partition(" ")
                    self.events.append(name)
                    self.members = json.loads(rest)
        assert self.members == wanted, self.events


@asynccontextmanager
async def subscriber(url: str, token_file: Path) -> AsyncIterator[Subscriber]:
    (program,) = Page.read("docs/following.md").blocks("python")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env=os.environ | {"COMMAND_CENTER_WS": url, "COMMAND_CENTER_TOKEN_FILE": str(token_file)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Subscriber(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def issue(server: ServerProcess, token_file: Path, expires: str) -> str:
    code, token = await server.command("token", "a@x.example", "--scope", "engagement:write", "--expires", expires)
    assert code == 0
    token_file.write_text(token)
    return token


async def test_members_equal_fresh_queries_after_every_interruption(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    async with open_server_process(tmp_path / "x.db") as server:
        assert (await server.command("user", "add", "--team", "T", "--name", "Ann", "--address", "a@x.example"))[0] == 0
        client = Client(server.url, await issue(server, token_file, "P1D"))
        await server.start()
        to = await create_person(client, "pat@example.org")
        emails = [await create_draft(client, to, f"mail {number}") for number in range(8)]
        first, second = await save_search(client, VIEWED), await save_search(client, {"subject": {"contains": "mail"}})
        await wait_until_live(client, first)
        await wait_until_live(client, second)

        async def view(number: int) -> None:
            recorded = await client.one(RECORD, e=[make_event(emails[number], "VIEW", f"view {number}")])
            assert recorded["recorded"] == 1

        async with subscriber(f"{server.url.replace('http', 'ws')}/graphql", token_file) as program:
            await program.shows(client)
            await view(0)
            await settled(client, first, 1)
            await program.shows(client)

            await server.kill()
            await server.start()
            await view(1)
            await settled(client, first, 2)
            await program.shows(client)
            assert program.events.count("Read") == 1

            await issue(server, token_file, "PT2S")
            await server.kill()
            await server.start()
            await asyncio.sleep(3)
            await issue(server, token_file, "P1D")
            await view(2)
            await settled(client, first, 3)
            await program.shows(client)
            assert program.events.count("Read") == 1

            refined = {"all": [VIEWED, {"not": {"subject": {"endsWith": "0"}}}]}
            await client.one(REFINE, id=first, f=refined)
            await settled(client, first, 2)
            await program.shows(client)
            assert program.events.count("Read") == 2

            await server.kill()
            server.run("UPDATE change_logs SET log_id = 'another'")
            await server.start()
            await view(3)
            await settled(client, first, 3)
            await program.shows(client)
            assert program.events.count("Read") == 3

            await client.one(DELETE, id=first)
            await program.shows(client)
            await client.one(REFINE, id=second, f=VIEWED)
            await settled(client, second, 4)
            await program.shows(client)
        await client.http.aclose()


async def settled(client: Client, search: str, count: int) -> None:
    """Waits until a list has this many members."""
    async with asyncio.timeout(PATIENCE):
        while (await client.one("query($id:ID!){savedSearch(id:$id){memberCount}}", id=search))["memberCount"] != count:
            await asyncio.sleep(0.05)


async def test_refused_token_ends_the_program_but_a_late_one_does_not(tmp_path: Path) -> None:
    attempts: list[float] = []

    async def refuse(socket: ServerConnection) -> None:
        attempts.append(asyncio.get_running_loop().time())
        await socket.recv()
        await socket.close(4403, "the token has expired")

    token_file = tmp_path / "token"
    token_file.write_text("no token")
    async with serve(refuse, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with subscriber(f"ws://127.0.0.1:{port}/graphql", token_file) as program:
            _, err = await asyncio.wait_for(program.process.communicate(), 3 * PATIENCE)
    assert (program.process.returncode, len(attempts)) == (1, 7)
    # The next token may be that late.
    assert attempts[-1] - attempts[0] > 9
    assert "Refused: the token was refused" in err.decode()
