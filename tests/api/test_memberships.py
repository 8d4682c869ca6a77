"""Dynamic lists through the front door: an engagement walks into a list, and out of it again."""

from datetime import timedelta
from typing import Any

from tests.support.searches import FOLLOW, MEMBERS, RECORD, create_email, make_event, save_search, wait_until_live
from tests.support.server import ManualClock, Server

ENGAGED: dict[str, Any] = {"engagement": [{"kind": "VIEW"}, {"kind": "CLICK"}, {"kind": "REPLY", "atMost": 0}]}


async def test_an_email_joins_after_view_and_click_and_leaves_on_reply(server: Server) -> None:
    ann = await server.client("Ann")
    mail, search = await create_email(ann), await save_search(ann, ENGAGED)
    await wait_until_live(ann, search)
    async with ann.follow(FOLLOW, id=search) as stream:
        await stream.until("CaughtUp")
        assert (await ann.one(RECORD, e=[make_event(mail, "VIEW", "1"), make_event(mail, "CLICK", "2")]))[
            "recorded"
        ] == 2
        joined = (await stream.until("MemberJoined"))[-1]
        assert joined["emailId"] == mail
        assert joined["member"]["cause"] == {"kind": "ENGAGEMENT", "engagement": {"kind": "CLICK"}}
        await ann.one(RECORD, e=[make_event(mail, "REPLY", "3")])
        left = await stream.frame()
        assert (left["__typename"], left["memberId"]) == ("MemberLeft", joined["memberId"])
        assert left["cause"] == {"kind": "ENGAGEMENT", "engagement": {"kind": "REPLY"}}
    async with ann.follow(FOLLOW, id=search, after=joined["cursor"]) as stream:
        frames = await stream.until("CaughtUp")
        assert [frame["__typename"] for frame in frames] == ["MemberLeft", "CaughtUp"]
        assert frames[0]["cursor"] == left["cursor"]


async def test_time_alone_makes_an_email_join(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    search = await save_search(ann, {"createdAt": {"olderThan": "PT10S"}})
    mail = await create_email(ann)
    await quiet_server.settle()
    clock.advance(timedelta(seconds=10))
    await quiet_server.settle()
    assert (await ann.one(MEMBERS, id=search))["memberCount"] == 0
    clock.advance(timedelta(microseconds=1))
    await quiet_server.settle()
    found = await ann.one(MEMBERS, id=search)
    assert [node["email"]["id"] for node in found["members"]["nodes"]] == [mail]
    assert found["members"]["nodes"][0]["cause"]["kind"] == "CLOCK"
    assert found["state"] == "LIVE"
