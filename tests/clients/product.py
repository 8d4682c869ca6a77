"""The product in a process of its own, for applications under Node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.server import Client
from tests.support.server_process import ServerProcess, open_server_process

FOLDER = Path(__file__).parent


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[ServerProcess, Client]]:
    """The product as one starts it, and its one seller."""
    async with open_server_process(path) as server:
        assert (await server.command("user", "add", "--team", "T", "--name", "Ann", "--address", "a@x.example"))[0] == 0
        code, token = await server.command("token", "a@x.example", "--scope", "engagement:write")
        assert code == 0
        await server.start()
        client = Client(server.url, token)
        yield server, client
        await client.http.aclose()
