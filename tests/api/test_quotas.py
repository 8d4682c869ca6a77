"""What one user may hold open over all connections, on both sides of each limit, and given back however it ends."""

import asyncio
import json
from typing import Any

import pytest

from command_center.api.parameters import VALUE_BYTES, parse_parameters
from command_center.api.quotas import QuotaExceeded, UserQuotas
from command_center.api.websocket import ID_CHARACTERS
from command_center.graphql_engine.documents import Documents
from command_center.graphql_engine.limits import DocumentLimits, UserLimits
from command_center.server.schema_hints import HINTS
from tests.support.graphql_http import WebSocketClient, codes, open_websocket, post
from tests.support.http_streams import open_stream
from tests.support.schemas import product_schema
from tests.support.server import PATIENCE, Client, Server, serving

EVENTS = "text/event-stream"
LISTS = "subscription{allSavedSearchChanges{__typename}}"
UNKNOWN = 'subscription{savedSearchChanges(savedSearchId:"nothing"){__typename}}'
INIT = {"type": "connection_init"}


async def _subscribed(talk: WebSocketClient, name: str, **more: Any) -> str:
    """Subscribe, and return the type of the first message, or the code of the error."""
    await talk.ask(name, LISTS, **more)
    told = await talk.hear()
    assert told["id"] == name
    return str(told["type"] if told["type"] == "next" else told["payload"][0]["extensions"]["code"])


async def _streamed(client: Client, query: str = LISTS) -> int:
    """Open a stream of events, read its first message, leave; return the status."""
    async with open_stream(client, EVENTS, query) as response:
        if response.status_code == 200:
            async for text in response.aiter_text():
                if "event: next" in text:
                    break
        return response.status_code


async def test_an_operation_id_may_be_as_long_as_allowed(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    for id_ in ("i" * ID_CHARACTERS, "🙂" * ID_CHARACTERS):
        async with open_websocket(sqlite_server, ann.token) as talk:
            assert await _subscribed(talk, id_) == "next"
            await talk.say({"type": "complete", "id": id_})
            await talk.ask(f"{id_}i", LISTS)
            assert await talk.end() == (4400, "An operation's id has at most 256 characters")
        async with open_websocket(sqlite_server, ann.token) as talk:
            await talk.say({"type": "complete", "id": f"{id_}i"})
            assert (await talk.end())[0] == 4400


async def test_a_user_has_as_many_sockets_as_allowed(sqlite_url: str) -> None:
    async with serving(sqlite_url, USER_SOCKETS="3") as server:
        ann, bob = await server.client("Ann"), await server.client("Bob")
        async with open_websocket(server, ann.token), open_websocket(server, ann.token), open_websocket(server) as idle:
            async with open_websocket(server, ann.token), open_websocket(server, bob.token):
                async with open_websocket(server) as talk:
                    await talk.say({**INIT, "payload": {"authorization": f"Bearer {ann.token}"}})
                    assert await talk.end() == (1013, "A user may have 3 WebSockets open at once.")
                # A refused one does not count when it ends.
                async with open_websocket(server) as talk:
                    await talk.say({**INIT, "payload": {"authorization": f"Bearer {ann.token}"}})
                    assert (await talk.end())[0] == 1013
            await idle.say({**INIT, "payload": {"authorization": f"Bearer {ann.token}"}})
            assert await idle.hear() == {"type": "connection_ack"}


async def test_subscriptions_of_a_user_are_limited_over_all_transports(sqlite_url: str) -> None:
    async with serving(sqlite_url, USER_SUBSCRIPTIONS="3") as server:
        ann, bob = await server.client("Ann"), await server.client("Bob")
        async with (
            open_websocket(server, ann.token) as one,
            open_websocket(server, ann.token) as two,
            open_stream(ann, EVENTS),
        ):
            assert [await _subscribed(one, "a"), await _subscribed(two, "a")] == ["next", "next"]
            assert await _subscribed(one, "b") == "TOO_MANY_OPERATIONS"
            refused = await post(ann, {"query": LISTS}, accept=EVENTS)
            assert (refused.status_code, codes(refused)) == (429, ["TOO_MANY_OPERATIONS"])
            assert "3 subscriptions" in refused.text
            assert await _streamed(bob) == 200
            # A query is no subscription, and what is given up can be used with the next message.
            await one.ask("c", "{viewer{name}}")
            assert [(await one.hear())["type"] for _ in range(2)] == ["next", "complete"]
            await one.say({"type": "complete", "id": "a"})
            assert await _subscribed(one, "d") == "next"


async def test_a_subscription_is_given_back_however_it_ends(sqlite_url: str) -> None:
    async with serving(sqlite_url, USER_SUBSCRIPTIONS="1", USER_SOCKETS="1") as server:
        ann = await server.client("Ann")

        async def again(attempt: Any) -> None:
            """Repeat until it succeeds: the server may not have noticed yet that the client is gone."""
            async with asyncio.timeout(PATIENCE):
                while not await attempt():
                    await asyncio.sleep(0.01)

        async def over_socket(close: bool) -> bool:
            async with open_websocket(server) as talk:
                await talk.say({**INIT, "payload": {"authorization": f"Bearer {ann.token}"}})
                if b"connection_ack" not in await talk.socket.recv(decode=False):
                    return False
                if await _subscribed(talk, "a") != "next":
                    return False
                if not close:
                    talk.socket.transport.abort()
                return True

        async def over_http(query: str) -> bool:
            return await _streamed(ann, query) == 200

        async def head() -> bool:
            headers = {"accept": EVENTS, "authorization": f"Bearer {ann.token}"}
            return (
                await ann.http.head(f"{ann.url}/graphql", params={"query": LISTS}, headers=headers)
            ).status_code == 200

        for _ in range(2):
            await again(lambda: over_socket(True))
            await again(lambda: over_socket(False))
            await again(lambda: over_http(LISTS))
            await again(lambda: over_http(UNKNOWN))
            await again(head)


async def test_open_operations_of_a_user_are_limited_in_memory(sqlite_url: str) -> None:
    async with serving(sqlite_url, USER_OPERATION_BYTES="1000000") as server:
        ann = await server.client("Ann")
        async with open_websocket(server, ann.token) as one, open_websocket(server, ann.token) as two:
            # Variables that the operation does not use are kept with it too.
            large = {"variables": {"unused": "x" * 200_000}}
            found = [await _subscribed(talk, name, **large) for name in "abc" for talk in (one, two)]
            assert found == ["next"] * 4 + ["TOO_MANY_OPERATIONS"] * 2
            await one.say({"type": "complete", "id": "a"})
            assert await _subscribed(one, "d", **large) == "next"
            # Queries under way count as well.
            await one.ask("e", "{viewer{name}}", **large)
            assert (await one.hear())["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"


def test_memory_is_counted_to_the_byte_and_a_document_once() -> None:
    documents = Documents(product_schema(), DocumentLimits(), HINTS)
    prepared, other = documents.prepare(LISTS, None), documents.prepare(LISTS.replace("{", " {", 1), None)
    asked = parse_parameters({"query": LISTS}, 1)
    quotas = UserQuotas(UserLimits(bytes=2 * asked.bytes + prepared.bytes))
    first, second = quotas.hold(1, asked), quotas.hold(1, asked)
    for hold in (first, second):
        hold.subscribe(prepared)
    with pytest.raises(QuotaExceeded, match=f"{quotas.limits.bytes:,} bytes"):
        quotas.hold(1, parse_parameters({"query": ""}, 1))
    quotas.hold(2, asked).subscribe(prepared)
    first.release()
    first.release()
    # The document is still held by the second.
    third = quotas.hold(1, asked)
    with pytest.raises(QuotaExceeded):
        third.subscribe(other)
    third.subscribe(prepared)
    for hold in (second, third):
        hold.release()
    assert len(quotas) == 1
    full = UserQuotas(UserLimits(bytes=asked.bytes - 1))
    with pytest.raises(QuotaExceeded):
        full.hold(1, asked)
    assert len(full) == 0


@pytest.mark.parametrize(
    "variables, values, cost",
    [
        (None, 0, 0),
        ({}, 0, 0),
        ({"a": 1}, 1, 0),
        ({"a": [1] * 8}, 9, 0),
        ({"a": [1] * 9}, 10, 1),
        ({"a": "x" * 999}, 1, 0),
        ({"a": "x" * 1_000}, 1, 1),
        ({"a": ["x" * 500] * 20}, 21, 12),
    ],
)
def test_variables_count_by_their_values_and_characters(variables: Any, values: int, cost: int) -> None:
    asked = parse_parameters({"query": "{viewer{id}}", "variables": variables}, 1_000)
    assert (asked.values, asked.cost) == (values, cost)
    assert asked.bytes >= len(asked.query) + VALUE_BYTES * values
    assert asked.bytes >= len(json.dumps(variables or ""))


async def test_variables_are_part_of_the_reported_and_limited_cost(sqlite_url: str) -> None:
    async with serving(sqlite_url, QUERY_COST="150") as server:
        ann = await server.client("Ann")
        for values, status in ((998, 200), (1_008, 400)):
            # 50 people and the list itself: 100 and 101 for the variables.
            body = {"query": "{people{nodes{id}}}", "variables": {"unused": [1] * (values + 1)}}
            answer = await post(ann, body, accept="application/graphql-response+json")
            assert answer.status_code == status
            if status == 200:
                assert answer.json()["extensions"]["cost"] == {"requested": 150, "allowed": 150}
            else:
                assert codes(answer) == ["COST_EXCEEDED"]
                assert "its variables count as 101 more; 150 are allowed" in answer.text
