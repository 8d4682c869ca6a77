"""Streams that come and go in every way a client can think of leave nothing behind, and a slow one misses nothing."""

import asyncio
import json
from typing import Any

import websockets

from command_center.actions import users
from command_center.actions.context import ActionContext, Limits
from command_center.changes.entries import LogEntry, StreamKind, Topic
from command_center.changes.hub import Hub
from command_center.changes.unit_of_work import Writer
from command_center.database.clock import DatabaseClock
from command_center.database.connections import database, open_database
from models.enums import ChangeKind, Role
from tests.support.searches import FOLLOW, RECORD, create_email, make_event, save_search, wait_until_live
from tests.support.server import Client, Server
from tests.support.streams import open_socket, wait_until_no_streams

ALL = "subscription($after:ChangeCursor){allSavedSearchChanges(after:$after){__typename ... on Change{cursor}}}"
VIEWED: dict[str, Any] = {"engagement": [{"kind": "VIEW"}]}


async def subscribe(connection: websockets.ClientConnection, name: str) -> None:
    await connection.send(json.dumps({"id": name, "type": "subscribe", "payload": {"query": ALL}}))


async def test_one_of_two_streams_on_a_socket_can_be_cancelled(server: Server) -> None:
    ann = await server.client("Ann")
    connection = await open_socket(ann)
    for name in ("a", "b"):
        await subscribe(connection, name)
        assert json.loads(await connection.recv())["id"] == name
    assert server.engine.hub.subscriber_count == 2
    await connection.send(json.dumps({"id": "a", "type": "complete"}))
    while server.engine.hub.subscriber_count > 1:
        await asyncio.sleep(0.01)
    await save_search(ann, VIEWED)
    assert json.loads(await connection.recv())["id"] == "b"
    await connection.close()
    await wait_until_no_streams(server)


async def test_a_socket_closed_right_after_subscribing_leaks_nothing(server: Server) -> None:
    ann = await server.client("Ann")
    for _ in range(20):
        connection = await open_socket(ann)
        await subscribe(connection, "a")
        await connection.close()
    await wait_until_no_streams(server)


async def test_a_socket_that_is_torn_leaves_nothing(server: Server) -> None:
    ann = await server.client("Ann")
    for _ in range(5):
        connection = await open_socket(ann)
        await subscribe(connection, "a")
        await connection.recv()
        connection.transport.abort()
    await wait_until_no_streams(server)


async def test_a_late_reader_misses_nothing_and_delays_no_others(server: Server) -> None:
    server.engine.hub.max_queued_entries = 2
    ann = await server.client("Ann")
    search = await save_search(ann, VIEWED)
    await wait_until_live(ann, search)
    mails = [await create_email(ann, number) for number in range(10)]
    async with ann.follow(FOLLOW, id=search) as slow:
        await slow.until("CaughtUp")
        for round_ in range(20):
            events = [make_event(mail, "VIEW", f"{round_}-{mail}") for mail in mails]
            await ann.one(RECORD, e=events)
            await ann.one("mutation($i:[ID!]!){emailDelete(ids:$i){deletedIds}}", i=mails)
            mails = [await email_again(ann, number) for number in range(10)]
        async with ann.follow(FOLLOW, id=search) as quick:
            await quick.until("CaughtUp", 5)
        joined: set[str] = set()
        left: set[str] = set()
        # A stay that begins and ends between two looks is not announced, so their number is not known. Once nothing is
        # left to look at, a new name is the last frame of all.
        while await database().fetch_one("SELECT id FROM invalidations LIMIT 1"):
            await asyncio.sleep(0.02)
        await ann.one('mutation($i:ID!){savedSearchRename(id:$i,name:"End"){userErrors{code}}}', i=search)
        while (frame := await slow.frame()) and frame.get("savedSearch") != {"name": "End", "state": "LIVE"}:
            if frame["__typename"] == "MemberJoined":
                assert frame["memberId"] not in joined
                joined.add(frame["memberId"])
            elif frame["__typename"] == "MemberLeft":
                assert frame["memberId"] in joined - left
                left.add(frame["memberId"])
        assert joined == left != set()
    assert server.engine.hub.overflows > 0
    await wait_until_no_streams(server)


async def email_again(client: Client, number: int) -> str:
    people = await client.one("{people(first:20){nodes{id address}}}")
    person = next(node["id"] for node in people["nodes"] if node["address"] == f"p{number}@example.org")
    document = "mutation($i:EmailDraftInput!){emailDraft(input:$i){email{id}}}"
    return str((await client.one(document, i={"personId": person, "subject": "Again"}))["email"]["id"])


async def test_a_stream_ends_when_the_server_does(database_url: str) -> None:
    from tests.support.server import serving

    async with serving(database_url) as server:
        ann = await server.client("Ann")
        connection = await open_socket(ann)
        await subscribe(connection, "a")
        await connection.recv()
    try:
        await asyncio.wait_for(connection.recv(), 5)
    except websockets.ConnectionClosed:
        assert connection.close_code in (1001, 1012)
    else:
        raise AssertionError("the socket is still open")


async def test_a_log_read_overtaken_by_commits_ends_no_stream(database_url: str) -> None:
    rows = 150
    async with open_database(database_url):
        hub = Hub(poll_seconds=0.001)
        writer = Writer(DatabaseClock(), hub)
        user = await users.add(ActionContext(writer, Limits()), "Team", "Ann", "ann@team.example", Role.MEMBER, "UTC")
        follower = await hub.subscribe(user.team_id, Topic(user.id, StreamKind.SEARCHES), None)
        await hub.start()
        try:
            entries = follower.live()
            for number in range(rows):
                async with writer.unit_of_work() as uow:
                    uow.log(LogEntry(user.team_id, ChangeKind.SEARCH_UPSERTED, user.id, number))
                assert [entry.search_id for entry in await anext(entries)] == [number]
        finally:
            follower.close()
            await hub.stop()
