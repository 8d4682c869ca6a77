"""Two matchers on one database: the one that started first is refused by the lease's epoch and leaves no list wrong."""

import asyncio
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from command_center.database.connections import Connection, database, open_database, run_in_transaction, transaction
from command_center.lists import audit
from command_center.lists.fencing import LeaseTaken, check_epoch, take_lease
from command_center.lists.matcher import Matcher
from models.enums import Role
from tests.support.postgres_locks import has_new_lock_waiter, wait_until
from tests.support.searches import MEMBERS, RECORD, create_email, make_event, save_search
from tests.support.server import Client, ManualClock, Server, serving

DELETE = "mutation($id:ID!){savedSearchDelete(id:$id){deletedIds}}"
REFINE = "mutation($id:ID!,$f:EmailFilter!){savedSearchRefine(id:$id,filter:$f){userErrors{code}}}"
VIEWED: dict[str, Any] = {"engagement": [{"kind": "VIEW"}]}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
WRITTEN = ("memberships", "saved_searches", "changes", "change_logs", "invalidations", "matcher_state")


async def started(server: Server) -> Matcher:
    """One more matcher, which has taken the lease."""
    matcher = Matcher(server.engine.ctx.writer)
    await matcher.start()
    return matcher


async def test_after_a_takeover_the_old_matcher_loses_no_member(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_email(ann)
    first = await started(quiet_server)
    await first.settle()
    second = await started(quiet_server)
    search = await save_search(ann, VIEWED)
    await second.settle()
    # The first matcher has never read this list, and would remove the only note of the view.
    await ann.one(RECORD, e=[make_event(mail, "VIEW", "1", LONG_AGO)])
    with pytest.raises(LeaseTaken):
        await first.process_batch()
    await first.settle()
    await second.settle()
    assert (await ann.one(MEMBERS, id=search))["memberCount"] == 1
    assert await audit.find_differences(quiet_server.engine.ctx.writer) == []


async def _event(server: Server, ann: Client, mail: str, search: str) -> None:
    await ann.one(RECORD, e=[make_event(mail, "VIEW", "1", LONG_AGO)])


async def _new_list(server: Server, ann: Client, mail: str, search: str) -> None:
    await save_search(ann, {"createdAt": {"within": "P1D"}}, "New")


async def _refined_list(server: Server, ann: Client, mail: str, search: str) -> None:
    await ann.one(REFINE, id=search, f={"success": False})


async def _deleted_list(server: Server, ann: Client, mail: str, search: str) -> None:
    await ann.one(DELETE, id=search)


async def _changed_rights(server: Server, ann: Client, mail: str, search: str) -> None:
    await server.user("Ann", role=Role.ADMIN)


async def _passing_time(server: Server, ann: Client, mail: str, search: str) -> None:
    clock = server.engine.ctx.writer.clock
    assert isinstance(clock, ManualClock)
    clock.advance(timedelta(minutes=2))


async def test_a_matcher_whose_lease_was_taken_writes_nothing_at_all(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    mail, search = await create_email(ann), await save_search(ann, {"not": VIEWED} | {"createdAt": {"within": "PT1M"}})
    for change in (_event, _new_list, _refined_list, _changed_rights, _passing_time, _deleted_list):
        stale = await started(quiet_server)
        await stale.settle()
        await started(quiet_server)
        await change(quiet_server, ann, mail, search)
        before = await _rows()
        with pytest.raises(LeaseTaken):
            await _look_and_wait(stale)
        assert await _rows() == before, change.__name__
    await quiet_server.settle()
    assert await audit.find_differences(quiet_server.engine.ctx.writer) == []


async def _look_and_wait(matcher: Matcher) -> None:
    await matcher.process_batch()
    await matcher.wait_for_set_aside()


async def _rows() -> dict[str, list[dict[str, Any]]]:
    return {table: await database().fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in WRITTEN}


async def test_a_takeover_waits_for_a_pass_and_a_pass_for_a_takeover(postgres_url: str) -> None:
    async with open_database(postgres_url):
        epoch = await run_in_transaction(take_lease)
        outside = copy_context()
        async with transaction() as tx:
            await check_epoch(tx, epoch)
            taking = asyncio.create_task(_taken(), context=outside)
            await wait_until(has_new_lock_waiter)
            assert not taking.done()
        assert await taking == epoch + 1


async def test_a_statement_that_began_before_a_takeover_is_refused(postgres_url: str) -> None:
    async with serving(postgres_url, ManualClock(), works=False, looks=False) as server:
        ann = await server.client("Ann")
        mail, search = await create_email(ann), await save_search(ann, VIEWED)
        await server.settle()
        await ann.one(RECORD, e=[make_event(mail, "VIEW", "1", LONG_AGO)])
        outside = copy_context()
        async with transaction() as tx:
            await take_lease(tx)
            # The pass's only statement sees the database as of now, when the lease is still its own, and waits.
            looking = asyncio.create_task(_look(server.engine.matcher), context=outside)
            await wait_until(has_new_lock_waiter)
        assert isinstance(await looking, LeaseTaken)
        assert (await ann.one(MEMBERS, id=search))["memberCount"] == 0
        assert len(await database().fetch("SELECT id FROM invalidations")) == 1


async def _taken() -> int:
    return await run_in_transaction(take_lease)


async def _look(matcher: Matcher) -> LeaseTaken | None:
    try:
        await matcher.process_batch(tick=False)
    except LeaseTaken as exc:
        return exc
    return None


async def test_a_server_that_lost_its_lease_takes_it_again(server: Server) -> None:
    ann = await server.client("Ann")
    mail = await create_email(ann)
    for number in range(2):
        search = await save_search(ann, {"engagement": [{"kind": "VIEW", "atLeast": number + 1}]}, f"List {number}")
        taken = await run_in_transaction(take_lease)
        await ann.one(RECORD, e=[make_event(mail, "VIEW", str(number))])
        async with asyncio.timeout(20):
            while (await ann.one(MEMBERS, id=search))["memberCount"] == 0:
                await asyncio.sleep(0.02)
        assert await run_in_transaction(_epoch) > taken


async def _epoch(connection: Connection) -> int:
    row = await connection.fetch_one("SELECT epoch FROM leases")
    assert row is not None
    return int(row["epoch"])
