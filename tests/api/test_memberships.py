"""Dynamic lists through the front door: an engagement walks into a list, and out of it again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.server import Client, ManualClock, Server

PERSON = "mutation($i:PersonInput!){personCreate(input:$i){person{id} userErrors{message path code}}}"
DRAFT = "mutation($i:EmailDraftInput!){emailDraft(input:$i){email{id} userErrors{message path code}}}"
SAVE = """mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){
    savedSearch{id name state memberCount filter summary} userErrors{message path code}}}"""
RECORD = """mutation($e:[EngagementInput!]!){engagementRecord(events:$e){
    recorded duplicates ignored userErrors{message path code}}}"""
MEMBERS = """query($id:ID!){savedSearch(id:$id){state memberCount members{asOf nodes{id email{id} cause{kind
    engagement{kind}}}}}}"""
FOLLOW = """subscription($id:ID!,$after:ChangeCursor){savedSearchChanges(savedSearchId:$id,after:$after){
    __typename ... on Change{cursor}
    ... on MemberJoined{memberId emailId member{id email{subject} cause{kind engagement{kind}}}}
    ... on MemberLeft{memberId emailId cause{kind engagement{kind}}}
    ... on SavedSearchUpserted{savedSearch{name state}} ... on SavedSearchReset{savedSearch{memberCount}}}}"""
ENGAGED: dict[str, Any] = {"engagement": [{"kind": "VIEW"}, {"kind": "CLICK"}, {"kind": "REPLY", "atMost": 0}]}


async def email(client: Client, number: int = 1) -> str:
    person = await client.one(PERSON, i={"name": f"P{number}", "address": f"p{number}@example.org"})
    assert person["userErrors"] == []
    draft = await client.one(DRAFT, i={"personId": person["person"]["id"], "subject": f"Hello {number}"})
    assert draft["userErrors"] == []
    return str(draft["email"]["id"])


async def save(client: Client, filter: dict[str, Any], name: str = "List") -> str:
    saved = await client.one(SAVE, i={"name": name, "filter": filter})
    assert saved["userErrors"] == []
    return str(saved["savedSearch"]["id"])


async def live(client: Client, search_id: str) -> None:
    """Waits until a list is complete: what comes before that is told by its Reset, not member by member."""
    while (await client.one(MEMBERS, id=search_id))["state"] != "LIVE":
        await asyncio.sleep(0.01)


def event(email_id: str, kind: str, key: str, at: datetime | None = None, **more: Any) -> dict[str, Any]:
    moment = (at or datetime.now(UTC)).isoformat()
    link = {"url": "https://example.com/"} if kind == "CLICK" else {}
    return {"emailId": email_id, "kind": kind, "occurredAt": moment, "dedupeKey": key, **link, **more}


async def test_who_viewed_and_clicked_joins_and_a_reply_leaves(server: Server) -> None:
    ann = await server.client("Ann")
    mail, search = await email(ann), await save(ann, ENGAGED)
    await live(ann, search)
    async with ann.follow(FOLLOW, id=search) as stream:
        await stream.until("CaughtUp")
        assert (await ann.one(RECORD, e=[event(mail, "VIEW", "1"), event(mail, "CLICK", "2")]))["recorded"] == 2
        joined = (await stream.until("MemberJoined"))[-1]
        assert joined["emailId"] == mail
        assert joined["member"]["cause"] == {"kind": "ENGAGEMENT", "engagement": {"kind": "CLICK"}}
        await ann.one(RECORD, e=[event(mail, "REPLY", "3")])
        left = await stream.frame()
        assert (left["__typename"], left["memberId"]) == ("MemberLeft", joined["memberId"])
        assert left["cause"] == {"kind": "ENGAGEMENT", "engagement": {"kind": "REPLY"}}
    async with ann.follow(FOLLOW, id=search, after=joined["cursor"]) as stream:
        frames = await stream.until("CaughtUp")
        assert [frame["__typename"] for frame in frames] == ["MemberLeft", "CaughtUp"]
        assert frames[0]["cursor"] == left["cursor"]


async def test_time_alone_makes_an_email_join(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    search = await save(ann, {"createdAt": {"olderThan": "PT10S"}})
    mail = await email(ann)
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
