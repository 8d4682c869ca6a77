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

from tests.live.postgres_proxy import PostgresProxy, run_proxy
from tests.support.emails import create_person, run_many_mutations
from tests.support.searches import RECORD, make_event, save_search
from tests.support.server import Client
from tests.support.server_process import ServerProcess, SharedDatabaseServer, open_server_process

TAKEOVERS = int(os.environ.get("TAKEOVERS", "0"))
LISTS_PER_TAKEOVER = 40
TAKEOVER_SECONDS = 4
"""For about so long lists are created after the end of a session, as long as two processes match."""
SEED = int(os.environ.get("LAW_SEED", "1"))
USERS = ("Ann", "Bob", "Cleo", "Dan")
EMAILS = 3


class Worker(SharedDatabaseServer):
    """A process that matches and serves nobody."""

    async def start(self, errors: int | None = None) -> None:
        self.process = await self._run("worker", errors=errors)


VIEWED: Sequence[dict[str, Any]] = (
    {"engagement": [{"kind": "VIEW"}]},
    {"engagement": [{"kind": "VIEW"}, {"kind": "REPLY", "atMost": 0}]},
    {"engagement": [{"kind": "VIEW", "within": "P1D"}]},
    {"not": {"engagement": [{"kind": "VIEW"}]}},
)


@dataclass
class Seller:
    """One user, who creates lists at one server while their emails are viewed at the other one.

    So the matcher of a server is woken by the views at once, and learns of the lists only when it looks by itself.
    Each list is about emails of its own, and each of them is viewed once: nothing makes a matcher look at an email
    again, so a list that misses a view stays wrong.
    """

    name: str
    client: Client
    viewing: Client
    emails: list[list[str]] = field(default_factory=list)
    created: int = 0
    recorded: int = 0
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{SEED} {self.name}")

    async def draft(self, rounds: int) -> None:
        """Creates the emails of each list."""
        person_id = await create_person(self.client, f"dora@{self.name.lower()}.example")
        for number in range(rounds):
            drafts = [{"input": {"personId": person_id, "subject": _subject(number)}}] * EMAILS
            made = await run_many_mutations(self.client, "emailDraft", "EmailDraftInput", drafts, "email{id}")
            self.emails.append([each["email"]["id"] for each in made])

    async def work(self, rounds: int) -> None:
        """Creates some of the lists while the lease changes hands, and has the emails of each viewed soon after."""
        viewing = []
        for _ in range(rounds):
            number = self.created
            wanted = {"subject": {"contains": _subject(number)}, **self.rng.choice(VIEWED)}
            await save_search(self.client, wanted, f"{self.name} {number}")
            self.created += 1
            pauses = [self.rng.uniform(0, 0.5) for _ in range(EMAILS)]
            viewing.append(asyncio.create_task(self._view(self.emails[number], pauses)))
            await asyncio.sleep(self.rng.uniform(0, 2 * TAKEOVER_SECONDS / rounds))
        await asyncio.gather(*viewing)

    async def _view(self, emails: Sequence[str], pauses: Sequence[float]) -> None:
        for email_id, pause in zip(emails, pauses, strict=True):
            await asyncio.sleep(pause)
            view = make_event(email_id, "VIEW", email_id, verdict="HUMAN")
            done = await self.viewing.one(RECORD, e=[view])
            self.recorded += done["recorded"]


def _subject(number: int) -> str:
    return f"Number {number}."


async def _end_lease_session(url: str, between: PostgresProxy) -> int:
    """The process does not hear of it, so for seconds it matches beside the one that takes the lease."""
    connection = await asyncpg.connect(url)
    ended = 0
    try:
        for row in await connection.fetch(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ):
            between.silent.add(row["pid"])
            ended += await connection.fetchval("SELECT pg_terminate_backend($1)", row["pid"])
    finally:
        await connection.close()
    return ended


async def _wait_until_matched(url: str) -> int:
    """Returns how often the lease was taken."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(120):
            while await connection.fetchval("SELECT count(*) FROM invalidations"):
                await asyncio.sleep(0.1)
        return int(await connection.fetchval("SELECT epoch FROM leases"))
    finally:
        await connection.close()


@pytest.mark.skipif(not TAKEOVERS, reason="TAKEOVERS says how often the lease is lost")
@pytest.mark.timeout(240 + 30 * TAKEOVERS)
async def test_no_list_is_wrong_after_the_lease_was_lost_under_load(postgres_url: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        boxes: list[ServerProcess] = [
            await stack.enter_async_context(open_server_process(tmp_path / str(number))) for number in range(4)
        ]
        between = await stack.enter_async_context(run_proxy(postgres_url))
        servers: list[SharedDatabaseServer] = []
        for number, made in enumerate(boxes):
            kind = SharedDatabaseServer if number < 2 else Worker
            servers.append(kind(made.path, made.port, database_url=between.url))
        tokens = [await _token(servers[0], name) for name in USERS]
        for made, server in zip(boxes, servers, strict=True):
            await server.start()
            # The box ends its process.
            made.process = server.process
        clients = [Client(servers[number % 2].url, token) for number, token in enumerate(tokens)]
        viewing = [Client(servers[(number + 1) % 2].url, token) for number, token in enumerate(tokens)]
        sellers = [Seller(*each) for each in zip(USERS, clients, viewing, strict=True)]
        rounds = LISTS_PER_TAKEOVER // len(sellers)
        await asyncio.gather(*(seller.draft(rounds * TAKEOVERS) for seller in sellers))
        ended = 0
        for _ in range(TAKEOVERS):
            ended += await _end_lease_session(postgres_url, between)
            await asyncio.gather(*(seller.work(rounds) for seller in sellers))
        epochs = await _wait_until_matched(postgres_url)
        code, output = await servers[0].command("audit")
        print(
            f"{ended} lease sessions ended (LAW_SEED={SEED}), taken {epochs} times;"
            f" {sum(seller.recorded for seller in sellers)} events; {output.splitlines()[0]}"
        )
        for client in (*clients, *viewing):
            await client.http.aclose()
        assert (code, ended >= TAKEOVERS // 2) == (0, True), output


async def _token(server: SharedDatabaseServer, name: str) -> str:
    address = f"{name.lower()}@x.example"
    code, said = await server.command("user", "add", "--team", f"Team of {name}", "--name", name, "--address", address)
    assert code == 0, said
    code, token = await server.command("token", address, "--scope", "engagement:write")
    assert code == 0, token
    return token
