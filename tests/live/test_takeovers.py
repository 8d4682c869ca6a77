"""The lease changes hands again and again under load, on PostgreSQL with four processes: no list is left wrong.

TAKEOVERS says how often the session that holds the lease is ended; without it the test is skipped. The seed is printed.
"""

import asyncio
import os
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.live.test_crashes import Box, box
from tests.requests.test_two_processes import Process
from tests.serving import Client
from tests.test_lists import RECORD, email, event, save

TAKEOVERS = int(os.environ.get("TAKEOVERS", "0"))
LISTS_PER_TAKEOVER = 40
SEED = int(os.environ.get("LAW_SEED", "1"))
USERS = ("Ann", "Bob", "Cleo", "Dan")
EMAILS = 10


class Worker(Process):
    """A process that matches and serves nobody."""

    async def start(self) -> None:
        self.process = await self._run("worker")


def _filter(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(("VIEW", "CLICK", "REPLY"))
    counted = {"kind": kind, "atLeast": rng.randint(1, 5)}
    return rng.choice(
        (
            {"engagement": [counted]},
            {"engagement": [counted, {"kind": "REPLY", "atMost": rng.randint(0, 3)}]},
            {"engagement": [counted | {"within": f"PT{rng.randint(1, 3)}S"}]},
            {"createdAt": {"olderThan": f"PT{rng.randint(1, 40)}S"}, "engagement": [counted]},
        )
    )


async def _create_lists(client: Client, name: str, count: int) -> None:
    rng = random.Random(f"{SEED} {name}")
    for number in range(count):
        await save(client, _filter(rng), f"{name} {number}")
        await asyncio.sleep(rng.uniform(0.05, 0.15))


async def _record_events(client: Client, name: str, emails: list[str], enough: asyncio.Event) -> int:
    rng, count = random.Random(f"{SEED} {name} events"), 0
    while not enough.is_set():
        events = [
            event(rng.choice(emails), rng.choice(("VIEW", "CLICK", "REPLY")), f"{count + number}", verdict="HUMAN")
            for number in range(rng.randint(1, 3))
        ]
        count += (await client.one(RECORD, e=events))["recorded"]
        await asyncio.sleep(rng.uniform(0.02, 0.1))
    return count


async def _end_lease_sessions(url: str, rng: random.Random) -> int:
    connection = await asyncpg.connect(url)
    ended = 0
    try:
        for _ in range(TAKEOVERS):
            await asyncio.sleep(rng.uniform(1.3, 2.3))
            ended += await connection.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
    finally:
        await connection.close()
    return ended


async def _wait_until_matched(url: str) -> int:
    """Returns how often the lease was taken."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(120):
            while await connection.fetchval("SELECT count(*) FROM marks"):
                await asyncio.sleep(0.1)
        return int(await connection.fetchval("SELECT epoch FROM leases"))
    finally:
        await connection.close()


@pytest.mark.skipif(not TAKEOVERS, reason="TAKEOVERS says how often the lease is lost")
@pytest.mark.timeout(240 + 10 * TAKEOVERS)
async def test_no_list_is_wrong_after_the_lease_was_lost_under_load(postgres_url: str, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    async with AsyncExitStack() as stack:
        boxes: list[Box] = [await stack.enter_async_context(box(tmp_path / str(number))) for number in range(4)]
        servers: list[Process] = []
        for number, made in enumerate(boxes):
            kind = Process if number < 2 else Worker
            servers.append(kind(made.path, made.port, database_url=postgres_url))
        tokens = [await _token(servers[0], name) for name in USERS]
        for made, server in zip(boxes, servers, strict=True):
            await server.start()
            # The box ends its process.
            made.process = server.process
        clients = [Client(servers[number % 2].url, token) for number, token in enumerate(tokens)]
        enough = asyncio.Event()
        recording = [
            asyncio.create_task(
                _record_events(client, name, [await email(client, number) for number in range(EMAILS)], enough)
            )
            for name, client in zip(USERS, clients, strict=True)
        ]
        creating = [
            asyncio.create_task(_create_lists(client, name, LISTS_PER_TAKEOVER * TAKEOVERS // len(USERS)))
            for name, client in zip(USERS, clients, strict=True)
        ]
        ended = await _end_lease_sessions(postgres_url, rng)
        await asyncio.gather(*creating)
        enough.set()
        events = sum(await asyncio.gather(*recording))
        epochs = await _wait_until_matched(postgres_url)
        code, output = await servers[0].command("audit")
        print(
            f"{ended} lease sessions ended (LAW_SEED={SEED}), taken {epochs} times;"
            f" {events} events; {output.splitlines()[0]}"
        )
        for client in clients:
            await client.http.aclose()
        assert (code, ended >= TAKEOVERS // 2) == (0, True), output


async def _token(server: Process, name: str) -> str:
    address = f"{name.lower()}@x.example"
    code, said = await server.command("user", "add", "--team", f"Team of {name}", "--name", name, "--address", address)
    assert code == 0, said
    code, token = await server.command("token", address, "--scope", "engagement:write")
    assert code == 0, token
    return token
