"""A value of a wrong type is reported with its place, whether it stands in the document or in the variables."""

import pytest

from tests.support.graphql_http import codes, post
from tests.support.server import Server

FILTERED = "query($f:EmailFilter){emails(filter:$f){nodes{id}}}"


@pytest.mark.parametrize(
    "document, message",
    [
        ('{emails(filter:{all:[{},{sentAt:{from:"monday"}}]}){nodes{id}}}', "filter.all[1].sentAt.from: A DateTime is"),
        ('{emails(filter:{sentAt:{within:"3 days"}}){nodes{id}}}', "filter.sentAt.within: A Duration is"),
        ('query($from:DateTime="soon"){emails(filter:{sentAt:{from:$from}}){nodes{id}}}', "$from: A DateTime is"),
        ('{tasks(filter:{dueFrom:"2026-02-30"}){nodes{id}}}', "filter.dueFrom: A Date is"),
        ("{emails(filter:{folder:[DELIVERED,NOWHERE]}){nodes{id}}}", "filter.folder[1]: "),
        ("{emails(first:one){nodes{id}}}", "first: "),
    ],
)
async def test_a_value_in_a_document(sqlite_server: Server, document: str, message: str) -> None:
    answer = await post(await sqlite_server.client("Ann"), {"query": document})
    assert codes(answer) == ["GRAPHQL_VALIDATION_FAILED"]
    (error,) = answer.json()["errors"]
    assert error["message"].startswith(message)
    (location,) = error["locations"]
    assert (location["line"], location["column"] > 1) == (1, True)


async def test_a_value_in_the_variables(sqlite_server: Server) -> None:
    variables = {"f": {"all": [{"sentAt": {"from": "monday"}}, {"sentAt": {"within": "3 days"}}]}}
    answer = await post(await sqlite_server.client("Ann"), {"query": FILTERED, "variables": variables})
    assert codes(answer) == ["GRAPHQL_VALIDATION_FAILED"] * 2
    messages = [error["message"] for error in answer.json()["errors"]]
    assert ["all[0].sentAt.from: A DateTime is" in messages[0], "all[1].sentAt.within: A Duration" in messages[1]] == [
        True,
        True,
    ]
