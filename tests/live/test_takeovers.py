"""The lease changes hands again and again under load, on PostgreSQL with four processes: no list is left wrong.

TAKEOVERS says how often the session that holds the lease is ended; without it the test is skipped. The seed is printed.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
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
EMAILS = 3


class Worker(Process):
    """A process that matches and serves nobody."""

    async def start(self, errors: int | None = None) -> None:
        self.process = await self._run("worker", errors=errors)


def _filter(rng: random.Random, recorded: int) -> dict[str, Any]:
    """A filter that the next events of each email decide: a list that misses them stays wrong."""
    counted = {"kind": "VIEW", "atLeast": recorded // EMAILS + rng.randint(1, 2)}
    return rng.choice(
        (
            {"engagement": [counted]},
            {"engagement": [counted, {"kind": "REPLY", "atMost": 0}]},
            {"engagement": [{"kind": "VIEW", "within": f"PT{rng.randint(1, 3)}S"}, counted]},
            {"not": {"engagement": [counted]}},
        )
    )


@dataclass
class Seller:
    """One user, who creates lists at one server while their emails are viewed at the other one.

    So the matcher of a server is woken by the views at once, and learns of the lists only when it looks by itself.
    """

    name: str
    client: Client
    viewing: Client
    emails: list[str] = field(default_factory=list)
    recorded: int = 0
    created: int = 0
    enough: bool = False

    async def create_lists(self, count: int) -> None:
        rng = random.Random(f"{SEED} {self.name} lists")
        for number in range(count):
            await save(self.client, _filter(rng, self.recorded), f"{self.name} {number}")
            self.created += 1
            await asyncio.sleep(rng.uniform(0.05, 0.15))

    async def record_views(self) -> None:
        rng = random.Random(f"{SEED} {self.name} views")
        while not self.enough:
            # In turn, so that a list's emails get the view that matters to it one soon after the other.
            view = event(self.emails[self.recorded % EMAILS], "VIEW", str(self.recorded), verdict="HUMAN")
            self.recorded += (await self.viewing.one(RECORD, e=[view]))["recorded"]
            await asyncio.sleep(rng.uniform(0.02, 0.1))


async def _end_lease_sessions(url: str, rng: random.Random, sellers: Sequence[Seller]) -> int:
    """Spreads the takeovers over the creation of the lists, however fast the machine is."""
    connection = await asyncpg.connect(url)
    ended = 0
    try:
        for number in range(TAKEOVERS):
            await asyncio.sleep(rng.uniform(1.3, 2.3))
            while sum(seller.created for seller in sellers) < number * LISTS_PER_TAKEOVER:
                await asyncio.sleep(0.05)
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
        viewing = [Client(servers[(number + 1) % 2].url, token) for number, token in enumerate(tokens)]
        sellers = [Seller(*each) for each in zip(USERS, clients, viewing, strict=True)]
        for seller in sellers:
            seller.emails = [await email(seller.client, number) for number in range(EMAILS)]
        recording = [asyncio.create_task(seller.record_views()) for seller in sellers]
        lists = LISTS_PER_TAKEOVER * TAKEOVERS // len(sellers)
        creating = [asyncio.create_task(seller.create_lists(lists)) for seller in sellers]
        ended = await _end_lease_sessions(postgres_url, rng, sellers)
        await asyncio.gather(*creating)
        for seller in sellers:
            seller.enough = True
        await asyncio.gather(*recording)
        epochs = await _wait_until_matched(postgres_url)
        code, output = await servers[0].command("audit")
        print(
            f"{ended} lease sessions ended (LAW_SEED={SEED}), taken {epochs} times;"
            f" {sum(seller.recorded for seller in sellers)} events; {output.splitlines()[0]}"
        )
        for client in (*clients, *viewing):
            await client.http.aclose()
        assert (code, ended >= TAKEOVERS // 2) == (0, True), output


async def _token(server: Process, name: str) -> str:
    address = f"{name.lower()}@x.example"
    code, said = await server.command("user", "add", "--team", f"Team of {name}", "--name", name, "--address", address)
    assert code == 0, said
    code, token = await server.command("token", address, "--scope", "engagement:write")
    assert code == 0, token
    return token
