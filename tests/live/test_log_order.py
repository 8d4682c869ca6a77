"""Two PostgreSQL transactions that take their place in the log in one order and try to commit in the other.

A reader of the log goes on from the last position it saw; so a row that appears behind that position is lost for ever.
The lock on the log's row forbids it. Each test runs again with positions from a sequence, which nothing holds back:
there the same reader does lose rows, which shows that the test would notice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from command_center.actions import users
from command_center.actions.context import ActionContext, Limits
from command_center.changes import log
from command_center.changes.entries import COLUMNS, LogEntry, StreamKind, Topic
from command_center.changes.hub import Hub
from command_center.changes.unit_of_work import Writer
from command_center.database.connections import Connection, database, open_database, transaction
from models.enums import ChangeKind, Role
from tests.support.postgres_locks import PATIENCE, has_lock_waiter, wait_until
from tests.support.server import ManualClock

SEQUENCE = "unprotected_positions"

Append = Callable[[Connection, Iterable[LogEntry], int], Awaitable[list[LogEntry]]]


async def unprotected(connection: Connection, entries: Iterable[LogEntry], at: int) -> list[LogEntry]:
    """`log.append` as one writes it at first: a sequence numbers, and no lock holds the next one back."""
    written = []
    for entry in entries:
        row = await connection.fetch_one(f"SELECT nextval('{SEQUENCE}') AS position")
        assert row is not None
        written.append(entry._replace(position=int(row["position"]), at=at))
    places = ", ".join("?" * len(LogEntry._fields))
    await connection.execute_many(f"INSERT INTO changes ({COLUMNS}) VALUES ({places})", written)
    return written


@dataclass
class Reader:
    """Reads a team's log to its end, again and again, each time from where it got to."""

    team_id: int
    position: int = 0
    seen: list[int | None] = field(default_factory=list)

    async def read(self) -> None:
        for entry in await log.read_team(self.team_id, self.position):
            self.position = entry.position
            self.seen.append(entry.search_id)


@dataclass
class Scene:
    """A team's log, whom it is read by, and the way rows get into it."""

    append: Append
    team_id: int
    owner_id: int
    hub: Hub
    reader: Reader
    told: list[int | None] = field(default_factory=list)

    async def write(self, names: Iterable[int], numbered: asyncio.Event, may_commit: asyncio.Event) -> None:
        """One transaction: its rows get their positions at once, and are committed when it is told to."""
        entries = [LogEntry(self.team_id, ChangeKind.SEARCH_UPSERTED, self.owner_id, name) for name in names]
        async with transaction() as connection:
            written = await self.append(connection, entries, 0)
            numbered.set()
            await may_commit.wait()
        await self._committed(written)

    async def _committed(self, written: list[LogEntry]) -> None:
        if self.append is unprotected:
            # The lock's other half: where positions come from elsewhere the log's row is only told of them.
            await database().execute(
                "UPDATE change_logs SET position = GREATEST(position, ?) WHERE team_id = ?",
                written[-1].position,
                self.team_id,
            )
        self.hub.offer(tuple(written))

    async def follow(self, joined: asyncio.Event) -> None:
        topic = Topic(self.owner_id, StreamKind.SEARCHES)
        follower = await self.hub.subscribe(self.team_id, topic, None)
        joined.set()
        try:
            async for entries in follower.live():
                self.told += [entry.search_id for entry in entries]
        finally:
            follower.close()


async def interleaved(url: str, append: Append) -> Scene:
    """The first transaction takes its numbers first, the second tries to commit first; readers read in between."""
    async with open_database(url):
        hub = Hub()
        ctx = ActionContext(Writer(ManualClock(), hub), Limits())
        user = await users.add(ctx, "Team", "Ann", "ann@team.example", Role.MEMBER, "UTC")
        await database().execute(f"CREATE SEQUENCE {SEQUENCE}")
        await hub.start()
        scene = Scene(append, user.team_id, user.id, hub, Reader(user.team_id))
        joined, go, stay = asyncio.Event(), asyncio.Event(), asyncio.Event()
        following = asyncio.create_task(scene.follow(joined))
        await joined.wait()
        numbered = asyncio.Event()
        first = asyncio.create_task(scene.write((1, 2), numbered, stay))
        await numbered.wait()
        go.set()
        second = asyncio.create_task(scene.write((3, 4), asyncio.Event(), go))
        # It has committed, or is held up by the first one: there is no third.
        await wait_until(lambda: _either(second))
        await scene.reader.read()
        await asyncio.sleep(0.2)
        stay.set()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(first, second)
        await scene.reader.read()
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await wait_until(lambda: len(scene.told) >= 4)
        await hub.stop()
        await following
        return scene


async def _either(second: "asyncio.Task[None]") -> bool:
    return second.done() or await has_lock_waiter()


def nothing_was_missed(seen: list[int | None]) -> None:
    assert sorted(each for each in seen if each is not None) == [1, 2, 3, 4], seen
    assert seen == [1, 2, 3, 4], f"out of order: {seen}"


async def test_a_reader_of_the_log_misses_nothing(postgres_url: str) -> None:
    scene = await interleaved(postgres_url, log.append)
    nothing_was_missed(scene.reader.seen)


async def test_a_subscriber_misses_nothing(postgres_url: str) -> None:
    scene = await interleaved(postgres_url, log.append)
    nothing_was_missed(scene.told)


async def test_without_the_lock_a_reader_loses_rows(postgres_url: str) -> None:
    scene = await interleaved(postgres_url, unprotected)
    with pytest.raises(AssertionError):
        nothing_was_missed(scene.reader.seen)
    assert scene.reader.seen == [3, 4]


async def test_without_the_lock_a_subscriber_loses_rows(postgres_url: str) -> None:
    scene = await interleaved(postgres_url, unprotected)
    with pytest.raises(AssertionError):
        nothing_was_missed(scene.told)
    assert scene.told == [3, 4]


async def test_concurrent_transactions_write_the_log_in_order(postgres_url: str) -> None:
    """Many whole deeds at once, as the product makes them; the reader reads as fast as it can."""
    async with open_database(postgres_url):
        writer = Writer(ManualClock(), Hub())
        user = await users.add(ActionContext(writer, Limits()), "Team", "Ann", "ann@team.example", Role.MEMBER, "UTC")
        reader = Reader(user.team_id)

        async def uow(name: int) -> None:
            async with writer.unit_of_work() as uow:
                uow.log(LogEntry(user.team_id, ChangeKind.SEARCH_UPSERTED, user.id, name))
                await asyncio.sleep(0.001 * (name % 3))

        work = asyncio.gather(*(uow(name) for name in range(200)))
        while not work.done():
            await reader.read()
            await asyncio.sleep(0)
        await work
        await reader.read()
        assert sorted(each for each in reader.seen if each is not None) == list(range(200))
        assert reader.position == 200
