"""Several statements in one go, on both databases: all of them or none, in time, and for nothing but the connection."""

import asyncio
import contextvars
import sqlite3
import threading

import pytest
from tortoise.exceptions import IntegrityError, OperationalError

from command_center.database.connections import (
    Connection,
    database,
    open_database,
    run_in_transaction,
    run_indexed_reads,
    run_snapshot,
    sqlite_path,
    transaction,
)
from command_center.database.errors import Unavailable
from tests.support.cancellation import cancel_repeatedly

TYPES = {"id": "bigint", "name": "text", "created_at": "bigint"}
SLOW = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c"


async def a_team(tx: Connection) -> int:
    await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (1, 'T', 0)")
    row = await tx.fetch_one("SELECT COUNT(*) AS n FROM teams")
    return int(row["n"]) if row else 0


async def names() -> list[str]:
    return [row["name"] for row in await database().fetch("SELECT name FROM teams ORDER BY id")]


async def test_a_transaction_body_is_committed_and_returns_its_result(database_url: str) -> None:
    async with open_database(database_url):
        assert await run_in_transaction(a_team) == 1
        assert await names() == ["T"]


async def test_a_failed_transaction_leaves_nothing(database_url: str) -> None:
    async def fail(tx: Connection) -> None:
        await a_team(tx)
        raise LookupError("not so")

    async def twice(tx: Connection) -> None:
        await a_team(tx)
        await a_team(tx)

    async def nonsense(tx: Connection) -> None:
        await a_team(tx)
        await tx.execute("SELECT nothing")

    async with open_database(database_url):
        for work, failure in ((fail, LookupError), (twice, IntegrityError), (nonsense, OperationalError)):
            with pytest.raises(failure):
                await run_in_transaction(work)
        assert await names() == []
        assert await run_in_transaction(a_team) == 1


async def test_a_body_that_awaits_something_else_is_refused_and_undone(sqlite_url: str) -> None:
    async def wait(tx: Connection) -> None:
        await a_team(tx)
        await asyncio.sleep(0)

    async with open_database(sqlite_url):
        with pytest.raises(RuntimeError, match="nothing else"):
            await run_in_transaction(wait)
        assert await names() == []


async def test_reads_of_a_snapshot_are_consistent(sqlite_url: str) -> None:
    async with open_database(sqlite_url):
        await run_in_transaction(a_team)
        other = sqlite3.connect(sqlite_path(sqlite_url), isolation_level=None)

        async def look(connection: Connection) -> list[str]:
            seen: list[str] = []
            for _ in range(2):
                seen += [row["name"] for row in await connection.fetch("SELECT name FROM teams")]
                write = sqlite3.connect(sqlite_path(sqlite_url), isolation_level=None)
                write.execute("UPDATE teams SET name = 'U'")
                write.close()
            return seen

        assert await run_snapshot(look) == ["T", "T"]
        assert await names() == ["U"]
        other.close()


async def test_a_transaction_over_its_timeout_is_rolled_back(sqlite_url: str) -> None:
    async def long(tx: Connection) -> None:
        await a_team(tx)
        await tx.fetch(SLOW)

    async def endless(tx: Connection) -> None:
        while True:
            await tx.fetch("SELECT 1")

    async with open_database(sqlite_url, timeout_seconds=0.3):
        for work in (long, endless):
            with pytest.raises(Unavailable) as failed:
                await run_in_transaction(work)
            assert failed.value.rolled_back
        for work in (long, endless):
            with pytest.raises((Unavailable, OperationalError)):
                await run_snapshot(work)
        assert await names() == []
        assert await run_in_transaction(a_team) == 1


async def test_a_cancelled_transaction_releases_the_write_lock(sqlite_url: str) -> None:
    async def long(tx: Connection) -> None:
        await tx.fetch(SLOW)

    async with open_database(sqlite_url):
        await cancel_repeatedly(lambda: run_in_transaction(long))
        async with asyncio.timeout(5):
            assert await run_in_transaction(a_team) == 1


async def test_another_writing_process_is_waited_for_up_to_the_timeout(sqlite_url: str) -> None:
    other = sqlite3.connect(sqlite_path(sqlite_url), isolation_level=None)
    async with open_database(sqlite_url, timeout_seconds=0.2):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="SQLITE_BUSY") as failed:
            await run_in_transaction(a_team)
        assert failed.value.rolled_back
        waiting = asyncio.create_task(run_in_transaction(a_team))
        await asyncio.sleep(0.05)
        other.execute("ROLLBACK")
        assert await waiting == 1
        other.close()


async def test_rows_are_handed_over_as_a_whole(database_url: str) -> None:
    odd = "'; \"\\ \u2028 ä \U0001f600"

    async def insert(tx: Connection) -> list[object]:
        rows = [(key, f"{odd}{key}", 2**60 + key) for key in range(1, 3001)]
        await tx.insert("teams", TYPES, rows)
        again = [(key, f"{odd}{key}", 0) for key in range(2999, 3003)]
        made = await tx.insert("teams", TYPES, again, "ON CONFLICT (id) DO NOTHING", ("id", "name"))
        for changed in ([(1, odd, 7), (3002, odd + odd, 8)], [(key, f"{odd}!{key}", 7) for key in range(10, 20)]):
            given, values = tx.values_table(TYPES, changed)
            await tx.execute(
                f"UPDATE teams SET name = new_values.name, created_at = new_values.created_at FROM {given}"
                " WHERE teams.id = new_values.id",
                *values,
            )
        return [tuple(row) for row in made]

    async with open_database(database_url):
        assert await run_in_transaction(insert) == [(3001, f"{odd}3001"), (3002, f"{odd}3002")]
        rows = await database().fetch_tuples(("id", "name", "created_at"), "SELECT id, name, created_at FROM teams")
        found = {key: (name, at) for key, name, at in rows}
        assert len(found) == 3002
        assert (found[1], found[2], found[3002]) == ((odd, 7), (f"{odd}2", 2**60 + 2), (odd + odd, 8))
        assert (found[9], found[10], found[19]) == ((f"{odd}9", 2**60 + 9), (f"{odd}!10", 7), (f"{odd}!19", 7))
        assert await database().fetch_tuples(("id",), "SELECT id FROM teams WHERE id < 0") == []


async def test_an_inline_read_sees_commits_and_its_own_transaction(database_url: str) -> None:
    look = "SELECT name FROM teams WHERE id = ?"

    async def inside(tx: Connection) -> list[dict[str, object]]:
        await a_team(tx)
        return await tx.fetch_inline(look, 1)

    async with open_database(database_url):
        assert await database().fetch_inline(look, 1) == []
        assert await run_in_transaction(inside) == [{"name": "T"}]
        async with transaction() as tx:
            await tx.execute("UPDATE teams SET name = 'U'")
            assert await tx.fetch_inline(look, 1) == await database().fetch_inline(look, 1) == [{"name": "U"}]
        assert await database().fetch_inline(look, 1) == [{"name": "U"}]


async def test_an_inline_read_that_must_wait_uses_another_connection(sqlite_url: str) -> None:
    other = sqlite3.connect(sqlite_path(sqlite_url), isolation_level=None)
    async with open_database(sqlite_url, timeout_seconds=5):
        await run_in_transaction(a_team)
        with pytest.raises(OperationalError, match="no such table"):
            await database().fetch_inline("SELECT name FROM absent")
        assert await database().fetch_inline("SELECT name FROM teams") == [{"name": "T"}]
    # Nobody else has the file open, so it can be had for oneself alone.
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE teams SET name = 'U'")
    other.execute("COMMIT")
    other.close()
    async with open_database(sqlite_url):
        assert await database().fetch_inline("SELECT name FROM teams") == [{"name": "U"}]


async def test_an_indexed_read_runs_inline_if_fast_and_else_elsewhere(sqlite_url: str) -> None:
    here, threads = threading.get_ident(), list[int]()
    much = SLOW.replace("FROM c)", "FROM c WHERE x < 1000000)")

    async def few(connection: Connection) -> list[str]:
        threads.append(threading.get_ident())
        return [row["name"] for row in await connection.fetch("SELECT name FROM teams")]

    async def many(connection: Connection) -> list[str]:
        await connection.fetch(much)
        return await few(connection)

    async def write(tx: Connection) -> None:
        # Whatever was lent for a moment may take its time again.
        await tx.fetch(much)
        await tx.execute("UPDATE teams SET name = 'U'")

    async with open_database(sqlite_url):
        await run_in_transaction(a_team)
        assert await run_indexed_reads(few) == ["T"]
        async with transaction() as tx:
            await tx.execute("UPDATE teams SET name = 'V'")
            outside = contextvars.Context()
            # The connection that writes is not to be had, and would tell what nobody has committed.
            assert await asyncio.get_running_loop().create_task(run_indexed_reads(few), context=outside) == ["T"]
        assert await run_indexed_reads(few) == ["V"]
        assert threads == [here, here, here]
        assert await run_indexed_reads(many) == ["V"]
        assert threads[3:] != [here]
        await run_in_transaction(write)
        assert await names() == ["U"]
