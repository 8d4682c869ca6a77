"""The body of a bulk send is stored once, and each email still shows exactly what was sent."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from command_center.actions.markup.shared_texts import as_stored, filled_text, stored_values
from command_center.mail.transport import Deferred
from models.campaigns import BulkSend
from models.emails import Email
from models.people import Person
from tests.support.emails import RecipientTransport, create_person, moment, send_due_emails
from tests.support.server import Client, ManualClock, Server

SEND = """mutation($i:SelectAndSendInput!){emailSelectAndSend(input:$i){
    bulkSend{id emails(first:9){nodes{id person{name} subject body}}} userErrors{path message code}}}"""
SHOW = "query($id:ID!){email(id:$id){folder subject body failure{code}}}"
PAGE = "query{emails(first:9,orderBy:{field:CREATED_AT,direction:ASC}){nodes{subject body bulkSend{emailCount}}}}"
REVISE = "mutation($id:ID!,$i:EmailReviseInput!){emailRevise(id:$id,input:$i){email{body} userErrors{code path}}}"
BODY = '<p>Dear {{first_name}} of {{ company | default: "your team" }}, {{first_name}}.</p>'
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5), TEXT)
def test_values_in_their_places_make_the_text(pairs: list[tuple[str, str]], last: str) -> None:
    field, position, values = "{{company}}", 0, []
    for literal, value in pairs:
        position += len(literal)
        values.append((position, position + len(field), value))
        position += len(field)
    shared = "".join(literal + field for literal, _ in pairs) + last
    stored = as_stored(values)
    assert stored_values(stored) == values
    assert filled_text(shared, stored) == "".join(literal + value for literal, value in pairs) + last
    assert filled_text(shared, None) == shared


async def bulk(client: Client, people: list[str], **more: Any) -> list[dict[str, Any]]:
    made = await client.one(SEND, i={"personIds": people, "subject": "Hi {{first_name}}", "body": BODY, **more})
    assert made["userErrors"] == []
    return sorted(made["bulkSend"]["emails"]["nodes"], key=lambda node: str(node["person"]["name"]))


async def test_a_bulk_sends_body_is_stored_once(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    people = [
        await create_person(ann, "ada@example.org", company="A & B"),
        await create_person(ann, "ben@example.org"),
        await create_person(ann, "cleo@example.org", name="Cleo <b> Dee"),
    ]
    emails = await bulk(ann, people, edits=[{"personId": people[1], "body": "Just {{first_name}}"}])
    assert [each["body"] for each in emails] == [BODY, "Just {{first_name}}", BODY]
    await send_due_emails(quiet_server)
    assert [row.body for row in await Email.all().order_by("id")] == ["", "Just Ben", ""]
    assert [(row.subject, row.body) for row in await BulkSend.all()] == [("Hi {{first_name}}", BODY)]
    sent = [
        {"subject": "Hi Ada", "body": "<p>Dear Ada of A &amp; B, Ada.</p>", "bulkSend": {"emailCount": 3}},
        {"subject": "Hi Ben", "body": "Just Ben", "bulkSend": {"emailCount": 3}},
        {"subject": "Hi Cleo", "body": "<p>Dear Cleo of your team, Cleo.</p>", "bulkSend": {"emailCount": 3}},
    ]
    assert sorted((await ann.one(PAGE))["nodes"], key=lambda node: str(node["subject"])) == sent
    # What was sent stays what was sent.
    await Person.all().update(name="Somebody Else", company="Elsewhere")
    assert sorted((await ann.one(PAGE))["nodes"], key=lambda node: str(node["subject"])) == sent
    assert (await ann.one(SHOW, id=emails[0]["id"]))["body"] == sent[0]["body"]


async def test_a_value_does_not_make_shared_plain_text_html(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    people = [
        await create_person(ann, f"p{n}@example.org", company=company) for n, company in enumerate(("<b>x</b>", "Fine"))
    ]
    emails = await bulk(ann, people, body="At {{company}}: hello")
    taken = (await send_due_emails(quiet_server)).taken
    assert any(b"<div>At &lt;b&gt;x&lt;/b&gt;: hello</div>" in each.content for each in taken)
    assert [(await ann.one(SHOW, id=each["id"]))["body"] for each in emails] == ["At <b>x</b>: hello", "At Fine: hello"]
    assert [row.shared_body for row in await Email.all()] == [True, True]


async def test_one_of_many_is_put_off_and_edited(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    people = [await create_person(ann, "late@example.org"), await create_person(ann, "pat@example.org")]
    late, pat = await bulk(ann, people, at=moment(clock, 60))
    # Its own text from now on.
    assert (await ann.one(REVISE, id=pat["id"], i={"body": "Only {{first_name}}"}))["email"] == {
        "body": "Only {{first_name}}"
    }
    assert (await ann.one(REVISE, id=late["id"], i={"subject": "For {{first_name}}"}))["email"] == {"body": BODY}
    clock.moment += 61_000_000
    await send_due_emails(quiet_server, RecipientTransport({"late": Deferred("451 later")}))
    filled = "<p>Dear Late of your team, Late.</p>"
    assert await ann.one(SHOW, id=late["id"]) == {
        "folder": "SCHEDULED",
        "subject": "For Late",
        "body": filled,
        "failure": None,
    }
    # Another attempt says the same, whatever the person is called now.
    await Person.all().update(name="Somebody Else")
    clock.moment += 3600_000_000
    (envelope,) = (await send_due_emails(quiet_server)).taken
    assert b"Late" in envelope.content
    assert (await ann.one(SHOW, id=late["id"]))["body"] == filled
    assert (await ann.one(SHOW, id=pat["id"]))["body"] == "Only Pat"
