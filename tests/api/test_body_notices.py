"""What authors are told when they save a body: refusals with their paths, and notices of what will not leave."""

from typing import Any

import pytest

from tests.support.emails import create_draft, create_person, send_due_emails, send_email
from tests.support.server import Client, ManualClock, Server

pytestmark = pytest.mark.slow

FORM = "<p onclick='a()'>x</p><form><input></form>"
PAYLOAD = "notices{path message} userErrors{path message code}"
DRAFT = f"mutation($i:EmailDraftInput!){{emailDraft(input:$i){{email{{id}} {PAYLOAD}}}}}"
REVISE = f"mutation($id:ID!,$i:EmailReviseInput!){{emailRevise(id:$id,input:$i){{email{{id}} {PAYLOAD}}}}}"
SELECT = f"mutation($i:SelectAndSendInput!){{emailSelectAndSend(input:$i){{bulkSend{{id}} {PAYLOAD}}}}}"
GROUP = f"mutation($i:GroupSendInput!){{emailGroupSend(input:$i){{bulkSend{{id}} {PAYLOAD}}}}}"
TEMPLATE = f"mutation($i:TemplateInput!){{templateCreate(input:$i){{template{{id}} {PAYLOAD}}}}}"
MAKE_GROUP = 'mutation{groupCreate(name:"G"){group{id}}}'
ADD = "mutation($g:ID!,$p:[ID!]!){groupAddPeople(id:$g,personIds:$p){group{id}}}"


async def save(client: Client, mutation: str, body: str) -> dict[str, Any]:
    """The payload of one of the mutations that take a body."""
    who = await create_person(client, f"p{len(body)}.{mutation.lower()}@example.org")
    text = {"subject": "Hello", "body": body}
    match mutation:
        case "emailDraft":
            payload = await client.one(DRAFT, i={"personId": who, **text})
        case "emailRevise":
            payload = await client.one(REVISE, id=await create_draft(client, who), i={"body": body})
        case "emailSelectAndSend":
            payload = await client.one(SELECT, i={"personIds": [who], **text})
        case "emailGroupSend":
            group = (await client.one(MAKE_GROUP))["group"]["id"]
            await client.one(ADD, g=group, p=[who])
            payload = await client.one(GROUP, i={"groupId": group, **text})
        case _:
            payload = await client.one(TEMPLATE, i={"name": "T", **text})
    return dict(payload)


@pytest.fixture
async def ann(quiet_server: Server) -> Client:
    return await quiet_server.client("Ann")


MUTATIONS = ("emailDraft", "emailRevise", "emailSelectAndSend", "emailGroupSend", "templateCreate")


async def test_removed_markup_is_reported_and_the_text_is_saved(ann: Client) -> None:
    for mutation in MUTATIONS:
        # A body beyond the length that is inspected in the server's own process.
        payload = await save(ann, mutation, FORM + "<p>y</p>" * 1000)
        assert payload.pop("userErrors") == []
        notices = payload.pop("notices")
        assert [each["path"] for each in notices] == [["input", "body"]] * 2
        assert "onclick" in notices[0]["message"]
        assert "<form>" in notices[1]["message"]
        assert next(iter(payload.values()))["id"]


async def test_too_deep_too_long_or_unresolvable_bodies_are_refused(ann: Client) -> None:
    for mutation in MUTATIONS:
        for body in ("<div>" * 101, "<p>x</p>" * 10_001, '<p style="color:{{company}}">x</p>'):
            payload = await save(ann, mutation, body)
            errors = [(each["path"], each["code"]) for each in payload.pop("userErrors")]
            assert errors == [(["input", "body"], "INVALID")]
            assert [payload.pop("notices"), *payload.values()] == [[], None]


async def test_notices_on_edits_have_their_paths(ann: Client) -> None:
    people = [await create_person(ann, f"{name}@example.org") for name in ("dora", "emil")]
    edits = [{"personId": people[0], "subject": "Hi"}, {"personId": people[1], "body": FORM}]
    given = {"personIds": people, "subject": "Hello", "body": "Plain", "edits": edits}
    payload = await ann.one(SELECT, i=given)
    assert [each["path"] for each in payload["notices"]] == [["input", "edits", "1", "body"]] * 2
    given["edits"] = [{"personId": people[1], "body": "<div>" * 101}]
    payload = await ann.one(SELECT, i=given)
    assert [each["path"] for each in payload["userErrors"]] == [["input", "edits", "0", "body"]]


async def test_revising_another_field_returns_no_notices(ann: Client) -> None:
    email = await create_draft(ann, await create_person(ann, "dora@example.org"), body=FORM)
    assert (await ann.one(REVISE, id=email, i={"subject": "Hi"}))["notices"] == []


async def test_long_bodies_are_filled_for_many_recipients(quiet_server: Server, ann: Client) -> None:
    people = [await create_person(ann, f"{name}@example.org") for name in ("dora", "emil")]
    given = {"personIds": people, "subject": "Hello", "body": "Hello {{first_name}}, " + "x" * 5000 + " {{my_name}}"}
    await ann.one(SELECT, i=given)
    await send_due_emails(quiet_server)
    bodies = {each["body"] for each in (await ann.one("{emails(first:9){nodes{body}}}"))["nodes"]}
    assert bodies == {f"Hello {name}, {'x' * 5000} Ann" for name in ("Dora", "Emil")}


async def test_a_long_email_is_composed_and_sent(quiet_server: Server, ann: Client) -> None:
    email = await create_draft(
        ann, await create_person(ann, "dora@example.org"), body="<p>Hello {{first_name}}</p>" * 1000
    )
    await send_email(ann, email)
    post = await send_due_emails(quiet_server)
    assert [len(each.content) > 30_000 for each in post.taken] == [True]


async def test_mail_of_others_leaves_between_long_emails(quiet_server: Server, ann: Client, clock: ManualClock) -> None:
    people = [await create_person(ann, f"{name}@example.org") for name in ("dora", "emil", "finn")]
    await ann.one(SELECT, i={"personIds": people, "subject": "Long", "body": "Hello {{first_name}} " + "x" * 400_000})
    other = await quiet_server.client("Olaf", team="Others")
    await send_email(other, await create_draft(other, await create_person(other, "gina@example.org")))
    assert [each.recipient for each in (await send_due_emails(quiet_server)).taken] == [
        "gina@example.org",
        "dora@example.org",
    ]
    clock.moment += 1_000_000
    assert len((await send_due_emails(quiet_server)).taken) == 2
