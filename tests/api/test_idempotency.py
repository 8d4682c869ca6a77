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
    ask,
    codes,
    group,
    number,
    replayed,
    together,
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
        asked = {"groupId": await group(ann, 3), "subject": "Hello", "body": "Hi"}
    before = await number(table)
    answers = await together(ann, lambda client: ask(client, "once", document, i=asked))
    assert len(answers) == REPEATS // CLIENTS * CLIENTS
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert [replayed(answer) for answer in answers].count(False) == 1
    assert next(iter(answers[0].json()["data"].values()))["userErrors"] == []
    assert await number(table) == before + 1


async def test_a_key_is_remembered_across_a_restart(database_url: str) -> None:
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        first = await ask(ann, "once", PERSON, i=DORA)
    async with serving(database_url, works=False) as server:
        ann = await server.client("Ann")
        again = await ask(ann, "once", PERSON, i=DORA)
        assert (again.content, replayed(first), replayed(again)) == (first.content, False, True)
        assert codes(await ask(ann, "once", PERSON, i={**DORA, "name": "Other"})) == ["TAKEN"]
        assert await number("people") == 1


async def test_a_key_is_taken_for_any_other_request(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    await ask(ann, "once", PERSON, i=DORA)
    others = (
        await ask(ann, "once", PERSON, i={**DORA, "company": "Fox"}),
        await ask(ann, "once", PERSON + " ", i=DORA),
        await ask(ann, "once", CAMPAIGN, n="Spring"),
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
    assert await number("people") == 1
    # The order of what is in an object says nothing.
    turned = dict(reversed(DORA.items()))
    assert replayed(await ask(ann, "once", PERSON, i=turned))


async def test_each_user_has_keys_of_their_own(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    one, other = await ask(ann, "once", CAMPAIGN, n="Spring"), await ask(bob, "once", CAMPAIGN, n="Autumn")
    assert not replayed(other)
    assert one.json() != other.json()
    assert await number("campaigns") == 2


async def test_a_key_is_forgotten_after_a_day_and_not_before(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    first = await ask(ann, "once", CAMPAIGN, n="Spring")
    # Tokens live by the real clock, rows by the test's.
    clock.advance(timedelta(hours=24) - timedelta(microseconds=1))
    assert (await ask(ann, "once", CAMPAIGN, n="Spring")).content == first.content
    clock.advance(timedelta(microseconds=1))
    second = await ask(ann, "once", CAMPAIGN, n="Spring")
    assert (replayed(second), second.content == first.content) == (False, False)
    assert (await ask(ann, "once", CAMPAIGN, n="Spring")).content == second.content
    clock.advance(timedelta(hours=24))
    assert not replayed(await ask(ann, "once", PERSON, i=DORA))
    assert await number("campaigns") == 2


async def test_several_fields_are_done_once_all_together(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    answers = [await ask(ann, "once", BOTH, i=DORA, n="Spring") for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert (await number("people"), await number("campaigns")) == (1, 1)


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
    first = await ask(ann, "once", PERSON, i={"name": " ", "address": "nowhere"})
    again = await ask(ann, "once", PERSON, i={"name": " ", "address": "nowhere"})
    assert [error["code"] for error in first.json()["data"]["personCreate"]["userErrors"]] == ["BLANK", "INVALID"]
    assert (again.content, replayed(again)) == (first.content, True)


async def test_a_partial_failure_is_stored_and_not_repeated(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann", scopes=())
    answers = [await ask(ann, "once", PART, n="Spring") for _ in range(2)]
    assert [codes(answer) for answer in answers] == [["FORBIDDEN"]] * 2
    assert [replayed(answer) for answer in answers] == [False, True]
    assert answers[0].content == answers[1].content
    assert await number("campaigns") == 1


async def test_a_request_that_failed_without_a_write_may_be_repeated(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    bad = await ask(ann, "once", PERSON, i={"name": "Dora"})
    assert (codes(bad), await number("idempotent_requests")) == (["GRAPHQL_VALIDATION_FAILED"], 0)
    good = await ask(ann, "once", PERSON, i=DORA)
    assert (good.json()["data"]["personCreate"]["userErrors"], replayed(good)) == ([], False)
    # Whoever lacks a scope fails, and does better with another token.
    lacking = await quiet_server.client("Ann", scopes=())
    assert codes(await ask(lacking, "event", RECORD, e=[])) == ["FORBIDDEN"]
    assert "errors" not in (await ask(ann, "event", RECORD, e=[])).json()


async def test_a_query_ignores_the_header(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    for key in ("once", "once", "", "ä", "two words"):
        answer = await ask(ann, key, "{viewer{id}}")
        assert (answer.json()["data"], replayed(answer)) == ({"viewer": {"id": ann.user_id}}, False)
    assert await number("idempotent_requests") == 0


@pytest.mark.parametrize("key", ["", "two words", '"open', '"shut" more', '"', '"a\\b"', '""', "x" * 201, "é"])
async def test_a_key_that_is_none_is_refused(quiet_server: Server, key: str) -> None:
    ann = await quiet_server.client("Ann")
    answer = await ask(ann, key, PERSON, i=DORA)
    assert (answer.status_code, codes(answer)) == (400, ["BAD_USER_INPUT"])
    assert await number("people") == 0


async def test_a_key_may_be_written_as_a_structured_string(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    plain = await ask(ann, 'a"b\\c', CAMPAIGN, n="Spring")
    quoted = await ask(ann, '"a\\"b\\\\c"', CAMPAIGN, n="Spring")
    assert (quoted.content, replayed(quoted)) == (plain.content, True)
    assert not replayed(await ask(ann, "x" * 200, CAMPAIGN, n="Spring"))
