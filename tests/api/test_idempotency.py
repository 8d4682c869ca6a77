"""An Idempotency-Key: however often a mutation is asked for with it, it is done once and answered alike."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.idempotency import (
    CAMPAIGN,
    CLIENTS,
    GROUP_SEND,
    PERSON,
    RECORD,
    REPEATS,
    TASK,
    codes,
    count_rows,
    create_group,
    is_replayed,
    post_concurrently,
    post_with_key,
)
from tests.support.server import ManualClock, Server, serving

pytestmark = pytest.mark.slow

DORA = {"name": "Dora", "address": "dora@example.org"}
BOTH = """mutation Both($i:PersonInput!,$n:String!){
    personCreate(input:$i){person{id}} campaignCreate(name:$n){campaign{id}}}"""
TWO = 'mutation One{campaignCreate(name:"One"){campaign{id}}} mutation Two{campaignCreate(name:"Two"){campaign{id}}}'
PART = """mutation($n:String!){campaignCreate(name:$n){campaign{id}}
    engagementRecord(events:[]){recorded}}"""


@pytest.mark.parametrize("what", ["person", "task", "group send"])
async def test_many_clients_with_one_key_get_one_row_and_equal_bytes(server: Server, what: str) -> None:
    ann = await server.client("Ann")
    asked: dict[str, Any]
    if what == "person":
        table, document, asked = "people", PERSON, DORA
    elif what == "task":
        dora = (await ann.one(PERSON, i=DORA))["person"]["id"]
        table, document = "tasks", TASK
        asked = {"name": "Call", "kind": "CALL", "personId": dora, "dueOn": "2030-01-01"}
    else:
        table, document = "bulk_sends", GROUP_SEND
        asked = {"groupId": await create_group(ann, 3), "subject": "Hello", "body": "Hi"}
    before = await count_rows(table)
    answers = await post_concurrently(ann, lambda client: post_with_key(client, "once", document, i=asked))
    assert len(answers) == REPEATS // CLIENTS * CLIENTS
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert [is_replayed(answer) for answer in answers].count(False) == 1
    assert next(iter(answers[0].json()["data"].values()))["userErrors"] == []
    assert await count_rows(table) == before + 1


async def test_a_key_is_remembered_across_a_restart(database_url: str) -> None:
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        first = await post_with_key(ann, "once", PERSON, i=DORA)
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        again = await post_with_key(ann, "once", PERSON, i=DORA)
        assert (again.content, is_replayed(first), is_replayed(again)) == (first.content, False, True)
        assert codes(await post_with_key(ann, "once", PERSON, i={**DORA, "name": "Other"})) == ["TAKEN"]
        assert await count_rows("people") == 1


async def test_a_key_is_taken_for_any_other_request(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    await post_with_key(ann, "once", PERSON, i=DORA)
    others = (
        await post_with_key(ann, "once", PERSON, i={**DORA, "company": "Fox"}),
        await post_with_key(ann, "once", PERSON + " ", i=DORA),
        await post_with_key(ann, "once", CAMPAIGN, n="Spring"),
    )
    for other in others:
        assert other.status_code == 422
        assert other.json() == {
            "errors": [
                {
                    "message": "This Idempotency-Key was used for another request.",
                    "extensions": {"code": "TAKEN"},
                }
            ]
        }
    assert await count_rows("people") == 1
    # The order of what is in an object says nothing.
    turned = dict(reversed(DORA.items()))
    assert is_replayed(await post_with_key(ann, "once", PERSON, i=turned))


async def test_each_user_has_keys_of_their_own(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    one, other = (
        await post_with_key(ann, "once", CAMPAIGN, n="Spring"),
        await post_with_key(bob, "once", CAMPAIGN, n="Autumn"),
    )
    assert not is_replayed(other)
    assert one.json() != other.json()
    assert await count_rows("campaigns") == 2


async def test_a_key_is_forgotten_after_a_day_and_not_before(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    first = await post_with_key(ann, "once", CAMPAIGN, n="Spring")
    # Tokens live by the real clock, rows by the test's.
    clock.advance(timedelta(hours=24) - timedelta(microseconds=1))
    assert (await post_with_key(ann, "once", CAMPAIGN, n="Spring")).content == first.content
    clock.advance(timedelta(microseconds=1))
    second = await post_with_key(ann, "once", CAMPAIGN, n="Spring")
    assert (is_replayed(second), second.content == first.content) == (False, False)
    assert (await post_with_key(ann, "once", CAMPAIGN, n="Spring")).content == second.content
    clock.advance(timedelta(hours=24))
    assert not is_replayed(await post_with_key(ann, "once", PERSON, i=DORA))
    assert await count_rows("campaigns") == 2


async def test_several_fields_are_done_once_all_together(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    answers = [await post_with_key(ann, "once", BOTH, i=DORA, n="Spring") for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert (await count_rows("people"), await count_rows("campaigns")) == (1, 1)


async def test_two_operations_of_one_document_are_two_requests(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    headers = {"Authorization": f"Bearer {ann.token}", "Idempotency-Key": "once"}
    answers = [
        await ann.http.post(f"{ann.url}/graphql", json={"query": TWO, "operationName": name}, headers=headers)
        for name in ("One", "Two", "One")
    ]
    assert [answer.status_code for answer in answers] == [200, 422, 200]
    assert answers[0].content == answers[2].content


async def test_a_refused_request_is_replayed_with_the_same_errors(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    first = await post_with_key(ann, "once", PERSON, i={"name": " ", "address": "nowhere"})
    again = await post_with_key(ann, "once", PERSON, i={"name": " ", "address": "nowhere"})
    assert [error["code"] for error in first.json()["data"]["personCreate"]["userErrors"]] == ["BLANK", "INVALID"]
    assert (again.content, is_replayed(again)) == (first.content, True)


async def test_a_partial_failure_is_stored_and_not_repeated(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann", scopes=())
    answers = [await post_with_key(ann, "once", PART, n="Spring") for _ in range(2)]
    assert [codes(answer) for answer in answers] == [["FORBIDDEN"]] * 2
    assert [is_replayed(answer) for answer in answers] == [False, True]
    assert answers[0].content == answers[1].content
    assert await count_rows("campaigns") == 1


async def test_a_request_that_failed_without_a_write_may_be_repeated(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    bad = await post_with_key(ann, "once", PERSON, i={"name": "Dora"})
    assert (codes(bad), await count_rows("idempotent_requests")) == (["GRAPHQL_VALIDATION_FAILED"], 0)
    good = await post_with_key(ann, "once", PERSON, i=DORA)
    assert (good.json()["data"]["personCreate"]["userErrors"], is_replayed(good)) == ([], False)
    # Whoever lacks a scope fails, and does better with another token.
    lacking = await quiet_server.client("Ann", scopes=())
    assert codes(await post_with_key(lacking, "event", RECORD, e=[])) == ["FORBIDDEN"]
    assert "errors" not in (await post_with_key(ann, "event", RECORD, e=[])).json()


async def test_a_query_ignores_the_header(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    for key in ("once", "once", "", "ä", "two words"):
        answer = await post_with_key(ann, key, "{viewer{id}}")
        assert (answer.json()["data"], is_replayed(answer)) == ({"viewer": {"id": ann.user_id}}, False)
    assert await count_rows("idempotent_requests") == 0


@pytest.mark.parametrize("key", ["", "two words", '"open', '"shut" more', '"', '"a\\b"', '""', "x" * 201, "é"])
async def test_a_key_that_is_none_is_refused(quiet_server: Server, key: str) -> None:
    ann = await quiet_server.client("Ann")
    answer = await post_with_key(ann, key, PERSON, i=DORA)
    assert (answer.status_code, codes(answer)) == (400, ["BAD_USER_INPUT"])
    assert await count_rows("people") == 0


async def test_a_key_may_be_written_as_a_structured_string(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    plain = await post_with_key(ann, 'a"b\\c', CAMPAIGN, n="Spring")
    quoted = await post_with_key(ann, '"a\\"b\\\\c"', CAMPAIGN, n="Spring")
    assert (quoted.content, is_replayed(quoted)) == (plain.content, True)
    assert not is_replayed(await post_with_key(ann, "x" * 200, CAMPAIGN, n="Spring"))
