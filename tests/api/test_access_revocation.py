"""What somebody may no longer see is gone at once: from lists, from streams, from old frames."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from command_center.changes import log
from command_center.ids import encode
from models.enums import Role
from tests.support.searches import FOLLOW, MEMBERS, RECORD, create_email, make_event, save_search
from tests.support.server import Completed, Server

EVERYONE: dict[str, Any] = {"everySender": True, "engagement": [{"kind": "VIEW"}]}
DEEP = """subscription($id:ID!,$after:ChangeCursor){savedSearchChanges(savedSearchId:$id,after:$after){
    __typename ... on Change{cursor}
    ... on MemberJoined{member{email{subject}}}
    ... on MemberLeft{cause{kind engagement{email{subject}}}}}}"""
DELETE = "mutation($id:ID!){savedSearchDelete(id:$id){deletedIds}}"
EXPLAIN = "query($id:ID!,$e:ID!){savedSearch(id:$id){explain(emailId:$e){matches leaves{summary holds actual}}}}"
GROUP = "mutation($n:String!,$s:Boolean!){groupCreate(name:$n,shared:$s){group{id}}}"
ADD = "mutation($id:ID!,$p:[ID!]!){groupAddPeople(id:$id,personIds:$p){userErrors{code}}}"


async def test_a_demoted_admin_loses_others_members_before_matching(quiet_server: Server) -> None:
    boss, ann = await quiet_server.client("Boss", role=Role.ADMIN), await quiet_server.client("Ann")
    mail, search = await create_email(ann), await save_search(boss, EVERYONE)
    await ann.one(RECORD, e=[make_event(mail, "VIEW", "1", _long_ago())])
    await quiet_server.settle()
    assert len((await boss.one(MEMBERS, id=search))["members"]["nodes"]) == 1
    await quiet_server.user("Boss", role=Role.MEMBER)
    assert (await boss.one(MEMBERS, id=search))["members"]["nodes"] == []


async def test_a_demoted_admin_reads_no_members_in_old_change_messages(quiet_server: Server) -> None:
    boss, ann = await quiet_server.client("Boss", role=Role.ADMIN), await quiet_server.client("Ann")
    mail, search = await create_email(ann), await save_search(boss, EVERYONE | {"campaign": None})
    replies = await save_search(boss, {"everySender": True, "engagement": [{"kind": "VIEW", "atMost": 0}]})
    await quiet_server.settle()
    began = (await boss.one(MEMBERS, id=replies))["members"]["asOf"]
    await ann.one(RECORD, e=[make_event(mail, "VIEW", "1", _long_ago())])
    await quiet_server.settle()
    async with boss.follow(DEEP, id=replies, after=began) as stream:
        left = (await stream.until("MemberLeft"))[-1]
        assert left["cause"]["engagement"]["email"]["subject"] == "Hello 1"
        await stream.until("CaughtUp")
        # The stream that was opened as an admin is a member's from here on.
        await quiet_server.user("Boss", role=Role.MEMBER)
        await quiet_server.settle()
    async with boss.follow(DEEP, id=replies, after=began) as stream:
        assert (await stream.until("MemberLeft"))[-1]["cause"] == {"kind": "ENGAGEMENT", "engagement": None}
    async with boss.follow(DEEP, id=search, after=began) as stream:
        joined = (await stream.until("MemberJoined"))[-1]
        assert joined["member"] is None
        assert (await stream.until("MemberLeft"))[-1]["cause"]["kind"] == "ACCESS_CHANGED"


async def test_a_stream_of_a_list_that_was_deleted_meanwhile_completes(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    search = await save_search(ann, {})
    began = (await ann.one(MEMBERS, id=search))["members"]["asOf"]
    await ann.one(DELETE, id=search)
    after = began
    for kinds in (["SavedSearchDeleted"], ["CaughtUp"]):
        async with ann.follow(FOLLOW, id=search, after=after) as stream:
            frames = []
            with suppress(Completed):
                while True:
                    frames.append(await stream.frame(5))
        assert [frame["__typename"] for frame in frames] == kinds
        after = frames[-1]["cursor"]


async def test_an_explanation_omits_what_its_viewer_may_not_see(quiet_server: Server) -> None:
    ann, max_ = await quiet_server.client("Ann"), await quiet_server.client("Max")
    mail = await create_email(ann)
    person = (await ann.one("{people{nodes{id}}}"))["nodes"][0]["id"]
    for client, name, shared in ((ann, "Mine", False), (max_, "Hidden", False)):
        group = (await client.one(GROUP, n=name, s=shared))["group"]["id"]
        await client.one(ADD, id=group, p=[person])
    other = (await ann.one(GROUP, n="Other", s=False))["group"]["id"]
    search = await save_search(ann, {"personGroup": [other]})
    found = (await ann.one(EXPLAIN, id=search, e=mail))["explain"]
    assert found["matches"] is False
    assert "Mine" in found["leaves"][0]["actual"]
    assert "not visible" not in found["leaves"][0]["actual"]


def _long_ago() -> datetime:
    return datetime(2020, 1, 1, tzinfo=UTC)


async def test_an_expired_cursor_gets_the_same_response_for_any_list(quiet_server: Server) -> None:
    ann, max_ = await quiet_server.client("Ann"), await quiet_server.client("Max")
    gone, foreign, never = await save_search(ann, {}), await save_search(max_, {}), encode("SavedSearch", 999_999)
    began = (await ann.one(MEMBERS, id=gone))["members"]["asOf"]
    await ann.one(DELETE, id=gone)
    async with quiet_server.engine.ctx.writer.unit_of_work() as uow:
        for team_id in await log.find_stale_teams(uow.now + 1):
            await log.trim(uow.connection, team_id, uow.now + 1)
    for search in (gone, foreign, never):
        async with ann.follow(FOLLOW, id=search, after=began) as stream:
            assert await stream.frame() == {"__typename": "CursorExpired", "cursor": began}
