"""The database fails under a running server: full, read-only, locked, gone, mute. Every answer comes within ten
seconds and has a code, nothing that was answered is lost, nothing that was refused is there, and when the database is
well again the same process goes on: lists, streams and the audit agree."""

import asyncio
import contextlib
import resource
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from command_center.database.connections import sqlite_path
from command_center.mail.links import Links
from tests.live.database_faults import LONGEST, AnswerLog, Process, Team, process, read_messages
from tests.support.databases import Databases, Postgres
from tests.support.server import SECRET, Client

pytestmark = pytest.mark.timeout(180)
WRITERS = 4
LINES = 30
"""The log of one fault is no longer than this, however many requests meet it."""


@asynccontextmanager
async def furnished(database_url: str) -> AsyncIterator[Team]:
    links = Links(SECRET, "http://mail.test")
    async with process(database_url) as server:
        code, said = await server.command("user", "add", "--team", "T", "--name", "Ann", "--address", "ann@x.example")
        assert code == 0, said
        code, token = await server.command("token", "ann@x.example", "--scope", "engagement:write")
        assert code == 0, token
        team = Team(server, token, links.pixel, lambda email_id: links.click(email_id, "https://x.test/"))
        await server.start()
        await team.furnish()
        yield team


async def suffer(
    team: Team, harm: Callable[[], Awaitable[None]], heal: Callable[[], Awaitable[None]], span: timedelta
) -> AnswerLog:
    """Applications go on all the while; afterwards everything must add up."""
    server, account = team.server, team.account
    following = asyncio.create_task(team.follow())
    while not team.cursor:
        await asyncio.sleep(0.05)
    busy = [asyncio.create_task(work) for work in (*(team.write() for _ in range(WRITERS)), team.read())]
    await asyncio.sleep(0.5)
    server.said.clear()
    await harm()
    await asyncio.sleep(span.total_seconds())
    lines = list(server.said)
    await heal()
    client = Client(server.url, team.token)
    try:
        async with asyncio.timeout(LONGEST):
            while not await team.once(client):
                await asyncio.sleep(0.1)
        # Alive, and not only by luck: for a while everything is answered.
        await asyncio.sleep(1.5)
        team.enough = True
        await asyncio.gather(*busy)
    except BaseException:
        print(read_messages(server))
        raise
    assert await server.ready(client.http)
    for _ in range(2):
        assert await team.once(client), read_messages(server)
    await client.http.aclose()
    await _adds_up(team)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    assert len(lines) <= LINES, read_messages(server)
    assert not [line for line in lines if line.startswith("Traceback")], "\n".join(lines)
    print(
        f"{dict(account.codes)}; longest {', '.join(f'{what} {took:.1f} s' for what, took in account.longest.items())};"
        f" {len(account.done)} done, {len(account.undone)} undone, {len(account.unsure)} unsure; {account.notes} views"
        f" and clicks; {team.connections} streams; {len(lines)} log lines"
    )
    return account


async def _adds_up(team: Team) -> None:
    server, account = team.server, team.account
    async with asyncio.timeout(30):
        while await server.rows("SELECT id FROM invalidations"):
            await asyncio.sleep(0.1)
        # What readers did while the database failed was kept, and is stored by now.
        while (await _noted(server))[0] < account.notes:
            await asyncio.sleep(0.1)
    assert await _noted(server) == (account.notes, account.notes)
    stored = [key for (key,) in await server.rows("SELECT dedupe_key FROM engagements")]
    stored += [address for (address,) in await server.rows("SELECT address FROM people")]
    assert account.done <= set(stored)
    assert not account.undone & set(stored)
    assert len(stored) == len(set(stored))
    # The stream says what the log does, and it is one that goes on.
    expected = [
        position
        for (position,) in await server.rows(
            f"SELECT position FROM changes WHERE search_id IS NOT NULL AND position > {team.began} ORDER BY position"
        )
    ]
    assert expected
    async with asyncio.timeout(LONGEST):
        while not team.positions or team.positions[-1] < expected[-1]:
            await asyncio.sleep(0.05)
    assert team.positions == expected
    code, said = await server.command("audit")
    assert code == 0, said
    if server.database_url.startswith("sqlite"):
        assert await server.rows("PRAGMA integrity_check") == [("ok",)]
    await server.stop()


async def _noted(server: Process) -> tuple[int, int]:
    """Events of tracking links: how many, and how many different ones."""
    found = await server.rows(
        "SELECT COUNT(*), COUNT(DISTINCT dedupe_key) FROM engagements WHERE dedupe_key LIKE 't:%'"
    )
    return (found[0][0], found[0][1])


def only_writing_failed(account: AnswerLog) -> None:
    assert account.undone
    assert not account.unsure
    assert account.codes["query failed"] == account.codes["not ready"] == 0


async def test_file_that_cannot_grow_refuses_writes_and_loses_nothing(sqlite_url: str) -> None:
    async with furnished(sqlite_url) as team:

        async def full() -> None:
            team.server.limit_files(1)

        async def room() -> None:
            team.server.limit_files(resource.RLIM_INFINITY)

        only_writing_failed(await suffer(team, full, room, timedelta(seconds=4)))


def mounted(folder: Path) -> bool:
    """Whether a file system of 12 MB could be mounted there."""
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        if not mounted(Path(folder)):
            return False
        unmount(Path(folder))
        return True


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    assert mounted(folder)
    yield folder
    unmount(folder)


async def full_disk(small_disk: Path, sqlite_url: str) -> None:
    path = shutil.copy(sqlite_path(sqlite_url), small_disk)
    async with furnished(f"sqlite:///{path}") as team:
        filler = small_disk / "filler"

        async def full() -> None:
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))

        async def room() -> None:
            filler.unlink()

        only_writing_failed(await suffer(team, full, room, timedelta(seconds=4)))


if may_mount():
    # Whoever may not has the limit of the test above, which works everywhere.
    test_a_full_disk_refuses_writes_and_loses_nothing = full_disk


async def test_a_read_only_file_is_read_and_later_written_again(sqlite_url: str) -> None:
    async with furnished(sqlite_url) as team:
        await team.server.stop()
        files = [Path(f"{team.server.path}{suffix}") for suffix in ("", "-wal", "-shm")]
        files[0].chmod(0o444)
        await team.server.start()

        async def nothing() -> None:
            pass

        async def permit() -> None:
            for file in files:
                file.chmod(0o644)

        only_writing_failed(await suffer(team, nothing, permit, timedelta(seconds=4)))


async def test_a_lock_is_waited_for_up_to_the_timeout(sqlite_url: str) -> None:
    async with furnished(sqlite_url) as team:
        other = sqlite3.connect(team.server.path, isolation_level=None, timeout=5)

        async def lock() -> None:
            other.execute("BEGIN EXCLUSIVE")

        async def release() -> None:
            other.execute("ROLLBACK")
            other.close()

        only_writing_failed(await suffer(team, lock, release, timedelta(seconds=14)))


@pytest.fixture(scope="module")
def postgres(all_databases: Databases) -> Iterator[Postgres]:
    with all_databases.apart() as made:
        yield made


async def test_a_database_that_is_gone_is_found_again(postgres: Postgres) -> None:
    async with furnished(postgres.make()) as team:

        async def stop() -> None:
            await asyncio.to_thread(postgres.stop)

        async def start() -> None:
            await asyncio.to_thread(postgres.start)

        account = await suffer(team, stop, start, timedelta(seconds=5))
        assert account.codes["query failed"]
        assert account.codes["not ready"]


async def test_an_unresponsive_database_is_not_waited_for(postgres: Postgres) -> None:
    async with furnished(postgres.make()) as team:

        async def hang() -> None:
            postgres.hang()

        async def go_on() -> None:
            postgres.go_on()

        account = await suffer(team, hang, go_on, timedelta(seconds=16))
        assert account.codes["query failed"]
        assert account.codes["not ready"]
        assert account.longest["readiness"] < 4


async def test_a_server_that_became_a_standby_is_read_and_not_written(postgres: Postgres) -> None:
    async with furnished(postgres.make()) as team:

        async def read_only() -> None:
            await asyncio.to_thread(postgres.setting, "default_transaction_read_only", "on")

        async def writable() -> None:
            await asyncio.to_thread(postgres.setting, "default_transaction_read_only", "off")

        only_writing_failed(await suffer(team, read_only, writable, timedelta(seconds=4)))
