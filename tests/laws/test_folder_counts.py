"""Folder counts are exact: after any mutations, in any order and concurrently, queries and streams equal a scan.

MUTATIONS is the number of successful mutations. LAW_SEED repeats a run, except for the order of concurrent ones.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from command_center.database.connections import database
from models.enums import EmailStatus
from models.folders import folder_of
from tests.laws.simulation import Account, Simulation
from tests.support.server import Stream

MUTATIONS = int(os.environ.get("MUTATIONS", "300"))
SEED = int(os.environ.get("LAW_SEED", "1"))
CHECKS = 10
PATIENCE = 15.0
COUNTS = "subscription($as:ID){folderCounts(viewAs:$as){folders{name emailCount} groups{folders{name emailCount}}}}"
FOLDERS = "query($as:ID){folders(viewAs:$as){folders{name emailCount}}}"


class CountReplica:
    """The last message of a stream of counts, and the number of messages."""

    def __init__(self, account: Account, stream: Stream) -> None:
        self.account = account
        self.frames = 0
        self.last: Counter[str] | None = None
        self._stream = stream
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            frame = await self._stream.frame(3600)
            counts = plain(frame["folders"])
            assert counts == plain(each for group in frame["groups"] for each in group["folders"])
            assert counts != self.last, "a frame that equals the one before"
            self.last, self.frames = counts, self.frames + 1
            self._news.set()

    async def shows(self, wanted: Counter[str]) -> bool:
        """Whether it comes to show these counts."""
        try:
            async with asyncio.timeout(PATIENCE):
                while self.last != wanted and not self.task.done():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return self.last == wanted


class FolderSimulation(Simulation):
    """The simulation without lists: several concurrent mutations that move emails between folders."""

    async def save_search(self, account: Account) -> None:
        """Lists move no email."""

    async def subscribe(self, account: Account) -> None:
        """Subscriptions move no email."""

    async def advance_clock(self, account: Account) -> None:
        """Lets scheduled emails become due, and new days of a sender begin."""
        self.clock.advance(self._span() * self.rng.random())

    def _emails(self, account: Account, most: int) -> list[str]:
        """Prefers new emails, because few actions are possible on old ones."""
        few = account.emails[-20:] if self.rng.random() < 0.8 else account.emails
        return self.rng.sample(few, min(len(few), self.rng.randint(1, most)))

    async def run_concurrent_mutations(self) -> None:
        moves: list[tuple[int, Callable[[Account], Awaitable[None]]]] = [
            (16, self.create_draft),
            (10, self.send_emails),
            (10, self.change_emails),
            (4, self.delete_emails),
            (6, self.report_deliveries),
            (2, self.revise_email),
            (1, self.create_person),
            (1, self.create_campaign),
            (1, self.end_campaign),
            (1, self.unsubscribe),
            (2, self.advance_clock),
        ]
        weights = [weight for weight, _ in moves]
        chosen = self.rng.choices([each for _, each in moves], weights, k=self.rng.randint(1, 4))
        work = [move(self.rng.choice(self.accounts)) for move in chosen]
        if self.rng.random() < 0.3:
            work.append(self.send_emails(self.accounts[0]))
        await asyncio.gather(*work)


def plain(folders: Any) -> Counter[str]:
    """Counts by name; a folder without any is absent."""
    return +Counter({folder["name"]: folder["emailCount"] for folder in folders})


async def scanned() -> dict[int, Counter[str]]:
    """The counts by sender, email by email."""
    found: dict[int, Counter[str]] = {}
    for row in await database().fetch("SELECT sender_id, status, archived FROM emails"):
        folder = folder_of(EmailStatus(row["status"]), bool(row["archived"]))
        found.setdefault(row["sender_id"], Counter())[folder.name] += 1
    return found


async def check(simulation: Simulation, streams: list[CountReplica]) -> None:
    """Asked by their owner and by an admin, and followed by both: always what the scan finds."""
    truth = await scanned()
    ada = simulation.accounts[1]
    for account in simulation.accounts:
        wanted = truth.get(account.key, Counter())
        for client in {account.name: account, **({ada.name: ada} if account.team == ada.team else {})}.values():
            groups = await client.client.one(FOLDERS, **{"as": account.client.user_id})
            assert plain(each for group in groups for each in group["folders"]) == wanted, account.name
    for replica in streams:
        wanted = truth.get(replica.account.key, Counter())
        assert await replica.shows(wanted), (replica.account.name, replica.last, wanted)


async def run(url: str) -> Counter[str]:
    async with AsyncExitStack() as stack:
        simulation = FolderSimulation(url, SEED | 1)
        await simulation.start()
        stack.push_async_callback(simulation.stop)
        ann, ada, zoe = simulation.accounts
        for account in simulation.accounts:
            account.client.user_id = (await account.client.one("{viewer{id}}"))["id"]
        streams = []
        for viewer, account in ((ann, ann), (ada, ada), (zoe, zoe), (ada, ann)):
            stream = await stack.enter_async_context(viewer.client.follow(COUNTS, **{"as": account.client.user_id}))
            streams.append(CountReplica(account, stream))
        stack.callback(lambda: [replica.task.cancel() for replica in streams])
        checks = 0
        while simulation.counted["done"] < MUTATIONS:
            await simulation.run_concurrent_mutations()
            if simulation.counted["done"] >= MUTATIONS * (checks + 1) // CHECKS:
                checks += 1
                await check(simulation, streams)
        await check(simulation, streams)
        emails = sum(sum(each.values()) for each in (await scanned()).values())
        return Counter(simulation.counted) + Counter(emails=emails, frames=sum(replica.frames for replica in streams))


async def test_queried_and_streamed_counts_equal_a_scan(database_url: str) -> None:
    began = time.monotonic()
    counted = await run(database_url)
    kind, spent = database_url.partition(":")[0], time.monotonic() - began
    print(f"{MUTATIONS} mutations on {kind} in {spent:.0f} s: {dict(sorted(counted.items()))}, 0 differences")
    assert counted["done"] >= MUTATIONS
    assert counted["frames"] > CHECKS
