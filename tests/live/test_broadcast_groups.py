"""Followers who are alike hear the same bytes of one execution; who is not, or leaves, or is slow, harms nobody."""

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from command_center.changes.entries import LogEntry
from command_center.database.connections import database
from command_center.web.websocket_protocol import TEXT_EXTENSION
from models.enums import ChangeKind, Role
from tests.support.http_streams import MULTIPART_TYPE, open_stream, read_events
from tests.support.searches import FOLLOW, RECORD, create_email, make_event, save_search, wait_until_live
from tests.support.server import Client, Completed, ManualClock, Server, Stream, serving_with_middleware
from tests.support.streams import open_socket, wait_until_no_streams

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
VIEWED: dict[str, Any] = {"engagement": [{"kind": "VIEW"}]}
NAMED = """subscription($id:ID!,$after:ChangeCursor,$names:Boolean!){savedSearchChanges(savedSearchId:$id,after:$after){
    __typename ... on Change{cursor} ... on MemberJoined{memberId member @include(if:$names){email{subject}}}}}"""
LISTS = "subscription { allSavedSearchChanges { __typename ... on Change { cursor } } }"


@pytest.fixture
def server(quiet_server: Server) -> Server:
    return quiet_server


async def followed(server: Server, client: Client, count: int = 3) -> tuple[str, list[str]]:
    """A list, and emails that join it with their first view."""
    mails = [await create_email(client, number) for number in range(count)]
    search = await save_search(client, VIEWED)
    await server.settle()
    await wait_until_live(client, search)
    return search, mails


async def view(server: Server, client: Client, *mails: str) -> None:
    await client.one(RECORD, e=[make_event(mail, "VIEW", f"view {mail}", LONG_AGO) for mail in mails])
    await server.settle()


async def many(stack: AsyncExitStack, client: Client, count: int, document: str, **variables: Any) -> list[Stream]:
    streams = [await stack.enter_async_context(client.follow(document, **variables)) for _ in range(count)]
    for stream in streams:
        await stream.until("CaughtUp")
    return streams


async def test_fifty_subscribers_of_a_list_share_one_execution(server: Server) -> None:
    ann = await server.client("Ann")
    search, mails = await followed(server, ann, 5)
    async with AsyncExitStack() as stack:
        streams = await many(stack, ann, 50, FOLLOW, id=search)
        assert len(server.audiences) == 1
        before = server.audiences.rendered_count
        await view(server, ann, mails[0])
        await view(server, ann, *mails[1:])
        frames = [[await stream.frame() for _ in mails] for stream in streams]
        assert server.audiences.rendered_count - before == len(mails)
        assert all(each == frames[0] for each in frames)
        assert [frame["emailId"] for frame in frames[0]] == mails
    await wait_until_no_streams(server)
    assert len(server.audiences) == 0


async def test_a_resumed_subscriber_gets_the_payloads_of_its_group(server: Server) -> None:
    ann = await server.client("Ann")
    search, mails = await followed(server, ann)
    async with AsyncExitStack() as stack:
        async with ann.follow(FOLLOW, id=search) as stream:
            cursor = (await stream.frame())["cursor"]
        await view(server, ann, *mails)
        before = server.audiences.rendered_count
        streams = [await stack.enter_async_context(ann.follow(FOLLOW, id=search, after=cursor)) for _ in range(10)]
        told = await asyncio.gather(*(stream.until("CaughtUp") for stream in streams))
        assert [frame["emailId"] for frame in told[0][:-1]] == mails
        assert all(each == told[0] for each in told)
        assert len(server.audiences) == 1
        # The first of them was alone for a moment.
        assert server.audiences.rendered_count - before <= 3 * (len(mails) + 1)


async def test_other_documents_variables_and_users_share_nothing(server: Server) -> None:
    ann, boss = await server.client("Ann"), await server.client("Boss", role=Role.ADMIN)
    search, mails = await followed(server, ann)
    wide = await save_search(boss, VIEWED | {"everySender": True})
    await server.settle()
    async with AsyncExitStack() as stack:
        asked: list[tuple[Client, str, dict[str, Any]]] = [
            (ann, NAMED, {"id": search, "names": True}),
            (ann, NAMED, {"id": search, "names": False}),
            (ann, FOLLOW, {"id": search}),
            (boss, NAMED, {"id": wide, "names": True}),
        ]
        pairs = [await many(stack, client, 2, document, **variables) for client, document, variables in asked]
        assert len(server.audiences) == 4
        before = server.audiences.rendered_count
        await view(server, ann, mails[0])
        named, bare, full, other = [[await stream.frame() for stream in pair] for pair in pairs]
        assert server.audiences.rendered_count - before == 4
        assert named[0] == named[1]
        assert named[0]["member"] == {"email": {"subject": "Hello 0"}}
        assert "member" not in bare[0]
        assert full[0]["emailId"] == mails[0]
        assert other[0]["memberId"] != named[0]["memberId"]


async def test_shared_payloads_are_executed_with_current_permissions(server: Server) -> None:
    boss, ann = await server.client("Boss", role=Role.ADMIN), await server.client("Ann")
    mails = [await create_email(ann, number) for number in range(2)]
    search = await save_search(boss, VIEWED | {"everySender": True})
    await server.settle()
    async with AsyncExitStack() as stack:
        streams = await many(stack, boss, 3, FOLLOW, id=search)
        await view(server, ann, mails[0])
        for stream in streams:
            assert (await stream.frame())["member"]["email"] == {"subject": "Hello 0"}
        await ann.one(RECORD, e=[make_event(mails[1], "VIEW", "late", LONG_AGO)])
        await database().execute("UPDATE users SET role = ? WHERE name = 'Boss'", int(Role.MEMBER))
        await server.settle()
        for stream in streams:
            frame = await stream.frame()
            assert frame.get("member") is None


async def test_the_streams_of_a_deleted_viewer_end(server: Server) -> None:
    ann = await server.client("Ann")
    async with AsyncExitStack() as stack:
        streams = await many(stack, ann, 3, LISTS)
        user = await server.user("Ann")
        other = await server.user("Max", team="Other")
        await database().execute("UPDATE users SET team_id = ? WHERE id = ?", other.team_id, user.id)
        async with server.engine.ctx.writer.unit_of_work() as uow:
            uow.log(LogEntry(user.team_id, ChangeKind.SEARCH_UPSERTED, user.id, 1))
        for stream in streams:
            with pytest.raises(Completed):
                await stream.frame()
    await wait_until_no_streams(server)


async def test_the_first_subscriber_may_leave_during_an_execution(server: Server) -> None:
    ann = await server.client("Ann")
    search, mails = await followed(server, ann)
    async with AsyncExitStack() as stack:
        streams = await many(stack, ann, 5, FOLLOW, id=search)
        task = asyncio.create_task(view(server, ann, *mails))
        streams[0].socket.transport.abort()
        await task
        streams[1].socket.transport.abort()
        for stream in streams[2:]:
            assert [(await stream.frame())["emailId"] for _ in mails] == mails
    await wait_until_no_streams(server)
    assert len(server.audiences) == 0


class Breaking:
    """Around the application: of every three sockets the first breaks whenever it is offered something, as one does
    that was lost a moment ago."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._sockets = 0
        self.broke = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            self._sockets += 1
            if self._sockets % 3 == 1:
                scope["extensions"][TEXT_EXTENSION]["offer"] = self._break
        await self._app(scope, receive, send)

    def _break(self, texts: object) -> bool:
        self.broke += 1
        raise RuntimeError("the handle is closed")


async def test_a_socket_that_breaks_leaves_the_others_served(database_url: str, clock: ManualClock) -> None:
    made: list[Breaking] = []

    def breaking(app: ASGIApp) -> ASGIApp:
        made.append(Breaking(app))
        return made[-1]

    async with (
        serving_with_middleware([Middleware(breaking)], database_url, clock, False, False) as server,
        AsyncExitStack() as stack,
    ):
        ann = await server.client("Ann")
        search, mails = await followed(server, ann, 2)
        streams = await many(stack, ann, 9, FOLLOW, id=search)
        for mail in mails:
            await view(server, ann, mail)
            # The broken ones went the ordinary way, which is not broken here.
            frames = [await stream.frame() for stream in streams]
            assert [frame["emailId"] for frame in frames] == [mail] * len(streams)
        assert [each.broke for each in made] == [3 * len(mails)]
    await wait_until_no_streams(server)


async def test_two_streams_on_one_socket_have_their_own_names(server: Server) -> None:
    ann = await server.client("Ann")
    connection = await open_socket(ann)
    for name in ("a", 'b"'):
        await connection.send(json.dumps({"id": name, "type": "subscribe", "payload": {"query": LISTS}}))
        assert json.loads(await connection.recv())["id"] == name
    before = server.audiences.rendered_count
    await save_search(ann, VIEWED)
    told = [json.loads(await connection.recv()) for _ in range(2)]
    assert {each["id"] for each in told} == {"a", 'b"'}
    assert told[0]["payload"] == told[1]["payload"]
    assert server.audiences.rendered_count - before == 1
    await connection.send(json.dumps({"id": "a", "type": "complete"}))
    while server.engine.hub.subscriber_count > 1:
        await asyncio.sleep(0.01)
    await save_search(ann, VIEWED)
    assert json.loads(await connection.recv())["id"] == 'b"'
    await connection.close()
    await wait_until_no_streams(server)


async def test_a_stalled_reader_delays_no_others_and_leaks_nothing(server: Server) -> None:
    server.engine.hub.max_queued_entries = 8
    ann = await server.client("Ann")
    connection = await open_socket(ann, ping=None)
    long = " ".join(f"{'x' * 1200}{number}: __typename" for number in range(25))
    query = f"subscription {{ allSavedSearchChanges {{ __typename ... on Change {{ cursor {long} }} }} }}"
    # What the system buffers is soon full.
    connection.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_RCVBUF, 65536)
    connection.transport.pause_reading()
    await connection.send(json.dumps({"id": "deaf", "type": "subscribe", "payload": {"query": query}}))
    async with AsyncExitStack() as stack:
        (stream,) = await many(stack, ann, 1, query)
        names = 250
        for number in range(names):
            await save_search(ann, VIEWED, f"List {number}")
        cursors = [(await stream.frame())["cursor"] for _ in range(names)]
        assert len(set(cursors)) == names
        assert server.engine.hub.overflows > 0
        connection.transport.resume_reading()
        heard = [json.loads(await connection.recv()) for _ in range(1 + names)]
        told = [each["payload"]["data"]["allSavedSearchChanges"]["cursor"] for each in heard]
        assert told[1:] == cursors
        connection.transport.pause_reading()
        connection.transport.abort()
    await wait_until_no_streams(server)
    assert len(server.audiences) == 0


async def test_events_and_parts_share_with_sockets(server: Server) -> None:
    ann = await server.client("Ann")
    async with (
        asyncio.timeout(20),
        AsyncExitStack() as stack,
        open_stream(ann, "text/event-stream", LISTS) as sent,
        open_stream(ann, MULTIPART_TYPE, LISTS) as parts,
    ):
        streams = await many(stack, ann, 3, LISTS)
        told, received = read_events(sent), parts.aiter_text()
        await anext(told)
        text = ""
        while "CaughtUp" not in text:
            text += await anext(received)
        before = server.audiences.rendered_count
        await save_search(ann, VIEWED)
        frame = await streams[0].frame()
        assert frame["__typename"] == "SavedSearchUpserted"
        assert (await anext(told))[1]["data"]["allSavedSearchChanges"] == frame
        while "Upserted" not in text:
            text += await anext(received)
        assert frame["cursor"] in text
        assert server.audiences.rendered_count - before == 1
    await wait_until_no_streams(server)


async def test_a_message_of_any_length_arrives_whole(server: Server) -> None:
    ann = await server.client("Ann")
    for length in (1, 60, 70_000):
        connection = await open_socket(ann)
        alias = "n" * length
        query = f"{{{alias}:__typename}}"
        await connection.send(json.dumps({"id": "a", "type": "subscribe", "payload": {"query": query}}))
        assert json.loads(await connection.recv())["payload"]["data"] == {alias: "Query"}
        await connection.close()
