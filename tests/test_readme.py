"""Everything the README shows runs."""

import asyncio
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server.settings import PREFIX, TABLE
from tests.serving import Client, Server
from tests.test_lists import live

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def operation(name: str) -> str:
    return next(block for block in blocks("graphql") if re.search(rf"^\w+ {name}\b", block))


async def run(client: Client, name: str, **variables: Any) -> Any:
    found = await client.one(operation(name), **variables)
    assert found.get("userErrors", []) == [] if isinstance(found, dict) else True
    return found


async def a_list_with_one_member(client: Client) -> str:
    """Goes through the README's operations in order; the list's id."""
    person = await run(client, "AddPerson", input={"name": "Pat", "address": "pat@example.org"})
    draft = await run(client, "WriteDraft", input={"personId": person["person"]["id"], "subject": "Hello"})
    assert draft["email"]["folder"] == "DRAFT"
    email = draft["email"]["id"]
    saved = await run(client, "SaveList", **json.loads(blocks("json")[0]))
    search = str(saved["savedSearch"]["id"])
    await live(client, search)
    async with client.follow(operation("Follow"), id=search) as stream:
        await stream.until("CaughtUp")
        moment = datetime.now(UTC).isoformat()
        events = [
            {"emailId": email, "kind": "VIEW", "occurredAt": moment, "dedupeKey": "1"},
            {"emailId": email, "kind": "CLICK", "occurredAt": moment, "dedupeKey": "2", "url": "https://example.com"},
        ]
        assert (await run(client, "Record", events=events))["recorded"] == 2
        assert (await stream.until("MemberJoined"))[-1]["emailId"] == email
    sent = await run(client, "Send", id=email, requestId="once")
    assert sent["email"]["status"] == "IN_PROGRESS"
    return search


async def test_its_operations_run_in_order(server: Server) -> None:
    client = await server.client("Sam")
    search = await a_list_with_one_member(client)
    found = await run(client, "Members", id=search)
    assert found["memberCount"] == 1
    assert found["members"]["asOf"]
    assert sum(group["emailCount"] for group in await run(client, "Folders")) == 1


async def test_its_follower_prints_what_is_pushed(server: Server) -> None:
    client = await server.client("Sam")
    environment = os.environ | {
        "COMMAND_CENTER_WS": server.url.replace("http", "ws", 1) + "/graphql",
        "COMMAND_CENTER_TOKEN": client.token,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", blocks("python")[0], env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"CaughtUp \n"
        await a_list_with_one_member(client)
        lines: list[str] = []
        while not lines or not lines[-1].startswith("MemberJoined "):
            lines.append((await asyncio.wait_for(process.stdout.readline(), 20)).decode())
        assert "SavedSearchReset \n" in lines
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("setting", TABLE, ids=lambda setting: setting.name)
def test_its_table_holds_every_setting(setting: Any) -> None:
    line = next(line for line in README.splitlines() if line.startswith(f"| `{PREFIX}{setting.name}` |"))
    assert setting.meaning in line
    assert not setting.default or f"`{setting.default}`" in line


def test_what_it_points_at_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
