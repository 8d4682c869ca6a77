"""Texts that no database can keep are refused by their place; texts that grow when folded are kept."""

from typing import Any

from tests.support.searches import DRAFT, PERSON, RECORD, SAVE, create_email, make_event
from tests.support.server import Client, Server

HALF = "\ud800x"


async def codes(client: Client, document: str, **variables: Any) -> list[tuple[list[str], str]]:
    found = await client.one(document, **variables)
    return [(error["path"], error["code"]) for error in found["userErrors"]]


async def test_lone_surrogates_are_refused_everywhere(server: Server) -> None:
    ann = await server.client("Ann")
    mail = await create_email(ann)
    person = {"name": HALF, "address": f"{HALF}@example.org", "company": HALF}
    assert await codes(ann, PERSON, i=person) == [
        (["input", "name"], "INVALID"),
        (["input", "address"], "INVALID"),
        (["input", "company"], "INVALID"),
    ]
    draft = {"personId": HALF, "subject": HALF, "body": HALF}
    assert [code for _, code in await codes(ann, DRAFT, i=draft)] == ["NOT_FOUND", "INVALID", "INVALID"]
    assert [code for _, code in await codes(ann, SAVE, i={"name": HALF, "filter": {}})] == ["INVALID"]
    subject = {"name": "List", "filter": {"subject": {"contains": HALF}}}
    assert [code for _, code in await codes(ann, SAVE, i=subject)] == ["INVALID"]
    assert [code for _, code in await codes(ann, RECORD, e=[make_event(mail, "VIEW", HALF)])] == ["INVALID"]
    assert (await ann.one("query($s:String){people(search:$s){nodes{id}}}", s=HALF))["nodes"] == []


async def test_a_name_that_grows_when_folded_is_accepted(server: Server) -> None:
    ann = await server.client("Ann")
    name = "ﬃ" * 190
    made = await ann.one(PERSON, i={"name": name, "address": "p@example.org", "company": name})
    assert made["userErrors"] == []
    assert len((await ann.one("query($s:String){people(search:$s){nodes{id}}}", s="ffi"))["nodes"]) == 1


async def test_empty_branches_count_against_the_limit(server: Server) -> None:
    ann = await server.client("Ann")
    assert await codes(ann, SAVE, i={"name": "List", "filter": {"all": [{}] * 64}}) == []
    too_many: list[dict[str, Any]] = [{"all": [{}] * 65}, {"any": [{"all": [{}] * 45}] * 45}]
    for filter in too_many:
        assert [code for _, code in await codes(ann, SAVE, i={"name": "List", "filter": filter})] == ["LIMIT_REACHED"]
    many = {"name": "List", "filter": {"folder": ["DRAFT"] * 1001}}
    assert await codes(ann, SAVE, i=many) == [(["input", "filter", "folder"], "INVALID")]
