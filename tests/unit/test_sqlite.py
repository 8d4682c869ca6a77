"""SQLite as this product runs it: durable, one writer whose transactions begin at once, readers that never wait."""

import asyncio
import contextvars
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_center.database.connections import Row, database, open_database, sqlite_path, transaction
from command_center.database.errors import Unavailable
from command_center.database.sqlite import checkpoints
from command_center.database.sqlite.client import READER_COUNT
from tests.support.paths import ROOT

WRITER = """
import asyncio, sys
from command_center.database.connections import open_database, transaction
async def main():
    async with open_database(sys.argv[1]):
        for _ in range(100):
            async with transaction() as tx:
                row = await tx.fetch_one("SELECT position FROM change_logs WHERE team_id = 1")
                await tx.execute("UPDATE change_logs SET position = ? WHERE team_id = 1", row["position"] + 1)
asyncio.run(main())
"""


async def a_team() -> None:
    async with transaction() as tx:
        await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (1, 'T', 0)")
        await tx.execute("INSERT INTO change_logs (team_id, log_id, position, trimmed_to) VALUES (1, 'x', 0, 0)")


async def test_a_commit_is_on_the_disk_before_it_returns(sqlite_url: str) -> None:
    async with open_database(sqlite_url), transaction() as tx:
        assert await tx.fetch("PRAGMA synchronous") == [{"synchronous": 2}]
        assert await tx.fetch("PRAGMA journal_mode") == [{"journal_mode": "wal"}]
        assert await tx.fetch("PRAGMA foreign_keys") == [{"foreign_keys": 1}]


async def test_readers_do_not_wait_for_the_writer_and_see_commits(sqlite_url: str) -> None:
    async with open_database(sqlite_url):
        await a_team()
        async with transaction() as tx:
            await tx.execute("UPDATE teams SET name = 'U'")
            # In a context of its own: a task that began inside the transaction would be part of it.
            outside = asyncio.get_running_loop().create_task(_names(), context=contextvars.Context())
            assert await asyncio.wait_for(outside, 5) == ["T"]
        assert await _names() == ["U"]


async def test_three_readers_read_at_once(sqlite_url: str) -> None:
    slow = (
        "SELECT COUNT(*) AS n FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 400000)"
        " SELECT x FROM c)"
    )
    async with open_database(sqlite_url):
        await asyncio.gather(*(database().fetch("SELECT 1 AS one") for _ in range(3)))
        long = [asyncio.create_task(database().fetch(slow)) for _ in range(2)]
        began = time.perf_counter()
        await database().fetch("SELECT 1 AS one")
        waited = time.perf_counter() - began
        assert not all(task.done() for task in long)
        await asyncio.gather(*long)
        assert waited < time.perf_counter() - began


def in_the_file_alone(url: str) -> list[str]:
    """The names of the teams as the file itself has them, without its WAL."""
    connection = sqlite3.connect(f"file:{sqlite_path(url)}?immutable=1", uri=True)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM teams")]
    finally:
        connection.close()


async def renamed(url: str, name: str) -> None:
    """Waits until the file has a name that was committed to the WAL."""
    await asyncio.sleep(0.05)
    async with transaction() as tx:
        await tx.execute("UPDATE teams SET name = ?", name)
    async with asyncio.timeout(10):
        while in_the_file_alone(url) != [name]:
            await asyncio.sleep(0.01)


async def test_commits_are_checkpointed_into_the_file_beside_writers(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "DELAY_SECONDS", 0.01)
    async with open_database(sqlite_url):
        await a_team()
        for name in ("U", "V", "W"):
            await renamed(sqlite_url, name)


@pytest.mark.slow
async def test_a_long_wal_is_restarted(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "DELAY_SECONDS", 0.01)
    monkeypatch.setattr(checkpoints, "MAX_WAL_PAGES", 20)
    wal = Path(f"{sqlite_path(sqlite_url)}-wal")
    async with open_database(sqlite_url):
        await a_team()
        for number in range(60):
            await renamed(sqlite_url, f"{number}")
        # Each writes two pages; as nobody reads for long, there were never more than some twenty.
        assert wal.stat().st_size < 60 * 2 * 4096


async def test_a_file_is_closed_while_it_is_being_copied(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "DELAY_SECONDS", 0.0)
    for number in range(20):
        async with open_database(sqlite_url):
            if not number:
                await a_team()
            async with transaction() as tx:
                await tx.execute("UPDATE teams SET name = ?", f"{number}")
            await asyncio.sleep(number / 10_000)
        assert in_the_file_alone(sqlite_url) == [f"{number}"]


async def test_a_reader_cannot_write(sqlite_url: str) -> None:
    from command_center.database.sqlite.client import SqliteClient

    async with open_database(sqlite_url) as context:
        client = context.db()
        assert isinstance(client, SqliteClient)
        async with client.reader() as reader:
            with pytest.raises(Exception, match="readonly"):
                await reader.execute("DELETE FROM teams")


@pytest.mark.slow
async def test_processes_that_read_and_then_write_do_not_conflict(sqlite_url: str) -> None:
    async with open_database(sqlite_url):
        await a_team()
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, sqlite_url], cwd=ROOT) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    async with open_database(sqlite_url):
        assert await database().fetch("SELECT position FROM change_logs") == [{"position": 300}]


def test_three_slashes_are_a_relative_path_and_four_an_absolute() -> None:
    assert sqlite_path("sqlite:///a.db") == "a.db"
    assert sqlite_path("sqlite:////var/a.db") == "/var/a.db"


async def _names() -> list[str]:
    return [row["name"] for row in await database().fetch("SELECT name FROM teams")]


async def test_a_cancelled_write_releases_the_write_lock(sqlite_url: str) -> None:
    async def write() -> None:
        async with transaction() as tx:
            await tx.execute("UPDATE teams SET name = name")

    async with open_database(sqlite_url):
        for turns in range(60):
            task = asyncio.create_task(write())
            for _ in range(turns % 12):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(5):
            await write()


async def test_a_write_that_cannot_begin_fails_alone(sqlite_url: str) -> None:
    other = sqlite3.connect(sqlite_path(sqlite_url), isolation_level=None)
    async with open_database(sqlite_url, timeout_seconds=0.05):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="SQLITE_BUSY") as failed:
            async with transaction():
                pass
        assert failed.value.rolled_back
        other.execute("ROLLBACK")
        other.close()
        async with asyncio.timeout(5):
            await a_team()
        assert await _names() == ["T"]


async def _glance(sql: str) -> list[Row]:
    return await database().fetch_inline(sql)


@pytest.mark.parametrize("total", [1_000_000, 128_000_000])
async def test_all_page_caches_together_take_what_is_allowed(sqlite_url: str, total: int) -> None:
    size = "SELECT cache_size AS size FROM pragma_cache_size"
    async with open_database(sqlite_url, cache_bytes=total):
        outside = contextvars.copy_context()
        async with transaction() as tx:
            sizes = [(await tx.fetch(size))[0]["size"]]
            # While somebody writes, a single row is read from a connection for that.
            glance = asyncio.create_task(_glance(size), context=outside)
            sizes += [row["size"] for row in await glance]
        # Each reader is busy until all of them are.
        reading = await asyncio.gather(*(database().fetch(size) for _ in range(READER_COUNT)))
        sizes += [rows[0]["size"] for rows in reading]
    assert all(each < 0 for each in sizes)
    assert 0.99 * total < -1024 * sum(sizes) <= total
