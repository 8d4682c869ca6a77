"""graphql-transport-ws to the letter: what ends a socket and with which code, and what only ends an operation."""

import asyncio
import gc
import json
from datetime import timedelta

import httpx
import pytest
import websockets

from command_center.web.authentication import Tokens
from command_center.web.http_protocol import HttpConnection
from command_center.web.websocket_protocol import SocketConnection
from tests.support.graphql_http import PROTOCOL, WebSocketClient, open_websocket
from tests.support.server import PATIENCE, SECRET, Client, Server, serving

WHO = "{viewer{name}}"
LISTS = "subscription($after:ChangeCursor){allSavedSearchChanges(after:$after){__typename ... on Change{cursor}}}"
INIT = '{"type":"connection_init"}'


@pytest.fixture
async def ann(sqlite_server: Server) -> Client:
    return await sqlite_server.client("Ann")


async def test_an_operation_is_answered_and_completed(sqlite_server: Server, ann: Client) -> None:
    async with open_websocket(sqlite_server, ann.token) as talk:
        await talk.ask("a", WHO)
        answer = await talk.hear()
        assert (answer["id"], answer["type"], answer["payload"]["data"]) == ("a", "next", {"viewer": {"name": "Ann"}})
        assert await talk.hear() == {"id": "a", "type": "complete"}
        await talk.ask("a", 'mutation{groupCreate(name:"G"){group{name}}}')
        assert (await talk.hear())["payload"]["data"] == {"groupCreate": {"group": {"name": "G"}}}


async def test_pings_are_answered_and_pongs_accepted(sqlite_server: Server, ann: Client) -> None:
    async with open_websocket(sqlite_server) as talk:
        for message in ({"type": "ping"}, {"type": "ping", "payload": {"a": 1}}, {"type": "ping", "payload": None}):
            await talk.say({"type": "pong"})
            await talk.say(message)
            assert await talk.hear() == {"type": "pong"}


@pytest.mark.parametrize(
    "query, code",
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{nothing}", "GRAPHQL_VALIDATION_FAILED"),
        ("query A{viewer{id}} query B{viewer{id}}", "OPERATION_NOT_FOUND"),
        ("query($n:Int!){people(first:$n){nodes{id}}}", "GRAPHQL_VALIDATION_FAILED"),
        ('subscription{savedSearchChanges(savedSearchId:"x"){__typename}}', "NOT_FOUND"),
        ("{" + " ".join(f"a{n}:viewer{{id}}" for n in range(31)) + "}", "TOO_MANY_ALIASES"),
    ],
)
async def test_request_errors_are_reported_and_the_socket_stays_open(
    sqlite_server: Server, ann: Client, query: str, code: str
) -> None:
    async with open_websocket(sqlite_server, ann.token) as talk:
        await talk.ask("a", query)
        told = await talk.hear()
        assert (told["id"], told["type"]) == ("a", "error")
        assert code in [error["extensions"]["code"] for error in told["payload"]]
        await talk.ask("a", WHO)
        assert (await talk.hear())["type"] == "next"


async def test_a_field_error_is_part_of_the_response(sqlite_server: Server, ann: Client) -> None:
    async with open_websocket(sqlite_server, ann.token) as talk:
        await talk.ask("a", "{viewer{name} people(first:201){nodes{id}}}")
        answer = await talk.hear()
        assert (answer["type"], answer["payload"]["errors"][0]["path"]) == ("next", ["people"])
        assert (await talk.hear())["type"] == "complete"


NOT_OF_THE_PROTOCOL = (
    "[]",
    "1",
    "null",
    '"x"',
    "{",
    "",
    b'{"type":"ping"}',
    "{}",
    '{"type":1}',
    '{"type":"start"}',
    '{"type":"connection_ack"}',
    '{"type":"next","id":"a"}',
    '{"type":"ping","payload":1}',
    '{"type":"subscribe"}',
    '{"type":"subscribe","id":1,"payload":{"query":"{viewer{id}}"}}',
    '{"type":"subscribe","id":"","payload":{"query":"{viewer{id}}"}}',
    '{"type":"subscribe","id":"a"}',
    '{"type":"subscribe","id":"a","payload":null}',
    '{"type":"subscribe","id":"a","payload":[]}',
    '{"type":"subscribe","id":"a","payload":{}}',
    '{"type":"subscribe","id":"a","payload":{"query":1}}',
    '{"type":"subscribe","id":"a","payload":{"query":"{viewer{id}}","variables":[]}}',
    '{"type":"subscribe","id":"a","payload":{"query":"{viewer{id}}","operationName":1}}',
    '{"type":"complete"}',
    '{"type":"complete","id":""}',
    "[" * 100_000,
)


@pytest.mark.slow
@pytest.mark.parametrize("message", NOT_OF_THE_PROTOCOL, ids=[str(place) for place in range(len(NOT_OF_THE_PROTOCOL))])
async def test_a_message_that_is_none_ends_the_socket(sqlite_server: Server, ann: Client, message: str | bytes) -> None:
    async with open_websocket(sqlite_server, ann.token) as talk:
        await talk.say(message)
        code, reason = await talk.end()
        assert (code, bool(reason)) == (4400, True)


async def test_each_breach_of_the_handshake_has_its_code(sqlite_server: Server, ann: Client) -> None:
    for protocols in ([], [websockets.Subprotocol("graphql-ws")]):
        async with open_websocket(sqlite_server, protocols=protocols) as talk:
            assert await talk.end() == (4406, "Subprotocol not acceptable")
    async with open_websocket(sqlite_server, protocols=[websockets.Subprotocol("graphql-ws"), PROTOCOL]) as talk:
        assert talk.socket.subprotocol == PROTOCOL
    async with open_websocket(sqlite_server) as talk:
        await talk.ask("a", WHO)
        assert await talk.end() == (4401, "Unauthorized")
    async with open_websocket(sqlite_server, ann.token) as talk:
        await talk.say(INIT)
        assert await talk.end() == (4429, "Too many initialisation requests")
    for payload in ({}, None, {"authorization": "Bearer x.y.z"}, {"authorization": 1}, {"authorization": [ann.token]}):
        async with open_websocket(sqlite_server) as talk:
            await talk.say({"type": "connection_init", "payload": payload})
            code, reason = await talk.end()
            assert (code, reason.startswith("Forbidden")) == (4403, True)


async def test_the_name_of_an_operation_under_way_is_taken(sqlite_server: Server, ann: Client) -> None:
    async with open_websocket(sqlite_server, ann.token) as talk:
        await talk.ask("a", LISTS)
        await talk.hear()
        await talk.ask("a", WHO)
        assert await talk.end() == (4409, "Subscriber for a already exists")


async def test_a_completed_name_may_be_used_again(sqlite_server: Server, ann: Client) -> None:
    async with open_websocket(sqlite_server, ann.token) as talk:
        for _ in range(3):
            await talk.ask("a", LISTS)
            assert (await talk.hear())["payload"]["data"]["allSavedSearchChanges"]["__typename"] == "CaughtUp"
            await talk.say({"type": "complete", "id": "a"})
        await talk.say({"type": "complete", "id": "never there"})
        await talk.ask("b", WHO)
        assert [(await talk.hear())["id"], (await talk.hear())["type"]] == ["b", "complete"]
        async with asyncio.timeout(PATIENCE):
            while sqlite_server.engine.hub.subscriber_count:
                await asyncio.sleep(0.01)


async def test_a_socket_without_init_is_ended_in_time(sqlite_url: str) -> None:
    async with serving(sqlite_url, SOCKET_INIT_TIME="PT1S") as server:
        ann = await server.client("Ann")
        async with open_websocket(server) as talk, open_websocket(server, ann.token) as other:
            await talk.say({"type": "ping"})
            assert await talk.end() == (4408, "Connection initialisation timeout")
            await asyncio.sleep(0.3)
            await other.ask("a", WHO)
            assert (await other.hear())["type"] == "next"


async def test_concurrent_operations_are_limited(sqlite_url: str) -> None:
    async with serving(sqlite_url, SOCKET_OPERATIONS="3") as server:
        ann = await server.client("Ann")
        async with open_websocket(server, ann.token) as talk:
            for name in "abc":
                await talk.ask(name, LISTS)
                assert (await talk.hear())["type"] == "next"
            await talk.ask("d", LISTS)
            told = await talk.hear()
            assert (told["id"], told["type"], told["payload"][0]["extensions"]["code"]) == (
                "d",
                "error",
                "TOO_MANY_OPERATIONS",
            )
            await talk.say({"type": "complete", "id": "a"})
            await talk.ask("d", LISTS)
            assert (await talk.hear())["type"] == "next"


async def test_operations_on_sockets_count_against_the_request_limit(sqlite_url: str) -> None:
    async with serving(sqlite_url, USER_REQUESTS="5") as server:
        ann = await server.client("Ann")
        async with open_websocket(server, ann.token) as talk:
            for name in "bcde":
                await talk.ask(name, WHO)
                assert [(await talk.hear())["type"], (await talk.hear())["type"]] == ["next", "complete"]
            await talk.ask("f", WHO)
            told = await talk.hear()
            assert (told["type"], told["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")


async def test_a_message_may_be_as_long_as_allowed(sqlite_server: Server, ann: Client) -> None:
    def message(size: int) -> str:
        empty = json.dumps({"id": "a", "type": "subscribe", "payload": {"query": WHO, "x": ""}})
        return empty[:-3] + "x" * (size - len(empty)) + empty[-3:]

    async with open_websocket(sqlite_server, ann.token) as talk:
        await talk.say(message(256_000))
        assert (await talk.hear())["type"] == "next"
    async with open_websocket(sqlite_server, ann.token) as talk:
        await talk.say(message(256_001))
        assert (await talk.end())[0] == 1009


async def test_a_token_of_the_handshake_is_used_where_init_has_none(sqlite_server: Server, ann: Client) -> None:
    good, bad = f"Bearer {ann.token}", "Bearer x.y.z"
    for header, payload, accepted in (
        (good, None, True),
        (good, {}, True),
        (good, {"authorization": None}, True),
        (good, {"Authorization": ""}, True),
        (good.replace("Bearer", "bearer"), {"other": 1}, True),
        (bad, {"authorization": good}, True),
        (good, {"authorization": bad}, False),
        (bad, None, False),
        ("Basic YTpi", None, False),
    ):
        async with open_websocket(sqlite_server, authorization=header) as talk:
            await talk.say({"type": "connection_init"} | ({} if payload is None else {"payload": payload}))
            if accepted:
                assert await talk.hear() == {"type": "connection_ack"}
                await talk.ask("a", WHO)
                assert (await talk.hear())["type"] == "next"
            else:
                code, reason = await talk.end()
                assert (code, reason.startswith("Forbidden")) == (4403, True)


async def test_an_expired_token_closes_the_socket_and_the_next_resumes(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    user = await sqlite_server.user("Ann")
    token = Tokens(SECRET).issue(user, (), timedelta(seconds=2))
    async with open_websocket(sqlite_server, token) as talk:
        await talk.ask("a", LISTS)
        cursor = (await talk.hear())["payload"]["data"]["allSavedSearchChanges"]["cursor"]
        async with asyncio.timeout(PATIENCE):
            code, reason = await talk.end()
        assert (code, reason) == (4403, "Forbidden: The token has expired.")
    await ann('mutation{savedSearchCreate(input:{name:"All" filter:{}}){savedSearch{id}}}')
    async with open_websocket(sqlite_server, ann.token) as talk:
        await talk.ask("a", LISTS, variables={"after": cursor})
        assert (await talk.hear())["payload"]["data"]["allSavedSearchChanges"]["__typename"] == "SavedSearchUpserted"


async def test_whatever_ends_a_socket_nothing_of_it_is_left(sqlite_server: Server, ann: Client) -> None:
    before = len(asyncio.all_tasks())

    async def rudely(talk: WebSocketClient) -> None:
        talk.socket.transport.abort()

    async def politely(talk: WebSocketClient) -> None:
        await talk.socket.close()

    async def wrongly(talk: WebSocketClient) -> None:
        await talk.say("[]")
        await talk.end()

    for leave in (rudely, politely, wrongly):
        async with open_websocket(sqlite_server, ann.token) as talk:
            for name in range(20):
                await talk.ask(str(name), LISTS)
            await talk.hear()
            await leave(talk)
        async with asyncio.timeout(PATIENCE):
            while sqlite_server.engine.hub.subscriber_count or len(asyncio.all_tasks()) > before + 1:
                await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_ten_thousand_messages_are_all_answered_or_refused(sqlite_server: Server, ann: Client) -> None:
    async with open_websocket(sqlite_server, ann.token) as talk:
        heard = asyncio.create_task(count(talk, 10_000))
        for number in range(10_000):
            await talk.ask(str(number), WHO)
        async with asyncio.timeout(60):
            answers, refused = await heard
    assert answers + refused == 10_000
    assert answers >= 100


async def count(talk: WebSocketClient, operations: int) -> tuple[int, int]:
    """How many operations were completed and how many refused."""
    completed = refused = 0
    while completed + refused < operations:
        message = await talk.hear()
        completed += message["type"] == "complete"
        refused += message["type"] == "error"
    return completed, refused


def open_connections() -> int:
    # By the type, as `isinstance` would look through weak references to what is gone.
    return sum(issubclass(type(each), HttpConnection | SocketConnection) for each in gc.get_objects())


async def test_a_closed_connection_is_freed_without_garbage_collection(sqlite_server: Server, ann: Client) -> None:
    async def come_and_go() -> None:
        async with open_websocket(sqlite_server, ann.token) as talk:
            await talk.ask("a", LISTS)
            assert (await talk.hear())["payload"]["data"]["allSavedSearchChanges"]["__typename"] == "CaughtUp"
        async with httpx.AsyncClient(base_url=sqlite_server.url) as client:
            assert (await client.get("/healthz")).status_code == 200

    await come_and_go()
    gc.collect()
    gc.disable()
    try:
        before = open_connections()
        for _ in range(5):
            await come_and_go()
        async with asyncio.timeout(PATIENCE):
            while open_connections() > before:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_an_invalid_mutation_that_is_cancelled_leaves_no_error(
    sqlite_server: Server, ann: Client, caplog: pytest.LogCaptureFixture
) -> None:
    text = "mutation($ids:[ID!]!){emailArchive(ids:$ids){emails{id}}}"
    async with open_websocket(sqlite_server, ann.token) as talk:
        for number in range(50):
            subscribe = {"query": text, "variables": {"ids": [{"not": "an id"}]}}
            await talk.say({"id": str(number), "type": "subscribe", "payload": subscribe})
            await talk.say({"id": str(number), "type": "complete"})
            await asyncio.sleep(number % 5 * 0.0005)
        await talk.say({"type": "ping"})
        while (await talk.hear())["type"] != "pong":
            pass
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
