"""The audit holds lists against their filters as of the last look, whatever the clock does."""

from datetime import timedelta

from command_center.database.fields import from_micros
from command_center.lists import audit
from tests.support.searches import MEMBERS, RECORD, create_email, make_event, save_search
from tests.support.server import ManualClock, Server


async def test_an_event_that_was_too_old_when_it_came_is_no_difference(
    quiet_server: Server, clock: ManualClock
) -> None:
    ann = await quiet_server.client("Ann")
    search = await save_search(ann, {"engagement": [{"kind": "VIEW", "within": "PT1M"}]})
    mail = await create_email(ann)
    await quiet_server.settle()
    clock.advance(timedelta(seconds=11))
    await quiet_server.settle()
    # Nothing crosses a boundary meanwhile, so that the look itself must remember when it was.
    clock.advance(timedelta(seconds=5))
    await quiet_server.settle()
    old = from_micros(clock.moment) - timedelta(seconds=62)
    await ann.one(RECORD, e=[make_event(mail, "VIEW", "1", old)])
    await quiet_server.settle()
    assert (await ann.one(MEMBERS, id=search))["memberCount"] == 0
    assert await audit.find_differences(quiet_server.engine.ctx.writer) == []


async def test_backfilled_list_is_audited_at_the_time_of_its_backfill(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    clock.advance(timedelta(seconds=11))
    await quiet_server.settle()
    await create_email(ann)
    await quiet_server.settle()
    clock.advance(timedelta(seconds=5))
    search = await save_search(ann, {"createdAt": {"olderThan": "PT3S"}})
    await quiet_server.settle()
    assert (await ann.one(MEMBERS, id=search))["memberCount"] == 1
    assert await audit.find_differences(quiet_server.engine.ctx.writer) == []
