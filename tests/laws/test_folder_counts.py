"""Folder counts are exact: after any deeds, in any order and at once, what is asked and what is followed is what a scan
finds.

DEEDS says how many are done; LAW_SEED repeats a run up to what happens at the same time.
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
from tests.laws.simulation import Account, World
from tests.support.server import Stream

DEEDS = int(os.environ.get("DEEDS", "300"))
SEED = int(os.environ.get("LAW_SEED", "1"))
CHECKS = 10
PATIENCE = 15.0
COUNTS = "subscription($as:ID){folderCounts(viewAs:$as){folders{name emailCount} groups{folders{name emailCount}}}}"
FOLDERS = "query($as:ID){folders(viewAs:$as){folders{name emailCount}}}"


class Watched:
    """A stream of counts that is read as it comes: the last frame, and how many there were."""

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


class Mailroom(World):
    """The world without lists: whatever moves an email from folder to folder, several deeds at once."""

    async def save(self, account: Account) -> None:
        """Lists move nothing."""

    async def follow(self, account: Account) -> None:
        """Nor do their followers."""

    async def advance(self, account: Account) -> None:
        """On by a while, so that what is scheduled comes due and a sender's new day begins."""
        self.clock.advance(self._span() * self.rng.random())

    def _emails(self, account: Account, most: int) -> list[str]:
        """Mostly new ones: those of old lie where little can be done to them."""
        few = account.emails[-20:] if self.rng.random() < 0.8 else account.emails
        return self.rng.sample(few, min(len(few), self.rng.randint(1, most)))

    async def round(self) -> None:
        moves: list[tuple[int, Callable[[Account], Awaitable[None]]]] = [
            (16, self.draft),
            (10, self.send),
            (10, self.bulk),
            (4, self.delete),
            (6, self.report),
            (2, self.revise),
            (1, self.person),
            (1, self.campaign),
            (1, self.end),
            (1, self.unsubscribe),
            (2, self.advance),
        ]
        weights = [weight for weight, _ in moves]
        chosen = self.rng.choices([each for _, each in moves], weights, k=self.rng.randint(1, 4))
        work = [move(self.rng.choice(self.accounts)) for move in chosen]
        if self.rng.random() < 0.3:
            work.append(self.send(self.accounts[0]))
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


async def check(world: World, streams: list[Watched]) -> None:
    """Asked by their owner and by an admin, and followed by both: always what the scan finds."""
    truth = await scanned()
    ada = world.accounts[1]
    for account in world.accounts:
        wanted = truth.get(account.key, Counter())
        for client in {account.name: account, **({ada.name: ada} if account.team == ada.team else {})}.values():
            groups = await client.client.one(FOLDERS, **{"as": account.client.user_id})
            assert plain(each for group in groups for each in group["folders"]) == wanted, account.name
    for watched in streams:
        wanted = truth.get(watched.account.key, Counter())
        assert await watched.shows(wanted), (watched.account.name, watched.last, wanted)


async def run(url: str) -> Counter[str]:
    async with AsyncExitStack() as stack:
        world = Mailroom(url, SEED | 1)
        await stack.enter_async_context(world)
        ann, ada, zoe = world.accounts
        for account in world.accounts:
            account.client.user_id = (await account.client.one("{viewer{id}}"))["id"]
        streams = []
        for viewer, account in ((ann, ann), (ada, ada), (zoe, zoe), (ada, ann)):
            stream = await stack.enter_async_context(viewer.client.follow(COUNTS, **{"as": account.client.user_id}))
            streams.append(Watched(account, stream))
        stack.callback(lambda: [watched.task.cancel() for watched in streams])
        checks = 0
        while world.counted["done"] < DEEDS:
            await world.round()
            if world.counted["done"] >= DEEDS * (checks + 1) // CHECKS:
                checks += 1
                await check(world, streams)
        await check(world, streams)
        emails = sum(sum(each.values()) for each in (await scanned()).values())
        return Counter(world.counted) + Counter(emails=emails, frames=sum(watched.frames for watched in streams))


async def test_counts_asked_and_followed_are_what_a_scan_finds(database_url: str) -> None:
    began = time.monotonic()
    counted = await run(database_url)
    kind, spent = database_url.partition(":")[0], time.monotonic() - began
    print(f"{DEEDS} deeds on {kind} in {spent:.0f} s: {dict(sorted(counted.items()))}, 0 differences")
    assert counted["done"] >= DEEDS
    assert counted["frames"] > CHECKS
