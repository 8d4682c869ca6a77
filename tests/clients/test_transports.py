"""The audit of GraphQL over HTTP, and the official clients as they come, over each transport that they know."""

import asyncio
import json
from pathlib import Path

from command_center.api.graphiql import npm
from tests.clients.product import FOLDER, serving

AUDITS = 61
CLIENTS = 24


async def test_the_audit_and_every_client_find_nothing_amiss(tmp_path: Path) -> None:
    async with serving(tmp_path / "x.db") as (server, client):
        process = await asyncio.create_subprocess_exec(
            *(*npm.command(), "--prefix", str(FOLDER), "run", "--silent", "transports"),
            env=server.environment | {"URL": f"{server.url}/graphql", "TOKEN": client.token},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await asyncio.wait_for(process.communicate(), 120)
    found = [json.loads(line) for line in said.splitlines()]
    assert [each for each in found if not each["holds"]] == []
    audits = [each for each in found if each["name"].startswith("graphql-http ")]
    assert (len(audits), len(found) - len(audits)) == (AUDITS, CLIENTS)
