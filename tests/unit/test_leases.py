"""One matcher for one database: whoever has the lease works, the others wait, and who lost it writes nothing."""

import asyncio

import asyncpg
import pytest

from command_center.database.connections import database
from command_center.lists.invalidations import StaleBatch, claim_invalidations
from command_center.server.leases import LeaseHeld, LeaseLost, hold_lease
from models.enums import ChangeCauseKind, InvalidationKind
from tests.support.searches import MEMBERS, RECORD, create_email, make_event, save_search
from tests.support.server import Server, serving

pytestmark = pytest.mark.slow


async def test_only_one_has_the_lease_and_the_next_gets_it_after(database_url: str) -> None:
    async with hold_lease(database_url):
        with pytest.raises(LeaseHeld):
            async with hold_lease(database_url, wait=False):
                pass
    async with asyncio.timeout(5), hold_lease(database_url, wait=False):
        pass


async def test_a_lease_whose_session_ends_is_lost_and_can_be_retaken(postgres_url: str) -> None:
    async with hold_lease(postgres_url) as held:
        watching = asyncio.create_task(held())
        await _end_sessions(postgres_url)
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(watching, 10)
    async with asyncio.timeout(10), hold_lease(postgres_url):
        pass


async def test_a_worker_continues_after_its_sessions_were_ended(postgres_url: str) -> None:
    async with serving(postgres_url) as server:
        ann = await server.client("Ann")
        mail, search = await create_email(ann), await save_search(ann, {"engagement": [{"kind": "VIEW"}]})
        await _end_sessions(postgres_url)
        while True:
            answer = await ann.raw(RECORD, e=[make_event(mail, "VIEW", "1")])
            if not answer.get("errors"):
                break
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAVAILABLE"]
            await asyncio.sleep(0.1)
        # Every connection of the pool was ended, and each is found out by whoever gets it next.
        async with asyncio.timeout(20):
            while True:
                answer = await ann.raw(MEMBERS, id=search)
                if not answer.get("errors") and answer["data"]["savedSearch"]["memberCount"] == 1:
                    break
                assert all(error["extensions"]["code"] == "UNAVAILABLE" for error in answer.get("errors", ()))
                await asyncio.sleep(0.05)


async def test_a_stale_batch_is_not_written(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    await create_email(ann)
    marks = [row["id"] for row in await database().fetch("SELECT id FROM invalidations")]
    await quiet_server.settle()
    with pytest.raises(StaleBatch):
        await _decide_late(quiet_server, marks)
    assert await database().fetch("SELECT id FROM invalidations") == []


async def _decide_late(server: Server, marks: list[int]) -> None:
    async with server.engine.ctx.writer.unit_of_work() as uow:
        uow.invalidate(InvalidationKind.EMAIL, 1, 1, ChangeCauseKind.CLOCK)
        await claim_invalidations(uow.connection, marks)


async def _end_sessions(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()
