"""A membership is decided for the moment that is recorded with it, however long ago the last tick was."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from command_center.database.connections import database
from command_center.database.fields import from_micros
from command_center.lists import audit
from tests.support.searches import FOLLOW, MEMBERS, RECORD, create_email, make_event, save_search, wait_until_live
from tests.support.server import Client, ManualClock, Server

SPAN = timedelta(seconds=2)
WITHIN = {"engagement": [{"kind": "VIEW", "within": "PT2S"}]}
WITHOUT = {"not": WITHIN, "engagement": [{"kind": "VIEW"}]}
MICROSECOND = timedelta(microseconds=1)


async def test_a_view_that_is_too_old_when_it_is_recorded_never_joins(server: Server) -> None:
    ann = await server.client("Ann")
    search = await save_search(ann, WITHIN)
    await wait_until_live(ann, search)
    emails = [await create_email(ann, number) for number in range(12)]
    async with ann.follow(FOLLOW, id=search) as stream:
        await stream.until("CaughtUp")
        for mail in emails:
            at = datetime.now(UTC) - SPAN - timedelta(milliseconds=30)
            await ann.one(RECORD, e=[make_event(mail, "VIEW", mail, at)])
            await asyncio.sleep(0.05)
        assert await stream.quiet(0.6)


@pytest.mark.slow
async def test_at_a_window_edge_only_emails_that_match_then_join(quiet_server: Server, clock: ManualClock) -> None:
    rng = random.Random(7)
    ann = await quiet_server.client("Ann")
    within, without = await save_search(ann, WITHIN, "Within"), await save_search(ann, WITHOUT, "Without")
    await quiet_server.settle()
    async with ann.follow(FOLLOW, id=within) as stream:
        await stream.until("CaughtUp")
        for number in range(20):
            # The last tick is up to two tenths of a second old, and the next one has not come yet.
            clock.advance(timedelta(microseconds=rng.choice((1, 2, 50_000, 199_999))))
            offset = rng.choice((0, 1, -1, rng.randint(-250_000, 250_000))) * MICROSECOND
            mail = await create_email(ann, number)
            await ann.one(RECORD, e=[make_event(mail, "VIEW", f"{number}", from_micros(clock.moment) - SPAN + offset)])
            await _match_without_ticking(quiet_server)
            inside = offset >= timedelta(0)
            assert (mail in await _members(ann, within), mail in await _members(ann, without)) == (inside, not inside)
            if inside:
                assert (await stream.until("MemberJoined"))[-1]["emailId"] == mail
            await _check(quiet_server)
            if rng.random() < 0.3:
                await quiet_server.settle()
                await _check(quiet_server)
        # What a new list begins with is decided for the moment of its filling as well.
        clock.advance(timedelta(milliseconds=150))
        later = await save_search(ann, WITHIN, "Later")
        await _match_without_ticking(quiet_server)
        await _check(quiet_server)
        await quiet_server.settle()
        assert await _members(ann, later) == await _members(ann, within)


async def _match_without_ticking(server: Server) -> None:
    await server.engine.matcher.settle(tick=False)


async def _members(client: Client, search: str) -> set[str]:
    return {node["email"]["id"] for node in (await client.one(MEMBERS, id=search))["members"]["nodes"]}


async def _check(server: Server) -> None:
    """Every membership held at the moment it is recorded with, and the audit finds nothing."""
    rows = await database().fetch(
        "SELECT s.name, m.joined_at, max(g.occurred_at) AS newest FROM memberships m JOIN saved_searches s"
        " ON s.id = m.search_id JOIN engagements g ON g.email_id = m.email_id GROUP BY s.name, m.id, m.joined_at"
    )
    for row in rows:
        assert (row["newest"] >= row["joined_at"] - SPAN // MICROSECOND) == (row["name"] != "Without"), row
    assert await audit.find_differences(server.engine.ctx.writer) == []
