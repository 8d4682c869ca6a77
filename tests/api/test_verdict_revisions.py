"""Verdicts revised by hand: summaries, lists, their followers and the feed follow, and no evidence revises them."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest

from models.enums import Role
from tests.support.emails import ARCHIVE, DRAFT, RECORD, create_delivered_email, create_draft, create_person, moment
from tests.support.engagements import reclassified, reclassify
from tests.support.list_replicas import members_of
from tests.support.searches import FOLLOW, save_search, wait_until_live
from tests.support.server import Client, ManualClock, Server

EVENTS = """query($id:ID!){email(id:$id){engagementSummary{views clicks replies latest{id occurredAt}}
    engagements(first:200){nodes{id kind verdict verdictReason occurredAt url}}}}"""
FEED = "{engagements(first:200){asOf nodes{id verdict}}}"
AS_OF = "query($id:ID!){savedSearch(id:$id){members{asOf}}}"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
BROWSER = {"userAgent": FIREFOX, "ipAddress": "192.0.2.9"}


async def recorded(client: Client, clock: ManualClock, email_id: str, *kinds: str, **more: Any) -> list[str]:
    """New events, a minute apart and the last one a minute ago; their ids in that order."""
    before = {node["id"] for node in await nodes(client, email_id)}
    events = [
        {
            "emailId": email_id,
            "kind": kind,
            "occurredAt": moment(clock, 60 * (place - len(kinds))),
            "dedupeKey": f"{email_id} {len(before)} {place}",
            **({"url": f"https://a.example/{place}"} if kind == "CLICK" else {}),
            **more,
        }
        for place, kind in enumerate(kinds)
    ]
    assert (await client.one(RECORD, e=events))["recorded"] == len(kinds)
    return [node["id"] for node in reversed(await nodes(client, email_id)) if node["id"] not in before]


async def nodes(client: Client, email_id: str) -> list[dict[str, Any]]:
    return list((await client.one(EVENTS, id=email_id))["engagements"]["nodes"])


async def summary(client: Client, email_id: str) -> tuple[int, int, int, str | None]:
    found = (await client.one(EVENTS, id=email_id))["engagementSummary"]
    return found["views"], found["clicks"], found["replies"], found["latest"] and found["latest"]["id"]


async def feed(client: Client) -> list[str]:
    return [node["id"] for node in (await client.one(FEED))["nodes"]]


async def test_summaries_and_the_feed_reflect_every_revision(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    clock.advance(timedelta(hours=1))
    view, click, reply = await recorded(ann, clock, mail, "VIEW", "CLICK", "REPLY")
    assert await summary(ann, mail) == (1, 1, 1, reply)
    (made,) = await reclassified(ann, "MACHINE", reply)
    assert made["verdictReason"] == "revised by Ann: a machine's"
    # What the answer shows is as it is after the deed.
    assert made["email"]["engagementSummary"] == {"views": 1, "clicks": 1, "replies": 0}
    assert await summary(ann, mail) == (1, 1, 0, click)
    assert await feed(ann) == [reply, click, view]
    await reclassified(ann, "SELF", click, view, click)
    assert await summary(ann, mail) == (0, 0, 0, None)
    assert await feed(ann) == [reply]
    assert len(await nodes(ann, mail)) == 3
    await reclassified(ann, "HUMAN", view, reply, click)
    assert await summary(ann, mail) == (1, 1, 1, reply)
    assert await feed(ann) == [reply, click, view]
    await reclassified(ann, "MACHINE", reply)
    assert await summary(ann, mail) == (1, 1, 0, click)
    # The archive makes no difference: it is about what arrives.
    await ann.one(ARCHIVE, ids=[mail])
    await reclassified(ann, "HUMAN", reply)
    assert await summary(ann, mail) == (1, 1, 1, reply)


async def test_memberships_follow_revisions_with_the_event_as_cause(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    human = await save_search(ann, {"engagement": [{"kind": "CLICK"}]})
    machine = await save_search(ann, {"engagement": [{"kind": "CLICK", "verdict": ["MACHINE"]}]})
    await quiet_server.settle()
    clock.advance(timedelta(hours=1))
    (click,) = await recorded(ann, clock, mail, "CLICK")
    await quiet_server.settle()
    after = (await ann.one(AS_OF, id=human))["members"]["asOf"]
    assert list((await members_of(ann, human))[0].values()) == [mail]
    cause = {"kind": "ENGAGEMENT", "engagement": {"kind": "CLICK"}}
    async with ann.follow(FOLLOW, id=human, after=after) as left, ann.follow(FOLLOW, id=machine, after=after) as joined:
        await reclassified(ann, "MACHINE", click)
        await quiet_server.settle()
        assert (await left.until("MemberLeft"))[-1]["cause"] == cause
        frame = (await joined.until("MemberJoined"))[-1]
        assert (frame["emailId"], frame["member"]["cause"]) == (mail, cause)
        await reclassified(ann, "HUMAN", click)
        await quiet_server.settle()
        assert (await left.until("MemberJoined"))[-1]["emailId"] == mail
        assert (await joined.until("MemberLeft"))[-1]["emailId"] == mail


async def test_the_same_verdict_again_changes_nothing(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    (view,) = await recorded(ann, clock, mail, "VIEW", verdict="MACHINE")
    search = await save_search(ann, {"engagement": [{"kind": "VIEW", "verdict": ["MACHINE"]}]})
    await quiet_server.settle()
    before = (await nodes(ann, mail), await ann.one(FEED), await ann.one(AS_OF, id=search))
    await reclassified(ann, "MACHINE", view)
    await quiet_server.settle()
    assert (await nodes(ann, mail), await ann.one(FEED), await ann.one(AS_OF, id=search)) == before


async def test_no_evidence_overrides_a_users_verdict(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    clock.advance(timedelta(hours=1))
    first, second = await recorded(ann, clock, mail, "CLICK", "CLICK", **BROWSER)
    # The one is confirmed, the other made a machine's and a person's again.
    await reclassified(ann, "HUMAN", first)
    await reclassified(ann, "MACHINE", second)
    await reclassified(ann, "HUMAN", second)
    times = {node["id"]: node["occurredAt"] for node in await nodes(ann, mail)}
    others = [
        {"emailId": mail, "kind": "CLICK", "occurredAt": at, "dedupeKey": f"{at} {n}", "url": f"https://b.example/{n}"}
        for at, n in itertools.product(times.values(), range(3))
    ]
    assert (await ann.one(RECORD, e=[{**each, **BROWSER} for each in others]))["recorded"] == 6
    told = {node["id"]: node["verdict"] for node in await nodes(ann, mail)}
    assert (told.pop(first), told.pop(second)) == ("HUMAN", "HUMAN")
    assert set(told.values()) == {"MACHINE"}
    assert (await summary(ann, mail))[:3] == (0, 2, 0)


async def test_refused_ids_are_reported_by_path_and_others_are_done(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    ada, max_ = await quiet_server.client("Ada", role=Role.ADMIN), await quiet_server.client("Max", "Bananas")
    own = await create_delivered_email(quiet_server, ann, "a@example.org")
    bobs = await create_delivered_email(quiet_server, bob, "b@example.org")
    theirs = await create_delivered_email(quiet_server, max_, "c@example.org")
    (mine,) = await recorded(ann, clock, own, "VIEW")
    (his,) = await recorded(bob, clock, bobs, "VIEW")
    (foreign,) = await recorded(max_, clock, theirs, "VIEW")
    answer = await reclassify(ann, "MACHINE", own, his, mine, foreign, "nonsense", mine)
    assert [(each["path"], each["code"]) for each in answer["userErrors"]] == [
        (["ids", place], "NOT_FOUND") for place in ("0", "1", "3", "4")
    ]
    assert [each["id"] for each in answer["engagements"]] == [mine]
    assert (await summary(bob, bobs))[0] == (await summary(max_, theirs))[0] == 1
    # An admin sees the team's mail, and may speak of what happened to it.
    answer = await reclassify(ada, "SELF", his, foreign, mine)
    assert [each["id"] for each in answer["engagements"]] == [his, mine]
    assert [each["path"] for each in answer["userErrors"]] == [["ids", "1"]]
    assert (await nodes(bob, bobs))[0]["verdictReason"] == "revised by Ada: the sender's own"
    assert await reclassify(ann, "HUMAN") == {"engagements": [], "userErrors": []}


@pytest.mark.slow
async def test_a_thousand_ids_fit_one_request_and_not_one_more(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    ids: list[str] = []
    event = {"emailId": mail, "kind": "VIEW", "occurredAt": moment(clock)}
    assert (await ann.one(RECORD, e=[{**event, "dedupeKey": str(n)} for n in range(1000)]))["recorded"] == 1000
    document = "query($a:String){engagements(first:200,after:$a){nodes{id} pageInfo{endCursor}}}"
    after = None
    for _ in range(5):
        page = await ann.one(document, a=after)
        ids += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    refused = await reclassify(ann, "MACHINE", *ids, "one more")
    assert [(each["code"], each["path"]) for each in refused["userErrors"]] == [("LIMIT_REACHED", ["ids"])]
    assert "1000" in refused["userErrors"][0]["message"]
    assert (await summary(ann, mail))[0] == 1000
    assert len(await reclassified(ann, "MACHINE", *ids)) == 1000
    assert await summary(ann, mail) == (0, 0, 0, None)


@pytest.mark.slow
async def test_events_recorded_meanwhile_are_counted_exactly(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    to = await create_person(ann, "p@example.org")
    mails = [await create_draft(ann, to) for _ in range(3)]
    ids = [await recorded(ann, clock, mail, *["VIEW"] * 10) for mail in mails]

    async def record(number: int) -> None:
        for mail in mails if number % 2 else mails[::-1]:
            event = {"emailId": mail, "kind": "VIEW", "occurredAt": moment(clock), "dedupeKey": f"{mail} more {number}"}
            assert (await ann.one(RECORD, e=[event]))["recorded"] == 1

    async def revise(place: int) -> None:
        some = [each[place] for each in ids]
        for verdict in ("MACHINE", "SELF"):
            await reclassified(ann, verdict, *(some if place % 2 else some[::-1]))

    await asyncio.gather(*(record(n) for n in range(10)), *(revise(place) for place in range(10)))
    for mail in mails:
        human = [node for node in await nodes(ann, mail) if node["verdict"] == "HUMAN"]
        assert len(human) == 10
        views, clicks, replies, latest = await summary(ann, mail)
        assert (views, clicks, replies) == (10, 0, 0)
        newest = max(human, key=lambda node: node["occurredAt"])["occurredAt"]
        assert latest in {node["id"] for node in human if node["occurredAt"] == newest}


async def test_an_email_deleted_takes_its_events_along(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    made = await ann.one(DRAFT, i={"personId": await create_person(ann, "p@example.org"), "subject": "Hello"})
    mail = made["email"]["id"]
    (view,) = await recorded(ann, clock, mail, "VIEW")
    await ann.one("mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds}}", ids=[mail])
    answer = await reclassify(ann, "MACHINE", view)
    assert [(each["code"], each["path"]) for each in answer["userErrors"]] == [("NOT_FOUND", ["ids", "0"])]


async def test_a_running_server_updates_memberships_immediately(server: Server, clock: ManualClock) -> None:
    ann = await server.client("Ann")
    mail = await create_draft(ann, await create_person(ann, "p@example.org"))
    (view,) = await recorded(ann, clock, mail, "VIEW")
    search = await save_search(ann, {"engagement": [{"kind": "VIEW", "atMost": 0}]})
    await wait_until_live(ann, search)
    async with ann.follow(FOLLOW, id=search) as stream:
        await stream.until("CaughtUp")
        await reclassified(ann, "SELF", view)
        assert (await stream.until("MemberJoined"))[-1]["emailId"] == mail
