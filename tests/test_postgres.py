"""PostgreSQL as this product uses it: a statement has its time, a connection that failed is replaced, and of a commit
that got no answer nobody claims to know how it ended."""

import asyncio
import contextvars

import asyncpg
import pytest

from models.database import database, opened, transaction
from models.unavailable import OutcomeUnknown, Unavailable, unhurried

SLOW_COMMIT = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON teams DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION slow();
"""
MANY = 12
"""More than the pool holds."""


async def _team(key: int = 1) -> None:
    async with transaction() as tx:
        await tx.run("INSERT INTO teams (id, name, created_at) VALUES (?, ?, 0)", key, f"T{key}")


async def _end_sessions(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def test_a_statement_that_takes_too_long_fails_and_nothing_of_its_transaction_remains(postgres_url: str) -> None:
    async with opened(postgres_url, patience=0.3):
        for key in range(MANY):
            with pytest.raises(Unavailable, match="no answer in time") as failed:
                await _slowly(key + 1)
            assert failed.value.undone
        assert await database().rows("SELECT id FROM teams") == []
        await _team()


async def test_work_that_nobody_waits_for_may_take_its_time(postgres_url: str) -> None:
    async with opened(postgres_url, patience=0.2):
        with unhurried():
            await database().rows("SELECT pg_sleep(0.5)")


async def test_who_waits_for_a_lock_waits_no_longer_than_for_anything(postgres_url: str) -> None:
    async with opened(postgres_url, patience=0.5):
        await _team()
        async with transaction() as tx:
            await tx.rows("SELECT id FROM teams FOR UPDATE")
            # In a context of its own: a task that began inside the transaction would be part of it.
            other = asyncio.get_running_loop().create_task(_rename(), context=contextvars.Context())
            with pytest.raises(Unavailable):
                await asyncio.wait_for(other, 5)
        await _rename()


async def _slowly(key: int) -> None:
    async with transaction() as tx:
        await tx.run("INSERT INTO teams (id, name, created_at) VALUES (?, 'X', 0)", key)
        await tx.rows("SELECT pg_sleep(30)")


async def _interrupted(operator: asyncpg.Connection, late: bool) -> None:
    """Its session is ended before its last statement, or before its commit."""
    async with transaction() as tx:
        await tx.run("INSERT INTO teams (id, name, created_at) VALUES (1000, 'X', 0)")
        await _end_sessions(operator)
        # A moment, so that the end of the session has come through.
        await asyncio.sleep(0.02)
        if not late:
            await tx.rows("SELECT 1 AS one")


async def _rename() -> None:
    async with transaction() as tx:
        await tx.run("UPDATE teams SET name = 'U'")


async def test_connections_that_were_ended_are_replaced_however_often(postgres_url: str) -> None:
    operator = await asyncpg.connect(postgres_url)
    async with opened(postgres_url, patience=5):
        for key in range(MANY):
            for late in (False, True):
                with pytest.raises(Unavailable) as failed:
                    await _interrupted(operator, late)
                assert failed.value.undone
            await _team(key + 1)
        assert len(await database().rows("SELECT id FROM teams")) == MANY
    await operator.close()


async def test_of_a_commit_that_got_no_answer_nobody_claims_to_know_how_it_ended(postgres_url: str) -> None:
    operator = await asyncpg.connect(postgres_url)
    await operator.execute(SLOW_COMMIT)
    async with opened(postgres_url, patience=5):
        committing = asyncio.create_task(_team())
        while not await operator.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COMMIT%'"):
            await asyncio.sleep(0.02)
        await _end_sessions(operator)
        with pytest.raises(OutcomeUnknown) as failed:
            await committing
        assert not failed.value.undone
        await operator.execute("DROP TRIGGER slow ON teams")
        await _team()
    await operator.close()


async def test_a_commit_that_the_server_refuses_was_not_done(postgres_url: str) -> None:
    operator = await asyncpg.connect(postgres_url)
    await operator.execute(SLOW_COMMIT)
    async with opened(postgres_url, patience=5):
        committing = asyncio.create_task(_team())
        while not await operator.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COMMIT%'"):
            await asyncio.sleep(0.02)
        await operator.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COMMIT%'")
        with pytest.raises(Unavailable) as failed:
            await committing
        assert failed.value.undone
        assert await database().rows("SELECT id FROM teams") == []
    await operator.close()
