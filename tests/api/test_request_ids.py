"""A requestId: whoever sends with one again and again, from many places at once, sends once; for 24 h."""

from datetime import timedelta
from typing import Any

import pytest

from command_center.database.connections import database
from tests.support.emails import create_draft, create_person
from tests.support.idempotency import (
    CLIENTS,
    GROUP_SEND,
    REPEATS,
    SELECT_AND_SEND,
    count_rows,
    create_group,
    is_replayed,
    post_concurrently,
    post_with_key,
)
from tests.support.server import ManualClock, Server, serving

pytestmark = pytest.mark.slow

# What has left reads differently from what is about to leave, so the answer asks for what stays.
SEND = """mutation($id:ID!,$at:DateTime,$r:String){emailSend(id:$id,at:$at,requestId:$r){
    email{id subject createdAt} userErrors{message path code}}}"""


@pytest.mark.parametrize("what", ["email", "select and send", "group send"])
async def test_many_clients_with_one_request_id_send_once(server: Server, what: str) -> None:
    ann = await server.client("Ann")
    asked: dict[str, Any]
    if what == "email":
        document = SEND
        asked = {"id": await create_draft(ann, await create_person(ann, "dora@example.org")), "r": "once"}
    elif what == "select and send":
        people = [await create_person(ann, f"{name}@example.org") for name in ("dora", "emil")]
        document, asked = SELECT_AND_SEND, {"i": {"personIds": people, "subject": "S", "body": "B"}}
    else:
        document, asked = GROUP_SEND, {"i": {"groupId": await create_group(ann, 3), "subject": "S", "body": "B"}}
    if "i" in asked:
        asked["i"]["requestId"] = "once"
    answers = await post_concurrently(ann, lambda client: post_with_key(client, None, document, **asked))
    assert len(answers) == REPEATS // CLIENTS * CLIENTS
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.content for answer in answers} == {answers[0].content}
    assert next(iter(answers[0].json()["data"].values()))["userErrors"] == []
    assert await count_rows("send_requests") == 1
    assert await count_rows("bulk_sends") == (0 if what == "email" else 1)
    assert await count_rows("emails") == {"email": 1, "select and send": 2, "group send": 3}[what]


async def test_a_request_id_is_remembered_across_a_restart(database_url: str) -> None:
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        asked = {"groupId": await create_group(ann, 1), "subject": "S", "body": "B", "requestId": "once"}
        first = await post_with_key(ann, None, GROUP_SEND, i=asked)
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        assert (await post_with_key(ann, None, GROUP_SEND, i=asked)).content == first.content
        other = await ann.one(GROUP_SEND, i={**asked, "body": "C"})
        assert [error["code"] for error in other["userErrors"]] == ["TAKEN"]


async def test_a_name_is_forgotten_after_a_day_and_not_before(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    to = await create_person(ann, "dora@example.org")
    mail = [await create_draft(ann, to, f"Mail {place}") for place in range(2)]
    group_ = await create_group(ann, 1)
    asked = {"groupId": group_, "subject": "S", "body": "B", "requestId": "once"}
    first = await ann.one(GROUP_SEND, i=asked)
    clock.advance(timedelta(hours=24) - timedelta(microseconds=1))
    assert await ann.one(GROUP_SEND, i=asked) == first
    refused = await ann.one(SEND, id=mail[0], r="once")
    assert [error["code"] for error in refused["userErrors"]] == ["TAKEN"]
    clock.advance(timedelta(microseconds=1))
    # A request that is refused does not use the name up.
    assert (await ann.one(GROUP_SEND, i={**asked, "subject": ""}))["bulkSend"] is None
    second = await ann.one(GROUP_SEND, i=asked)
    assert (second["userErrors"], second["bulkSend"] == first["bulkSend"]) == ([], False)
    assert await ann.one(GROUP_SEND, i=asked) == second
    clock.advance(timedelta(hours=24))
    # By now it may name something else altogether.
    assert (await ann.one(SEND, id=mail[0], r="once"))["userErrors"] == []
    assert (await ann.one(SEND, id=mail[0], r="once"))["userErrors"] == []
    rows = await database().fetch("SELECT email_id IS NULL AS none, bulk_send_id IS NULL AS no FROM send_requests")
    assert [(bool(row["none"]), bool(row["no"])) for row in rows] == [(False, True)]
    assert await count_rows("bulk_sends") == 2


async def test_a_name_and_a_key_go_together(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    asked = {"groupId": await create_group(ann, 1), "subject": "S", "body": "B", "requestId": "once"}
    first = await post_with_key(ann, "key", GROUP_SEND, i=asked)
    other = await post_with_key(ann, "other", GROUP_SEND, i=asked)
    assert (other.content, is_replayed(other)) == (first.content, False)
    assert await count_rows("bulk_sends") == 1
