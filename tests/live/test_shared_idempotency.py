"""Two servers on one PostgreSQL: a key that is asked for at both is carried out by one of them."""

import asyncio
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path

from command_center.database.connections import open_database
from tests.support.idempotency import CAMPAIGN, count_rows, is_replayed, post_with_key
from tests.support.server import Client
from tests.support.server_process import SharedDatabaseServer, open_server_process

KEYS = 40
REPEATS = 6


async def test_a_key_at_two_servers_is_carried_out_by_one(postgres_url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        boxes = [await stack.enter_async_context(open_server_process(tmp_path / name)) for name in ("one", "two")]
        servers = [SharedDatabaseServer(each.path, each.port, database_url=postgres_url) for each in boxes]
        user = ("user", "add", "--team", "T", "--name", "Ann", "--address", "ann@x.example")
        assert (await servers[0].command(*user))[0] == 0
        code, token = await servers[0].command("token", "ann@x.example")
        assert code == 0, token
        for made, server in zip(boxes, servers, strict=True):
            await server.start()
            # Whoever made the box ends its process.
            made.process = server.process
        clients = [Client(server.url, token) for server in servers]
        asked = [f"key-{place}" for place in range(KEYS) for _ in range(REPEATS)]
        answers = await asyncio.gather(
            *(post_with_key(client, key, CAMPAIGN, n=key) for key, client in zip(asked, cycle(clients), strict=False))
        )
        for client in clients:
            await client.http.aclose()
    for place in range(KEYS):
        alike = answers[place * REPEATS : (place + 1) * REPEATS]
        assert len({answer.content for answer in alike}) == 1, alike[0].text
        assert [is_replayed(answer) for answer in alike].count(False) == 1
    async with open_database(postgres_url):
        assert await count_rows("campaigns") == KEYS
