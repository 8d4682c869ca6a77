"""Writing to many: one message to each, accepted together or not at all, once, each with its own words and tracking."""

import asyncio
import email
import re
from collections.abc import Sequence
from datetime import timedelta
from email import policy
from typing import Any

import pytest

from command_center import ids as global_ids
from command_center.database.connections import transaction
from command_center.mail import claims
from models.enums import Role
from models.people import Person
from tests.support.emails import RecipientTransport, create_draft, create_person, moment, send_due_emails, send_email
from tests.support.server import Client, ManualClock, Server, serving
from tests.support.smtp_servers import Mailbox
from tests.support.smtp_servers import run_mail_server as mail_serving

BULK = """bulkSend{id sendKind createdAt emailCount sender{name}
    emails(first:200){nodes{id folder subject body person{name address} bulkSend{id} sendKind scheduledAt
        campaign{id} template{id} failure{code message}}}} userErrors{message path code}"""
SELECT_AND_SEND = f"mutation($i:SelectAndSendInput!){{emailSelectAndSend(input:$i){{{BULK}}}}}"
GROUP_SEND = f"mutation($i:GroupSendInput!){{emailGroupSend(input:$i){{{BULK}}}}}"
SEND = "mutation($id:ID!,$r:String){emailSend(id:$id,requestId:$r){email{folder} userErrors{path code}}}"
NODE = f"query($id:ID!){{node(id:$id){{...on BulkSend{{{BULK.split(' userErrors')[0].split('{', 1)[1]}}}}}"
BY_BULK = "query($b:[ID!]!){emails(filter:{bulkSend:$b},first:200){nodes{id}}}"
COUNTS = "{folders{folders{name emailCount}}}"
GROUP = "mutation($n:String!,$s:Boolean!){groupCreate(name:$n,shared:$s){group{id}}}"
ADD = "mutation($id:ID!,$p:[ID!]!){groupAddPeople(id:$id,personIds:$p){userErrors{path code}}}"
ADD_MEMBERS = """mutation($id:ID!,$s:ID!){groupAddMembers(id:$id,savedSearchId:$s){
    group{personCount people{nodes{id}}} userErrors{path code}}}"""
CAMPAIGN = 'mutation{campaignCreate(name:"Spring"){campaign{id}}}'
END = "mutation($id:ID!){campaignEnd(id:$id){userErrors{code}}}"
TEMPLATE = """mutation($s:String!,$b:String!){templateCreate(input:{name:"T",subject:$s,body:$b}){
    template{id} userErrors{message path code}}}"""
UNSUBSCRIBE = "mutation($id:ID!){personUnsubscribe(id:$id){userErrors{code}}}"
RETRY = "mutation($ids:[ID!]!){emailRetrySend(ids:$ids){emails{folder} userErrors{code}}}"
REVISE = "mutation($id:ID!,$i:EmailReviseInput!){emailRevise(id:$id,input:$i){userErrors{code}}}"
DELETE = "mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds userErrors{code}}}"
SAVE = "mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){savedSearch{id}}}"
REFINE = "mutation($id:ID!,$f:EmailFilter!){savedSearchRefine(id:$id,filter:$f){userErrors{code}}}"
MEMBERS = "query($id:ID!){savedSearch(id:$id){members(first:200){nodes{email{subject}}}}}"
NOBODY = "UGVyc29uOjk4NzY1NA"
Refusals = list[tuple[str, list[str]]]


async def bulk(client: Client, document: str, **given: Any) -> dict[str, Any]:
    """A bulk send that is accepted."""
    made = await client.one(document, i={"subject": "Hello", "body": "Hi", **given})
    assert made["userErrors"] == []
    found: dict[str, Any] = made["bulkSend"]
    return found


async def refusals(client: Client, document: str, **given: Any) -> Refusals:
    made = await client.one(document, i={"subject": "Hello", "body": "Hi", **given})
    assert (made["bulkSend"] is None) == bool(made["userErrors"])
    return [(error["code"], error["path"]) for error in made["userErrors"]]


async def people(client: Client, *addresses: str) -> list[str]:
    return [await create_person(client, address) for address in addresses]


async def group(client: Client, members: Sequence[str], shared: bool = False) -> str:
    made = str((await client.one(GROUP, n="Group", s=shared))["group"]["id"])
    assert (await client.one(ADD, id=made, p=members))["userErrors"] == []
    return made


async def counts(client: Client) -> dict[str, int]:
    groups = await client.one(COUNTS)
    return {each["name"]: each["emailCount"] for group in groups for each in group["folders"] if each["emailCount"]}


async def emails(client: Client, bulk_send: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The emails of a bulk send as they are now, by the address they are to."""
    nodes = (await client.one(NODE, id=bulk_send["id"]))["emails"]["nodes"]
    return {node["person"]["address"]: node for node in nodes}


async def folders(client: Client, bulk_send: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    found = await emails(client, bulk_send)
    return {
        address.split("@")[0]: (node["folder"], (node["failure"] or {}).get("code")) for address, node in found.items()
    }


async def test_everyone_chosen_gets_a_message_of_their_own(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    dora, emil, fritz = await people(ann, "dora@example.org", "emil@example.org", "fritz@example.org")
    template = (await ann.one(TEMPLATE, s="S", b="B"))["template"]["id"]
    campaign = (await ann.one(CAMPAIGN))["campaign"]["id"]
    edits = [{"personId": emil, "subject": " Dear Emil "}, {"personId": fritz, "body": "<p>Fritz</p>"}]
    chosen = [dora, emil, dora, fritz, emil]
    made = await bulk(
        ann, SELECT_AND_SEND, personIds=chosen, edits=edits, templateId=template, campaignId=campaign, body="All"
    )
    assert (made["sendKind"], made["emailCount"], made["sender"]) == ("SELECT_AND_SEND", 3, {"name": "Ann"})
    assert made["createdAt"] == moment(clock)
    assert [(node["person"]["name"], node["subject"], node["body"]) for node in made["emails"]["nodes"]] == [
        ("Fritz", "Hello", "<p>Fritz</p>"),
        ("Emil", "Dear Emil", "All"),
        ("Dora", "Hello", "All"),
    ]
    for node in made["emails"]["nodes"]:
        assert (node["folder"], node["sendKind"], node["bulkSend"]) == (
            "IN_PROGRESS",
            "SELECT_AND_SEND",
            {"id": made["id"]},
        )
        assert (node["campaign"], node["template"]) == ({"id": campaign}, {"id": template})
    assert await counts(ann) == {"IN_PROGRESS": 3}
    taken = (await send_due_emails(quiet_server)).taken
    messages = [email.message_from_bytes(each.content) for each in taken]
    assert {(message["To"], message["Subject"], message["Cc"]) for message in messages} == {
        ("Dora <dora@example.org>", "Hello", None),
        ("Emil <emil@example.org>", "Dear Emil", None),
        ("Fritz <fritz@example.org>", "Hello", None),
    }
    assert len(taken) == 3
    assert await counts(ann) == {"DELIVERED": 3}
    assert len((await ann.one(BY_BULK, b=[made["id"]]))["nodes"]) == 3


async def test_a_group_send_goes_to_the_current_members_of_the_group(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    hidden = await create_person(ann, "hidden@example.org", shared=False)
    shown, late = await people(ann, "shown@example.org", "late@example.org")
    shared = await group(ann, [hidden, shown], shared=True)
    private = await group(ann, [shown])
    # Who is in a group one can see is reachable through it.
    made = await bulk(bob, GROUP_SEND, groupId=shared, at=moment(clock, 60))
    await ann.one(ADD, id=shared, p=[late])
    assert (made["sendKind"], made["emailCount"]) == ("GROUP", 2)
    assert await folders(bob, made) == {"hidden": ("SCHEDULED", None), "shown": ("SCHEDULED", None)}
    assert {node["scheduledAt"] for node in made["emails"]["nodes"]} == {moment(clock, 60)}
    assert (await send_due_emails(quiet_server)).taken == []
    clock.advance(timedelta(seconds=60))
    assert {each.recipient for each in (await send_due_emails(quiet_server)).taken} == {
        "hidden@example.org",
        "shown@example.org",
    }
    assert await counts(bob) == {"DELIVERED": 2}
    assert await refusals(bob, GROUP_SEND, groupId=private) == [("NOT_FOUND", ["input", "groupId"])]
    assert await refusals(bob, GROUP_SEND, groupId=hidden) == [("NOT_FOUND", ["input", "groupId"])]
    assert await refusals(ann, GROUP_SEND, groupId=await group(ann, [])) == [("INVALID", ["input", "groupId"])]


async def test_a_bulk_send_belongs_to_its_sender(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    ada, max_ = await quiet_server.client("Ada", role=Role.ADMIN), await quiet_server.client("Max", "Bananas")
    made = await bulk(ann, SELECT_AND_SEND, personIds=await people(ann, "a@example.org", "b@example.org"))
    for client in (bob, max_):
        assert await client.one(NODE, id=made["id"]) is None
        assert (await client.one(BY_BULK, b=[made["id"]]))["nodes"] == []
    seen = await ada.one(NODE, id=made["id"])
    assert seen == {each: value for each, value in made.items() if each != "userErrors"}
    # What it made it made, whatever becomes of it.
    await send_due_emails(quiet_server, RecipientTransport({"a": RecipientTransport().answers["failed"]}))
    failed = next(node["id"] for node in made["emails"]["nodes"] if node["person"]["name"] == "A")
    assert (await ann.one(DELETE, ids=[failed]))["deletedIds"] == [failed]
    left = await ann.one(NODE, id=made["id"])
    assert (left["emailCount"], len(left["emails"]["nodes"])) == (2, 1)


async def test_all_errors_are_returned_and_nothing_is_sent(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    dora, emil = await people(ann, "dora@example.org", "emil@example.org")
    hidden = await create_person(bob, "hidden@example.org", shared=False)
    ended = (await ann.one(CAMPAIGN))["campaign"]["id"]
    await ann.one(END, id=ended)
    edits = [
        {"personId": emil},
        {"personId": dora, "subject": " ", "body": "\0"},
        {"personId": NOBODY, "subject": "x" * 999},
        {"personId": dora, "subject": "again"},
    ]
    wrong = {
        "subject": "two\nlines",
        "body": "\0",
        "templateId": dora,
        "campaignId": ended,
        "at": moment(clock),
        "requestId": " ",
    }
    common: Refusals = [
        ("NOT_FOUND", ["input", "templateId"]),
        ("WRONG_STATE", ["input", "campaignId"]),
        ("INVALID", ["input", "at"]),
    ]
    chosen = [dora, hidden, emil, "x", dora]
    assert await refusals(ann, SELECT_AND_SEND, personIds=chosen, edits=edits, **wrong) == [
        ("BLANK", ["requestId"]),
        ("INVALID", ["input", "subject"]),
        ("INVALID", ["input", "body"]),
        ("BLANK", ["input", "edits", "1", "subject"]),
        ("INVALID", ["input", "edits", "1", "body"]),
        ("INVALID", ["input", "edits", "2", "personId"]),
        ("TOO_LONG", ["input", "edits", "2", "subject"]),
        ("INVALID", ["input", "edits", "3", "personId"]),
        ("NOT_FOUND", ["input", "personIds", "1"]),
        ("NOT_FOUND", ["input", "personIds", "3"]),
        *common,
    ]
    assert await refusals(ann, GROUP_SEND, groupId=NOBODY, **wrong) == [
        ("BLANK", ["requestId"]),
        ("INVALID", ["input", "subject"]),
        ("INVALID", ["input", "body"]),
        ("NOT_FOUND", ["input", "groupId"]),
        *common,
    ]
    assert await refusals(ann, SELECT_AND_SEND, personIds=[]) == [("BLANK", ["input", "personIds"])]
    assert await refusals(ann, SELECT_AND_SEND, personIds=[dora], campaignId=dora) == [
        ("NOT_FOUND", ["input", "campaignId"])
    ]
    assert await refusals(ann, SELECT_AND_SEND, personIds=[dora, hidden]) == [
        ("NOT_FOUND", ["input", "personIds", "1"])
    ]
    assert await counts(ann) == {}
    assert (await send_due_emails(quiet_server)).taken == []


async def test_a_limit_is_reported_with_its_number(database_url: str, clock: ManualClock) -> None:
    limits = {"SELECT_AND_SEND_PEOPLE": "2", "GROUP_SEND_PEOPLE": "3"}
    async with serving(database_url, clock, works=False, looks=False, **limits) as server:
        ann = await server.client("Ann")
        four = await people(ann, *(f"p{n}@example.org" for n in range(4)))
        for document, path, given, most in (
            (SELECT_AND_SEND, "personIds", four[:3], "at most 2 people, not 3."),
            (GROUP_SEND, "groupId", await group(ann, four), "at most 3 people, not 4."),
        ):
            made = await ann.one(document, i={path: given, "subject": "", "body": ""})
            (limit,) = (error for error in made["userErrors"] if error["code"] == "LIMIT_REACHED")
            assert limit["path"] == ["input", path]
            assert most in limit["message"]
            assert [error["code"] for error in made["userErrors"]] == ["BLANK", "LIMIT_REACHED"]
        assert await counts(ann) == {}
        assert (await bulk(ann, SELECT_AND_SEND, personIds=[*four[:2], four[0]]))["emailCount"] == 2
        assert (await bulk(ann, GROUP_SEND, groupId=await group(ann, four[:3])))["emailCount"] == 3


async def test_a_repeated_request_is_answered_and_sends_nothing_again(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    dora, emil = await people(ann, "dora@example.org", "emil@example.org")
    to = await group(ann, [dora], shared=True)
    campaign = (await ann.one(CAMPAIGN))["campaign"]["id"]
    common = {"subject": "S", "body": "B", "at": moment(clock, 60), "campaignId": campaign}
    asked = {**common, "groupId": to}
    selected = {**common, "personIds": [dora, emil], "edits": [{"personId": emil, "subject": "E"}]}
    made: dict[str, str] = {}
    for document, given in ((SELECT_AND_SEND, selected), (GROUP_SEND, asked)):
        request = {**given, "requestId": f"by {len(made)}"}
        together = await asyncio.gather(*(ann.one(document, i=request) for _ in range(6)))
        assert together[0]["userErrors"] == []
        assert all(answer == together[0] for answer in together)
        made[document] = together[0]["bulkSend"]["id"]
    assert await counts(ann) == {"SCHEDULED": 3}
    # Nothing of what was right then has to be right now.
    await ann.one(ADD, id=to, p=[emil])
    await ann.one(END, id=campaign)
    clock.advance(timedelta(seconds=120))
    assert (await bulk(ann, SELECT_AND_SEND, **selected, requestId=" by 0 "))["id"] == made[SELECT_AND_SEND]
    assert (await bulk(ann, GROUP_SEND, **asked, requestId="by 1"))["id"] == made[GROUP_SEND]
    assert await counts(ann) == {"FAILED": 3}
    later = moment(clock, 60)
    taken: Refusals = [("TAKEN", ["requestId"])]
    for changed in ({"at": later}, {"subject": "T"}, {"body": "C"}, {"campaignId": None}):
        assert await refusals(ann, GROUP_SEND, **{**asked, "requestId": "by 1", **changed}) == taken
    assert await refusals(ann, SELECT_AND_SEND, personIds=[dora], requestId="by 1") == taken
    assert await refusals(ann, SELECT_AND_SEND, personIds=[dora], requestId="by 0") == taken
    # One name serves one request of any kind; names are each user's own; a refused request leaves its name free.
    single = await create_draft(ann, dora)
    answer = await ann.one(SEND, id=single, r="by 1")
    assert [(error["code"], error["path"]) for error in answer["userErrors"]] == taken
    assert (await ann.one(SEND, id=single, r="single"))["userErrors"] == []
    assert await refusals(ann, GROUP_SEND, groupId=to, requestId="single") == taken
    assert await refusals(ann, GROUP_SEND, groupId=to, subject="", requestId="free") == [
        ("BLANK", ["input", "subject"])
    ]
    assert await refusals(ann, GROUP_SEND, groupId=to, requestId="free") == []
    assert (await bulk(bob, GROUP_SEND, groupId=to, requestId="by 1"))["emailCount"] == 2
    assert await refusals(ann, GROUP_SEND, groupId=to, requestId="x" * 201) == [("TOO_LONG", ["requestId"])]


async def test_suppressed_recipients_fail_alone(database_url: str, clock: ManualClock) -> None:
    async with serving(database_url, clock, works=False, looks=False, BLOCKED_DOMAINS="blocked.example") as server:
        ann = await server.client("Ann")
        chosen = await people(ann, "gone@example.org", "b@Blocked.example", "good@example.org", "soon@example.org")
        await ann.one(UNSUBSCRIBE, id=chosen[0])
        now = await bulk(ann, SELECT_AND_SEND, personIds=chosen)
        later = await bulk(ann, GROUP_SEND, groupId=await group(ann, chosen), at=moment(clock, 60))
        lost = {"gone": ("FAILED", "UNSUBSCRIBED"), "b": ("FAILED", "BLOCKED_DOMAIN")}
        assert await folders(ann, now) == {**lost, **dict.fromkeys(("good", "soon"), ("IN_PROGRESS", None))}
        assert await folders(ann, later) == {**lost, **dict.fromkeys(("good", "soon"), ("SCHEDULED", None))}
        await ann.one(UNSUBSCRIBE, id=chosen[3])
        assert (await folders(ann, later))["soon"] == ("FAILED", "UNSUBSCRIBED")
        clock.advance(timedelta(seconds=60))
        assert [each.recipient for each in (await send_due_emails(server)).taken] == ["good@example.org"] * 2
        assert await counts(ann) == {"DELIVERED": 2, "FAILED": 6}
        # Where nobody may be written to it is accepted all the same.
        assert (await bulk(ann, SELECT_AND_SEND, personIds=chosen[:1]))["emailCount"] == 1


async def test_past_the_days_limit_the_rest_waits_for_tomorrow(database_url: str, clock: ManualClock) -> None:
    async with serving(database_url, clock, works=False, looks=False, EMAILS_PER_DAY="3") as server:
        ann = await server.client("Ann")
        to = await group(ann, await people(ann, *(f"p{n}@example.org" for n in range(5))))
        made = await bulk(ann, GROUP_SEND, groupId=to, subject="Hi {{first_name}}")
        assert len((await send_due_emails(server)).taken) == 3
        assert await counts(ann) == {"DELIVERED": 3, "SCHEDULED": 2}
        waiting = [node for node in (await emails(ann, made)).values() if node["folder"] == "SCHEDULED"]
        assert [node["subject"] for node in waiting] == ["Hi {{first_name}}"] * 2
        clock.advance(timedelta(days=1))
        assert len((await send_due_emails(server)).taken) == 2
        assert {node["subject"] for node in (await emails(ann, made)).values()} == {f"Hi P{n}" for n in range(5)}


async def test_ending_the_campaign_stops_a_scheduled_group_email(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    to = await group(ann, await people(ann, "dora@example.org", "emil@example.org"))
    campaign = (await ann.one(CAMPAIGN))["campaign"]["id"]
    made = await bulk(ann, GROUP_SEND, groupId=to, campaignId=campaign, at=moment(clock, 60))
    await ann.one(END, id=campaign)
    failed = ("FAILED", "CAMPAIGN_ENDED")
    assert await folders(ann, made) == {"dora": failed, "emil": failed}
    clock.advance(timedelta(seconds=60))
    assert (await send_due_emails(quiet_server)).taken == []
    assert await refusals(ann, GROUP_SEND, groupId=to, campaignId=campaign) == [
        ("WRONG_STATE", ["input", "campaignId"])
    ]
    assert await counts(ann) == {"FAILED": 2}


async def test_what_ends_while_it_is_accepted_stops_it_all_the_same(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    for n in range(4):
        dora, *others = await people(ann, *(f"p{n}.{m}@example.org" for m in range(5)))
        to = await group(ann, [dora, *others])
        campaign = (await ann.one(CAMPAIGN))["campaign"]["id"]
        asked = {"groupId": to, "subject": "S", "body": "B", "at": moment(clock, 60)}
        in_campaign, outside, *_ = await asyncio.gather(
            ann.one(GROUP_SEND, i={**asked, "campaignId": campaign}),
            ann.one(GROUP_SEND, i=asked),
            bob.one(END, id=campaign),
            bob.one(UNSUBSCRIBE, id=dora),
        )
        if in_campaign["bulkSend"] is None:
            assert [error["code"] for error in in_campaign["userErrors"]] == ["WRONG_STATE"]
        else:
            assert {state for state, _ in (await folders(ann, in_campaign["bulkSend"])).values()} == {"FAILED"}
        left = await emails(ann, outside["bulkSend"])
        assert sorted(node["folder"] for node in left.values()) == ["FAILED", *["SCHEDULED"] * 4]


# ---- dynamic fields --------------------------------------------------------------------------------------------------
async def test_stored_emails_are_shown_found_and_listed_as_sent(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    dora = await create_person(ann, "dora@example.org", company="Dean & Sons", title="CTO")
    emil = await create_person(ann, "emil@example.org")
    search = (await ann.one(SAVE, i={"name": "L", "filter": {"subject": {"contains": "DORA"}}}))["savedSearch"]["id"]
    asked = {
        "subject": "{{first_name}} of {{company}}",
        "body": "<p>{{ title | default: &quot;friend&quot; }} at {{company}}, {{my_name}}</p>",
        "edits": [{"personId": emil, "subject": "Emil, {{title}}"}],
    }
    made = await bulk(ann, SELECT_AND_SEND, personIds=[dora, emil], at=moment(clock, 60), **asked)
    assert {node["subject"] for node in made["emails"]["nodes"]} == {asked["subject"], "Emil, {{title}}"}
    clock.advance(timedelta(seconds=60))
    taken = {each.recipient: each for each in (await send_due_emails(quiet_server)).taken}
    found = await emails(ann, made)
    assert {address: (node["subject"], node["body"]) for address, node in found.items()} == {
        "dora@example.org": ("Dora of Dean & Sons", "<p>CTO at Dean &amp; Sons, Ann</p>"),
        "emil@example.org": ("Emil,", "<p>friend at your company, Ann</p>"),
    }
    message = email.message_from_bytes(taken["dora@example.org"].content, policy=policy.default)
    assert message["Subject"] == "Dora of Dean & Sons"
    plain = message.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().partition("\nUnsubscribe:")[0].strip() == "CTO at Dean & Sons, Ann"
    assert b"{{" not in b"".join(each.content for each in taken.values())
    await quiet_server.settle()
    nodes = (await ann.one(MEMBERS, id=search))["members"]["nodes"]
    assert nodes == [{"email": {"subject": "Dora of Dean & Sons"}}]


async def test_a_new_subject_is_found_after_an_immediate_send(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    search = (await ann.one(SAVE, i={"name": "L", "filter": {"subject": {"contains": "dora"}}}))["savedSearch"]["id"]
    mail = await create_draft(ann, await create_person(ann, "dora@example.org"), "{{first_name}}!")
    await send_email(ann, mail)
    await quiet_server.settle()
    assert (await ann.one(MEMBERS, id=search))["members"]["nodes"] == []
    # While it is being handed over it says what it says to Dora.
    taken, _ = await claims.claim_batch(quiet_server.engine.ctx, quiet_server.engine.links.domain)
    assert [each.email.subject for each in taken] == ["Dora!"]
    await quiet_server.settle()
    assert (await ann.one(MEMBERS, id=search))["members"]["nodes"] == [{"email": {"subject": "Dora!"}}]


async def test_unresolvable_field_fails_its_email_which_can_be_resent(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    dora, emil, fritz = await people(ann, "dora@example.org", "emil@example.org", "fritz@example.org")
    edits = [{"personId": emil, "body": "{{nickname}}"}, {"personId": fritz, "subject": "{{title}}"}]
    made = await bulk(ann, SELECT_AND_SEND, personIds=[dora, emil, fritz], edits=edits, subject="{{first_name}}")
    assert [each.recipient for each in (await send_due_emails(quiet_server)).taken] == ["dora@example.org"]
    failed = ("FAILED", "UNRESOLVED_FIELD")
    assert await folders(ann, made) == {"dora": ("DELIVERED", None), "emil": failed, "fritz": failed}
    found = await emails(ann, made)
    assert "{{nickname}} is no field: there are first_name" in found["emil@example.org"]["failure"]["message"]
    assert "the subject" in found["fritz@example.org"]["failure"]["message"]
    assert (found["emil@example.org"]["subject"], found["emil@example.org"]["body"]) == (
        "{{first_name}}",
        "{{nickname}}",
    )
    # Fritz is corrected, as an import would.
    await Person.filter(id=global_ids.decode_key("Person", fritz)).update(title="CFO")
    await ann.one(RETRY, ids=[node["id"] for node in found.values() if node["folder"] == "FAILED"])
    assert [each.recipient for each in (await send_due_emails(quiet_server)).taken] == ["fritz@example.org"]
    assert await folders(ann, made) == {"dora": ("DELIVERED", None), "emil": failed, "fritz": ("DELIVERED", None)}
    assert (await emails(ann, made))["fritz@example.org"]["subject"] == "CFO"


async def test_a_retry_sends_the_same_text_until_it_is_revised(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    # A value that looks like a field is none, however often it is tried.
    one = await create_person(ann, "deferred.1@example.org", company="{{title}}")
    two = await create_person(ann, "deferred.2@example.org", company="{{title}}")
    made = await bulk(ann, SELECT_AND_SEND, personIds=[one, two], subject="At {{company}}")
    await send_due_emails(quiet_server)
    found = await emails(ann, made)
    assert {(node["folder"], node["subject"]) for node in found.values()} == {("SCHEDULED", "At {{title}}")}
    mail = found["deferred.2@example.org"]["id"]
    assert (await ann.one(REVISE, id=mail, i={"subject": "For {{first_name}}"}))["userErrors"] == []
    clock.advance(timedelta(minutes=1))
    taken = (await send_due_emails(quiet_server, RecipientTransport({}))).taken
    subjects = {each.recipient: email.message_from_bytes(each.content)["Subject"] for each in taken}
    assert subjects == {"deferred.1@example.org": "At {{title}}", "deferred.2@example.org": "For Deferred.2"}


async def test_a_template_with_a_field_that_is_none_is_refused(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    answer = await ann.one(TEMPLATE, s="Hi {{name}}", b="{{title}} {{a}} {{b")
    assert [(error["code"], error["path"]) for error in answer["userErrors"]] == [
        ("INVALID", ["input", "subject"]),
        ("INVALID", ["input", "body"]),
        ("INVALID", ["input", "body"]),
    ]
    assert "{{name}} is no field" in answer["userErrors"][0]["message"]
    assert (await ann.one(TEMPLATE, s="Hi {{first_name}}", b='{{title | default: "you"}}'))["userErrors"] == []


# ---- the next round --------------------------------------------------------------------------------------------------
async def test_everyone_a_list_holds_an_email_to_is_put_into_a_group(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    dora, emil, fritz = await people(ann, "dora@example.org", "emil@example.org", "fritz@example.org")
    for to, subject in ((dora, "in"), (dora, "in too"), (emil, "in"), (fritz, "out")):
        await create_draft(ann, to, subject)
    await create_draft(bob, fritz, "in")
    mine, shared, bobs = await group(ann, [dora]), await group(bob, [], shared=True), await group(bob, [])
    found = {"filter": {"subject": {"startsWith": "in"}}}
    search = (await ann.one(SAVE, i={"name": "L", **found}))["savedSearch"]["id"]
    by_group = (await ann.one(SAVE, i={"name": "G", "filter": {"personGroup": [mine]}}))["savedSearch"]["id"]
    later: Refusals = [("WRONG_STATE", ["savedSearchId"])]

    async def refused(client: Client, group_id: str, search_id: str) -> Refusals:
        answer = await client.one(ADD_MEMBERS, id=group_id, s=search_id)
        assert (answer["group"] is None) == bool(answer["userErrors"])
        return [(error["code"], error["path"]) for error in answer["userErrors"]]

    # Half of a list would be half of the people.
    assert await refused(ann, mine, search) == later
    await quiet_server.settle()
    assert len((await ann.one(MEMBERS, id=by_group))["members"]["nodes"]) == 2
    for _ in range(2):
        answer = await ann.one(ADD_MEMBERS, id=mine, s=search)
        assert answer["userErrors"] == []
        assert {node["id"] for node in answer["group"]["people"]["nodes"]} == {dora, emil}
        assert answer["group"]["personCount"] == 2
    await quiet_server.settle()
    assert len((await ann.one(MEMBERS, id=by_group))["members"]["nodes"]) == 3
    nobody: Refusals = [("NOT_FOUND", ["savedSearchId"])]
    assert await refused(ann, shared, search) == [("FORBIDDEN", ["id"])]
    assert await refused(ann, bobs, search) == [("NOT_FOUND", ["id"])]
    assert await refused(bob, shared, search) == nobody
    assert await refused(ann, NOBODY, NOBODY) == [("NOT_FOUND", ["id"]), *nobody]
    assert await refused(ann, shared, NOBODY) == [("FORBIDDEN", ["id"]), *nobody]
    await ann.one(REFINE, id=search, f={"subject": {"equals": "out"}})
    assert await refused(ann, mine, search) == later
    await quiet_server.settle()
    answer = await ann.one(ADD_MEMBERS, id=mine, s=search)
    assert {node["id"] for node in answer["group"]["people"]["nodes"]} == {dora, emil, fritz}


async def test_a_demoted_admins_list_reaches_no_emails_of_others(quiet_server: Server) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    await create_draft(ann, await create_person(ann, "dora@example.org"))
    search = (await ada.one(SAVE, i={"name": "L", "filter": {"everySender": True}}))["savedSearch"]["id"]
    await quiet_server.settle()
    mine = await group(ada, [])
    await quiet_server.user("Ada", role=Role.MEMBER)
    # The matcher has not looked yet: the list still holds what Ada may see no longer.
    answer = await ada.one(ADD_MEMBERS, id=mine, s=search)
    assert answer == {"group": {"personCount": 0, "people": {"nodes": []}}, "userErrors": []}
    await quiet_server.user("Ada", role=Role.ADMIN)
    assert (await ada.one(ADD_MEMBERS, id=mine, s=search))["group"]["personCount"] == 1


# ---- a thousand ------------------------------------------------------------------------------------------------------
async def crowd(client: Client, number: int) -> str:
    """A group of so many people, made as an import would make them."""
    made = await group(client, [await create_person(client, "p0@crowd.example")])
    (first,) = await Person.filter(address="p0@crowd.example")
    async with transaction() as tx:
        await tx.execute_many(
            "INSERT INTO people (team_id, owner_id, name, name_folded, address, address_folded, shared, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (first.team_id, first.owner_id, f"P{n} Crowd", f"p{n} crowd", *[f"p{n}@crowd.example"] * 2, True, 1)
                for n in range(1, number)
            ],
        )
        await tx.execute(
            "INSERT INTO group_people (group_id, person_id) SELECT CAST(? AS BIGINT), p.id FROM people p"
            " WHERE p.team_id = ? AND p.id > ?",
            *(global_ids.decode_key("Group", made), first.team_id, first.id),
        )
    return made


@pytest.mark.slow
@pytest.mark.parametrize("kind, number", [("sqlite", 1000), ("postgresql", 100)])
async def test_a_thousand_get_each_their_own_message_once(
    request: pytest.FixtureRequest, kind: str, number: int
) -> None:
    url = request.getfixturevalue(f"{'postgres' if kind == 'postgresql' else kind}_url")
    async with mail_serving(Mailbox()) as box, serving(url, SMTP_URL=box.url) as server:
        ann = await server.client("Ann")
        to = await crowd(ann, number)
        asked = {
            "groupId": to,
            "subject": "Hi {{first_name}}",
            "body": '<p>See <a href="https://a.example/x">this</a>, {{first_name}}</p>',
            "requestId": "once",
        }
        made = await bulk(ann, GROUP_SEND, **asked)
        assert made["emailCount"] == number
        assert (await bulk(ann, GROUP_SEND, **asked))["id"] == made["id"]
        async with asyncio.timeout(120):
            while await counts(ann) != {"DELIVERED": number}:
                await asyncio.sleep(0.1)
        assert (await bulk(ann, GROUP_SEND, **asked))["id"] == made["id"]
        assert await counts(ann) == {"DELIVERED": number}
        messages = [email.message_from_bytes(each.content, policy=policy.default) for each in box.taken]  # type: ignore[arg-type]
        assert {tuple(each.rcpt_tos) for each in box.taken} == {(f"p{n}@crowd.example",) for n in range(number)}
        assert len(messages) == number
        tokens: set[tuple[str, ...]] = set()
        for message, envelope in zip(messages, box.taken, strict=True):
            assert message["To"].addresses[0].addr_spec == envelope.rcpt_tos[0]
            assert len(message["To"].addresses) == 1
            name = envelope.rcpt_tos[0].partition("@")[0].upper()
            html = message.get_body(("html",))
            assert html is not None
            assert message["Subject"] == f"Hi {name}"
            assert f", {name}</p>" in html.get_content()
            tokens |= {tuple(re.findall(r"/t/[oc]/([^\"]+)", html.get_content()))}
        # A pixel and a link each, and no two alike.
        assert {len(each) for each in tokens} == {2}
        assert len({token for each in tokens for token in each}) == 2 * number
