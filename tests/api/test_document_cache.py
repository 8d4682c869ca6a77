"""A document is read once for everybody; what may change with each request is looked at in each."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import graphql

from command_center.graphql_engine.overlap import OverlapChecker
from command_center.graphql_engine.rules import find_limit_violations
from tests.support.graphql_http import codes, get, open_websocket, post
from tests.support.server import Server

READING = {
    each.__code__: each.__name__
    for each in (graphql.parse, graphql.validate, find_limit_violations, OverlapChecker.find_conflicts)
}
WHOLE = {"parse": 1, "validate": 1, "find_limit_violations": 1, "find_conflicts": 1}


@contextmanager
def read() -> Iterator[Counter[str]]:
    """How often documents are parsed, held to the limits and validated meanwhile, in the server that runs here."""
    seen = Counter[str]()

    def note(frame: FrameType, event: str, _: Any) -> None:
        # Nothing is put in the place of these functions: Python tells whenever they are called.
        if event == "call" and frame.f_code in READING:
            seen[READING[frame.f_code]] += 1

    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(None)


async def test_a_document_is_parsed_once_for_all_users_and_transports(sqlite_server: Server) -> None:
    text = "query Kept{viewer{called:name}}"
    ann, bob = await sqlite_server.client("Ann"), await sqlite_server.client("Bob")
    with read() as seen:
        first = await post(ann, {"query": text})
    assert (first.json()["data"], seen) == ({"viewer": {"called": "Ann"}}, WHOLE)
    with read() as seen:
        again = await post(ann, {"query": text, "operationName": "Kept", "variables": {"unused": 1}})
        others = await post(bob, {"query": text})
        address = await get(bob, query=text)
        async with open_websocket(sqlite_server, ann.token) as talk:
            await talk.ask("1", text)
            frame = await talk.hear()
    assert again.json()["data"] == frame["payload"]["data"] == {"viewer": {"called": "Ann"}}
    # Only the document is kept, nothing of an answer.
    assert others.json()["data"] == address.json()["data"] == {"viewer": {"called": "Bob"}}
    assert not seen
    with read() as seen:
        assert (await post(ann, {"query": f"{text} "})).json() == again.json()
    assert seen == WHOLE


async def test_a_cached_document_has_the_cost_of_the_current_variables(sqlite_server: Server) -> None:
    text = "query($n:Int){people(first:$n){nodes{groups{people(first:$n){nodes{id}}}}}}"
    ann = await sqlite_server.client("Ann")
    with read() as seen:
        told = [await post(ann, {"query": text, "variables": {"n": number}}) for number in (1, 200, 2)]
    assert seen == WHOLE
    assert [each.json().get("data") is None for each in told] == [False, True, False]
    assert codes(told[1]) == ["COST_EXCEEDED"]


async def test_variables_of_a_cached_document_are_checked_each_time(sqlite_server: Server) -> None:
    text = "query($n:Int! $yes:Boolean!){people(first:$n){nodes{id} pageInfo@include(if:$yes){hasNextPage}}}"
    ann = await sqlite_server.client("Ann")
    with read() as seen:
        right, wrong, absent, other, negative = [
            await post(ann, {"query": text, "variables": each})
            for each in (
                {"n": 1, "yes": True},
                {"n": "one", "yes": True},
                {"yes": True},
                {"n": 1, "yes": False},
                {"n": -1, "yes": True},
            )
        ]
    assert seen == WHOLE
    assert right.json()["data"] == {"people": {"nodes": [], "pageInfo": {"hasNextPage": False}}}
    assert other.json()["data"] == {"people": {"nodes": []}}
    assert codes(wrong) == codes(absent) == ["GRAPHQL_VALIDATION_FAILED"]
    assert codes(negative) == ["BAD_USER_INPUT"]


async def test_the_operation_of_a_cached_document_is_chosen_each_time(sqlite_server: Server) -> None:
    text = 'query A{viewer{name}} mutation B{groupCreate(name:"Friends"){group{name}}}'
    ann = await sqlite_server.client("Ann")
    with read() as seen:
        told = [await post(ann, {"query": text, "operationName": name}) for name in ("A", "B", "C", None, "A")]
        # It was found valid: that does not make an address a way to change anything.
        by_address = await get(ann, query=text, operationName="B")
    assert seen == WHOLE
    assert [each.json().get("data") for each in (told[0], told[4])] == [{"viewer": {"name": "Ann"}}] * 2
    assert told[1].json()["data"] == {"groupCreate": {"group": {"name": "Friends"}}}
    assert codes(told[2]) == codes(told[3]) == ["OPERATION_NOT_FOUND"]
    assert by_address.status_code == 405


async def test_what_was_refused_is_refused_again(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    for text, code in (
        ("{viewer{", "GRAPHQL_PARSE_FAILED"),
        ("{viewer{nothing}}", "GRAPHQL_VALIDATION_FAILED"),
        ("{viewer{" + " ".join(f"a{n}:id" for n in range(100)) + "}}", "TOO_MANY_ALIASES"),
    ):
        with read() as seen:
            told = [await post(ann, {"query": text}) for _ in range(2)]
        assert [codes(each) for each in told] == [[code], [code]]
        assert seen["parse"] == 2
        assert told[0].json() == told[1].json()
