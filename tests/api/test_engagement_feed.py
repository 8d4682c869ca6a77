"""The live feed and its past: what is recorded of one's own emails, once each, in order, without one's own doings."""

import asyncio
import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from command_center.changes import log
from command_center.changes.cursors import parse
from command_center.database.connections import database
from command_center.ids import decode_key, encode
from models.enums import EngagementVerdict, Role
from tests.support.emails import ARCHIVE, RECORD, create_delivered_email, moment
from tests.support.engagements import FEED
from tests.support.server import Client, Completed, Failed, ManualClock, Server, Stream

PAST = """query($n:Int,$after:String){engagements(first:$n,after:$after){asOf pageInfo{hasNextPage endCursor}
    nodes{id kind verdict url occurredAt email{id} person{name}}}}"""
RECLASSIFY = """mutation($ids:[ID!]!,$v:EngagementVerdict!){engagementReclassify(ids:$ids,verdict:$v){
    userErrors{code}}}"""
DELETE = "mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds}}"
SAVE = 'mutation{savedSearchCreate(input:{name:"L",filter:{engagement:[{kind:VIEW}]}}){savedSearch{id}}}'


def event(clock: ManualClock, email_id: str, key: str, kind: str = "VIEW", **more: Any) -> dict[str, Any]:
    link = {"url": f"https://a.example/{key}"} if kind == "CLICK" else {}
    return {"emailId": email_id, "kind": kind, "occurredAt": moment(clock), "dedupeKey": key, **link, **more}


async def record(client: Client, *events: dict[str, Any]) -> int:
    answer = await client.one(RECORD, e=list(events))
    assert answer["userErrors"] == []
    return int(answer["recorded"])


async def recorded(stream: Stream, count: int) -> list[dict[str, Any]]:
    frames = [await stream.frame() for _ in range(count)]
    assert {frame["__typename"] for frame in frames} <= {"EngagementRecorded"}
    return frames


async def past(client: Client, size: int = 200) -> tuple[list[dict[str, Any]], str]:
    """All pages of the feed's past, and where the first of them stood."""
    nodes: list[dict[str, Any]] = []
    as_of, after = "", None
    while True:
        page = await client.one(PAST, n=size, after=after)
        nodes += page["nodes"]
        as_of = as_of or page["asOf"]
        if not page["pageInfo"]["hasNextPage"]:
            return nodes, as_of
        after = page["pageInfo"]["endCursor"]


async def test_feed_has_each_event_once_in_order_except_the_viewers(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    ada = await quiet_server.client("Ada", role=Role.ADMIN)
    mail, others = (
        await create_delivered_email(quiet_server, ann),
        await create_delivered_email(quiet_server, bob, "bobs@example.org"),
    )
    async with ann.follow(FEED) as stream, ada.follow(FEED) as hers, bob.follow(FEED) as his:
        for each in (stream, hers, his):
            assert (await each.frame())["__typename"] == "CaughtUp"
        events = [
            event(clock, mail, "1"),
            event(clock, mail, "2", "CLICK"),
            event(clock, mail, "3", verdict="SELF"),
            event(clock, mail, "4", verdict="MACHINE"),
            event(clock, mail, "1", "REPLY"),
        ]
        assert await record(ann, *events) == 4
        assert await record(bob, event(clock, others, "5")) == 1
        assert await record(ann, event(clock, mail, "6", "REPLY"), *events) == 1
        frames = await recorded(stream, 4)
        told = [(frame["engagement"]["kind"], frame["engagement"]["verdict"]) for frame in frames]
        assert told == [("VIEW", "HUMAN"), ("CLICK", "HUMAN"), ("VIEW", "MACHINE"), ("REPLY", "HUMAN")]
        assert frames[1]["engagement"]["url"] == "https://a.example/2"
        assert {(each["engagement"]["email"]["id"], each["engagement"]["person"]["name"]) for each in frames} == {
            (mail, "Dora")
        }
        positions = [parse(frame["cursor"]).position for frame in frames]
        assert positions == sorted(set(positions))
        assert [each["engagement"]["email"]["id"] for each in await recorded(his, 1)] == [others]
        # An admin may see it all, and the feed is of one's own mail all the same.
        assert await hers.quiet()
        assert await stream.quiet()
    nodes, _ = await past(ann)
    assert {node["id"] for node in nodes} == {frame["engagementId"] for frame in frames}
    assert {node["id"]: node for node in nodes} == {frame["engagementId"]: frame["engagement"] for frame in frames}


async def test_the_feed_resumes_after_a_cursor(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    _, began = await past(ann)
    # Rows of other streams lie between those of the feed.
    for number in range(6):
        await ann(SAVE)
        await record(ann, event(clock, mail, f"{number}"))
        await quiet_server.settle()
    async with ann.follow(FEED, after=began) as stream:
        frames = await stream.until("CaughtUp")
    assert [frame["engagement"]["id"] for frame in frames[:-1]] == [
        node["id"] for node in reversed((await past(ann))[0])
    ]
    async with ann.follow(FEED, after=frames[2]["cursor"]) as stream:
        assert (await stream.until("CaughtUp"))[:-1] == frames[3:-1]
        await record(ann, event(clock, mail, "live"))
        assert len(await recorded(stream, 1)) == 1
    async with ann.follow(FEED) as stream:
        assert [frame["__typename"] for frame in await stream.until("CaughtUp")] == ["CaughtUp"]


async def test_deleted_objects_are_null_and_their_ids_remain(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    gone, kept = (
        await create_delivered_email(quiet_server, ann),
        await create_delivered_email(quiet_server, ann, "kept@example.org"),
    )
    _, began = await past(ann)
    assert await record(ann, event(clock, gone, "1"), event(clock, kept, "2"), event(clock, kept, "3")) == 3
    ids = {node["email"]["id"]: node["id"] for node in (await past(ann))[0]}
    await ann.one(ARCHIVE, ids=[gone])
    assert (await ann.one(DELETE, ids=[gone]))["deletedIds"] == [gone]
    # What turns out to have been the sender's own is not in the feed any more either.
    own = await database().fetch_one("SELECT id FROM engagements WHERE dedupe_key = '3'")
    assert own is not None
    await database().execute("UPDATE engagements SET verdict = ? WHERE id = ?", int(EngagementVerdict.SELF), own["id"])
    async with ann.follow(FEED, after=began) as stream:
        frames = (await stream.until("CaughtUp"))[:-1]
    # Recorded, and then removed with its email.
    assert [frames[0]["engagementId"], frames[3]["engagementId"]] == [ids[gone], ids[gone]]
    assert [frame["engagement"] is None for frame in frames] == [True, False, True, True]
    assert [node["id"] for node in (await past(ann))[0]] == [frames[1]["engagementId"]]


async def test_a_trimmed_cursor_expires_and_a_malformed_one_is_refused(
    quiet_server: Server, clock: ManualClock
) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)
    _, began = await past(ann)
    await record(ann, event(clock, mail, "1"))
    async with quiet_server.engine.ctx.writer.unit_of_work() as uow:
        for team_id in await log.find_stale_teams(uow.now + 1):
            await log.trim(uow.connection, team_id, uow.now + 1)
    async with ann.follow(FEED, after=began) as stream:
        assert await stream.frame() == {"__typename": "CursorExpired", "cursor": began}
        with pytest.raises(Completed):
            await stream.frame()
    with pytest.raises(Failed) as failed:
        async with ann.follow(FEED, after="nonsense") as stream:
            await stream.frame()
    assert failed.value.codes == ["BAD_USER_INPUT"]


@pytest.mark.slow
async def test_past_events_and_the_feed_after_them_miss_nothing(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_delivered_email(quiet_server, ann)

    async def writing(name: str) -> int:
        return sum([await record(ann, *(event(clock, mail, f"{name} {n} {m}") for m in range(3))) for n in range(20)])

    writers = [asyncio.create_task(writing(name)) for name in ("a", "b")]
    seen: list[set[str]] = []
    streams: list[asyncio.Task[set[str]]] = []
    while len(streams) < 5 and not all(writer.done() for writer in writers):
        nodes, as_of = await past(ann, 40)
        seen.append({node["id"] for node in nodes})
        streams.append(asyncio.create_task(followed(ann, as_of)))
    total = sum(await asyncio.gather(*writers))
    assert total == 120
    # One more, after everything: who is told of it has been told of all before it.
    await record(ann, event(clock, mail, "last", "REPLY"))
    nodes, _ = await past(ann)
    everything = {node["id"] for node in nodes}
    assert len(everything) == total + 1
    for before, stream in zip(seen, streams, strict=True):
        assert before | await stream == everything


@pytest.mark.slow
async def test_folding_the_feed_equals_its_past_whatever_happens(quiet_server: Server, clock: ManualClock) -> None:
    rng = random.Random(3)
    ann = await quiet_server.client("Ann")
    mails = [await create_delivered_email(quiet_server, ann, f"{number}@example.org") for number in range(3)]
    last = await create_delivered_email(quiet_server, ann)
    _, began = await past(ann)
    kept: set[str] = set()

    async def step(number: int) -> None:
        clock.advance(timedelta(seconds=1))
        mail, kind = (
            rng.choice(mails),
            rng.choice(("record", "record", "hurry", "revise", "revise", "archive", "delete")),
        )
        if kind == "record":
            kinds, verdicts = ("VIEW", "CLICK", "REPLY"), ("HUMAN", "MACHINE", "SELF")
            fresh = event(clock, mail, f"{number}", rng.choice(kinds), verdict=rng.choice(verdicts))
            await ann.one(RECORD, e=[fresh])
        elif kind == "hurry":
            # The second link followed at once makes a machine's of the first, which was a person's.
            for place in range(2):
                await ann.one(RECORD, e=[event(clock, mail, f"{number} {place}", "CLICK", ipAddress="192.0.2.7")])
        elif kind == "revise":
            rows = await database().fetch("SELECT id FROM engagements")
            ids = [encode("Engagement", row["id"]) for row in rng.sample(rows, min(2, len(rows)))]
            await ann.one(RECLASSIFY, ids=ids, v=rng.choice(("HUMAN", "MACHINE", "SELF")))
        elif kind == "archive":
            await ann.one(ARCHIVE, ids=[mail])
        elif number > 40 and len(mails) > 1:
            mails.remove(mail)
            await ann.one(ARCHIVE, ids=[mail])
            assert (await ann.one(DELETE, ids=[mail]))["deletedIds"] == [mail]

    async with ann.follow(FEED, after=began) as stream:
        await stream.until("CaughtUp")
        live: dict[str, dict[str, Any]] = {}
        for number in range(60):
            await step(number)
            if number % 10 == 9:
                # Read in time, so that frames show what is there then, and others must correct it.
                await record(ann, event(clock, last, f"mark {number}", "REPLY"))
                await fold(stream, live, number)
                assert ordered(live.values()) == (await past(ann))[0]
                kept |= set(live)
    assert kept - set(live)
    async with ann.follow(FEED, after=began) as stream:
        again: dict[str, dict[str, Any]] = {}
        for frame in (await stream.until("CaughtUp"))[:-1]:
            apply(frame, again)
    assert again == live


async def fold(stream: Stream, events: dict[str, dict[str, Any]], number: int) -> None:
    """Reads until the reply that marks a number of steps."""
    row = await database().fetch_one("SELECT id FROM engagements WHERE dedupe_key = ?", f"mark {number}")
    assert row is not None
    while True:
        frame = await stream.frame()
        apply(frame, events)
        if frame["engagementId"] == encode("Engagement", row["id"]):
            return


def apply(frame: dict[str, Any], events: dict[str, dict[str, Any]]) -> None:
    if frame["engagement"] is None:
        events.pop(frame["engagementId"], None)
    else:
        events[frame["engagementId"]] = frame["engagement"]


def ordered(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda each: (each["occurredAt"], decode_key("Engagement", each["id"])), reverse=True)


async def followed(client: Client, after: str) -> set[str]:
    """The ids that a stream tells from a cursor on, up to the reply; it loses its connection now and then."""
    told: list[str] = []
    while True:
        async with client.follow(FEED, after=after) as stream:
            for _ in range(40):
                frame = await stream.frame()
                after = frame["cursor"]
                if frame["__typename"] == "EngagementRecorded":
                    told.append(frame["engagementId"])
                    if frame["engagement"]["kind"] == "REPLY":
                        assert len(told) == len(set(told))
                        return set(told)
