"""Subscriptions over HTTP: server-sent events and multipart, to their end."""

import asyncio
import json
import re
from datetime import timedelta

import httpx
import pytest

from command_center.api.streaming import HEARTBEAT_SECONDS
from command_center.web.authentication import Tokens
from tests.support.emails import create_person
from tests.support.graphql_http import codes, post
from tests.support.http_streams import LISTS, MULTIPART_TYPE, open_stream, read_events
from tests.support.server import PATIENCE, SECRET, Server
from tests.support.tasks import create_task

SAVE = 'mutation{savedSearchCreate(input:{name:"All" filter:{}}){savedSearch{id}}}'
UNKNOWN_LIST = 'subscription{savedSearchChanges(savedSearchId:"nothing"){__typename}}'


async def test_server_sent_events_end_when_the_client_disconnects(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    async with asyncio.timeout(PATIENCE), open_stream(ann, "text/event-stream") as response:
        assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert response.headers["cache-control"] == "no-cache"
        frames = read_events(response)
        assert (await anext(frames))[1]["data"]["allSavedSearchChanges"]["__typename"] == "CaughtUp"
        await ann(SAVE)
        kind, frame = await anext(frames)
        assert (kind, frame["data"]["allSavedSearchChanges"]["__typename"]) == ("next", "SavedSearchUpserted")
    async with asyncio.timeout(PATIENCE):
        while sqlite_server.engine.hub.subscriber_count:
            await asyncio.sleep(0.01)


async def test_multipart_responses_have_the_format_of_apollo_client(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    async with asyncio.timeout(PATIENCE), open_stream(ann, MULTIPART_TYPE) as response:
        assert response.headers["content-type"] == 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
        received = ""
        async for text in response.aiter_text():
            received += text
            if "CaughtUp" in received and "Upserted" not in received:
                await ann(SAVE)
            if "Upserted" in received:
                break
    parts = [part.strip() for part in received.split("--graphql") if part.strip()]
    payloads = [json.loads(part.split("\r\n\r\n", 1)[1])["payload"] for part in parts]
    assert [each["data"]["allSavedSearchChanges"]["__typename"] for each in payloads][-1] == "SavedSearchUpserted"


class Body:
    """What a stream sent so far. A message may come in several chunks, but never waits for the next message."""

    def __init__(self, response: httpx.Response) -> None:
        self.text = ""
        self._chunks = response.aiter_text()

    async def until(self, ending: str) -> str:
        """Read until the text ends so, within a time well below that of the heartbeat."""
        async with asyncio.timeout(HEARTBEAT_SECONDS / 3):
            while not self.text.endswith(ending):
                self.text += await anext(self._chunks)
        return self.text


@pytest.mark.parametrize("accept, ending", [(MULTIPART_TYPE, "\r\n--graphql\r\n"), ("text/event-stream", "\n\n")])
async def test_each_message_is_complete_without_the_next_one(sqlite_server: Server, accept: str, ending: str) -> None:
    ann = await sqlite_server.client("Ann")
    someone = await create_person(ann, "bob@people.example")
    async with open_stream(ann, accept, "subscription{taskChanges{__typename}}") as response:
        body = Body(response)
        assert "CaughtUp" in await body.until(f"}}{ending}")
        for number in range(3):
            body.text = ""
            await create_task(ann, someone)
            assert "TaskUpserted" in await body.until(f"}}{ending}"), number


async def test_multipart_headers_and_the_last_boundary_are_terminated(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    async with open_stream(ann, MULTIPART_TYPE, UNKNOWN_LIST) as response:
        text = (await response.aread()).decode()
    before, *parts, after = re.split("\r\n--graphql(?:--)?\r\n", text)
    assert (before, after) == ("", "")
    assert text.endswith("\r\n--graphql--\r\n")
    bodies = []
    for part in parts:
        headers, _, body = part.partition("\r\n\r\n")
        assert headers == f"content-type: application/json\r\ncontent-length: {len(body)}"
        bodies.append(json.loads(body))
    assert [list(body) for body in bodies] == [["payload"], []]


@pytest.mark.parametrize(
    "query, code",
    [
        (UNKNOWN_LIST, "NOT_FOUND"),
        ("subscription{nothing}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription{", "GRAPHQL_PARSE_FAILED"),
    ],
)
async def test_a_refused_stream_has_an_error_and_completes(sqlite_server: Server, query: str, code: str) -> None:
    ann = await sqlite_server.client("Ann")
    async with open_stream(ann, "text/event-stream", query) as response:
        found = [each async for each in read_events(response)]
    assert [kind for kind, _ in found] == ["next", "complete"]
    assert [error["extensions"]["code"] for error in found[0][1]["errors"]] == [code]
    assert "data" not in found[0][1]
    async with open_stream(ann, MULTIPART_TYPE, query) as response:
        text = (await response.aread()).decode()
    assert code in text


async def test_a_query_that_accepts_only_events_is_one_event(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    async with open_stream(ann, "text/event-stream", "{viewer{name}}") as response:
        found = [each async for each in read_events(response)]
    assert [kind for kind, _ in found] == ["next", "complete"]
    assert found[0][1]["data"] == {"viewer": {"name": "Ann"}}


async def test_a_subscription_needs_a_reader_of_streams(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    answer = await post(ann, {"query": LISTS}, accept="application/json")
    assert (answer.status_code, codes(answer)) == (406, ["NOT_ACCEPTABLE"])


async def test_a_stream_ends_with_its_token(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    user = await sqlite_server.user("Ann")
    token = Tokens(SECRET).issue(user, (), timedelta(seconds=2))
    async with asyncio.timeout(PATIENCE), open_stream(ann, "text/event-stream", token=token) as response:
        found = [each async for each in read_events(response)]
    assert [kind for kind, _ in found] == ["next", "next", "complete"]
    assert found[1][1]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
