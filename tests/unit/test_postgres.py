"""PostgreSQL as this product uses it: a statement has its time, a connection that failed is replaced, and of a commit
that got no answer nobody claims to know how it ended."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from command_center.database.connections import (
    Connection,
    database,
    open_database,
    run_in_transaction,
    run_snapshot,
    transaction,
)
from command_center.database.errors import OutcomeUnknown, Unavailable, long_timeout
from tests.support.cancellation import cancel_repeatedly

SLOW_COMMIT = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON teams DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION slow();
"""
MANY = 12
"""More than the pool holds."""


Work = Callable[[Connection], Awaitable[None]]
Way = Callable[[Work], Awaitable[None]]


async def _by_steps(work: Work) -> None:
    async with transaction() as tx:
        await work(tx)


async def _in_one_go(work: Work) -> None:
    async def carry_out(tx: Connection) -> None:
        await work(tx)

    await run_in_transaction(carry_out)


@pytest.fixture(params=[_by_steps, _in_one_go], ids=["by steps", "in one go"])
def way(request: pytest.FixtureRequest) -> Way:
    """How a transaction is carried out."""
    chosen: Way = request.param
    return chosen


async def _team(way: Way, key: int = 1) -> None:
    async def insert(tx: Connection) -> None:
        await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (?, ?, 0)", key, f"T{key}")

    await way(insert)


@asynccontextmanager
async def _operator(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_statement_over_its_timeout_fails_with_its_transaction(postgres_url: str, way: Way) -> None:
    async def slowly(tx: Connection) -> None:
        await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (7, 'X', 0)")
        await tx.fetch("SELECT pg_sleep(30)")

    async def look(connection: Connection) -> None:
        await connection.fetch("SELECT pg_sleep(30)")

    async with open_database(postgres_url, timeout_seconds=0.3):
        for _ in range(MANY):
            with pytest.raises(Unavailable, match="no answer in time") as failed:
                await way(slowly)
            assert failed.value.rolled_back
            with pytest.raises(Unavailable, match="no answer in time"):
                await run_snapshot(look)
        assert await database().fetch("SELECT id FROM teams") == []
        await _team(way)


async def test_background_work_has_no_statement_timeout(postgres_url: str) -> None:
    async def look(connection: Connection) -> None:
        await connection.fetch("SELECT pg_sleep(0.5)")

    async with open_database(postgres_url, timeout_seconds=0.2):
        with long_timeout():
            await database().fetch("SELECT pg_sleep(0.5)")
            await run_snapshot(look)


async def test_lock_waits_have_the_statement_timeout(postgres_url: str, way: Way) -> None:
    async def rename(tx: Connection) -> None:
        await tx.execute("UPDATE teams SET name = 'U'")

    async with open_database(postgres_url, timeout_seconds=0.5):
        await _team(way)
        async with transaction() as tx:
            await tx.fetch("SELECT id FROM teams FOR UPDATE")
            # In a context of its own: a task that began inside the transaction would be part of it.
            other = asyncio.get_running_loop().create_task(_carry_out(way, rename), context=contextvars.Context())
            with pytest.raises(Unavailable):
                await asyncio.wait_for(other, 5)
        await way(rename)


async def _carry_out(way: Way, work: Work) -> None:
    await way(work)


async def _end_sessions(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def test_connections_that_were_ended_are_replaced_however_often(postgres_url: str, way: Way) -> None:
    async def interrupted(tx: Connection, late: bool) -> None:
        """Its session is ended before its last statement, or before its commit."""
        await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (1000, 'X', 0)")
        await _end_sessions(operator)
        # A moment, so that the end of the session has come through.
        await asyncio.sleep(0.02)
        if not late:
            await tx.fetch("SELECT 1 AS one")

    async with _operator(postgres_url) as operator, open_database(postgres_url, timeout_seconds=5):
        for key in range(MANY):
            for late in (False, True):
                with pytest.raises(Unavailable) as failed:
                    await way(lambda tx, late=late: interrupted(tx, late))  # type: ignore[misc]
                assert failed.value.rolled_back
            await _team(way, key + 1)
        assert len(await database().fetch("SELECT id FROM teams")) == MANY


async def test_a_cancelled_statement_leaves_a_usable_connection(postgres_url: str, way: Way) -> None:
    async def slowly(tx: Connection) -> None:
        await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (7, 'X', 0)")
        await tx.fetch("SELECT pg_sleep(30)")

    async with open_database(postgres_url, timeout_seconds=5):
        await cancel_repeatedly(lambda: _carry_out(way, slowly))
        async with asyncio.timeout(5):
            await _team(way)
        assert [row["id"] for row in await database().fetch("SELECT id FROM teams")] == [1]


async def test_cancelling_a_rollback_leaves_a_clean_connection(postgres_url: str, way: Way) -> None:
    async def slowly(tx: Connection) -> None:
        await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (7, 'X', 0)")
        await tx.fetch("SELECT pg_sleep(30)")

    async with open_database(postgres_url, timeout_seconds=5):
        for turns in range(MANY):
            task = asyncio.create_task(_carry_out(way, slowly))
            await asyncio.sleep(0.05)
            for _ in range(2):
                task.cancel()
                for _ in range(turns):
                    await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            await _team(way, 100 + turns)
        assert len(await database().fetch("SELECT id FROM teams WHERE id >= 100")) == MANY
        assert await database().fetch("SELECT id FROM teams WHERE id = 7") == []


async def _committing(way: Way, operator: asyncpg.Connection) -> "asyncio.Task[None]":
    """A commit that the server is at."""
    task = asyncio.create_task(_team(way))
    while not await operator.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COMMIT%'"):
        await asyncio.sleep(0.02)
    return task


async def test_a_commit_without_a_response_has_an_unknown_outcome(postgres_url: str, way: Way) -> None:
    async with _operator(postgres_url) as operator, open_database(postgres_url, timeout_seconds=5):
        await operator.execute(SLOW_COMMIT)
        committing = await _committing(way, operator)
        await _end_sessions(operator)
        with pytest.raises(OutcomeUnknown) as failed:
            await committing
        assert not failed.value.rolled_back
        await operator.execute("DROP TRIGGER slow ON teams")
        await _team(way)


async def test_a_commit_that_the_server_refuses_was_not_done(postgres_url: str, way: Way) -> None:
    async with _operator(postgres_url) as operator, open_database(postgres_url, timeout_seconds=5):
        await operator.execute(SLOW_COMMIT)
        committing = await _committing(way, operator)
        await operator.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COMMIT%'")
        with pytest.raises(Unavailable) as failed:
            await committing
        assert failed.value.rolled_back
        assert await database().fetch("SELECT id FROM teams") == []


async def test_an_ignored_error_is_not_taken_for_a_success(postgres_url: str) -> None:
    async def heedless(tx: Connection) -> None:
        await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (7, 'X', 0)")
        with suppress(asyncpg.PostgresError):
            await tx.execute("SELECT nothing")

    async with open_database(postgres_url):
        with pytest.raises(Unavailable, match="rolled the transaction back") as failed:
            await _in_one_go(heedless)
        assert failed.value.rolled_back
        assert await database().fetch("SELECT id FROM teams") == []


async def test_reads_of_a_snapshot_are_consistent(postgres_url: str) -> None:
    async with open_database(postgres_url), _operator(postgres_url) as operator:
        await _team(_in_one_go)

        async def look(connection: Connection) -> list[str]:
            seen = []
            for _ in range(2):
                seen += [row["name"] for row in await connection.fetch("SELECT name FROM teams")]
                await operator.execute("UPDATE teams SET name = name || 'U'")
            return seen

        assert await run_snapshot(look) == ["T1", "T1"]


async def test_lookups_by_key_use_an_index_even_if_planned_when_empty(
    postgres_url: str,
) -> None:
    async def scans(tx: Connection) -> int:
        await tx.fetch(f"SELECT name FROM teams WHERE {tx.in_any('id')}", tx.array_param([1]))
        row = await tx.fetch_one("SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'teams'")
        return int(row["seq_tup_read"]) if row else 0

    async with open_database(postgres_url):
        assert await run_in_transaction(scans) == 0
        await database().execute(
            "INSERT INTO teams (id, name, created_at) SELECT n, 'T' || n, 0 FROM generate_series(1, 10000) AS n"
        )
        assert [await run_in_transaction(scans) for _ in range(MANY)] == [0] * MANY
