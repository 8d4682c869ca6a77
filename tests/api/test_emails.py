"""Single emails: drafted, revised, sent, scheduled, suppressed, and each sent once."""

import asyncio
import email
from datetime import timedelta
from typing import Any

from tests.support.emails import (
    DRAFT,
    SEND,
    RecipientTransport,
    create_delivered_email,
    create_draft,
    create_person,
    moment,
    send_due_emails,
    send_email,
)
from tests.support.server import Client, ManualClock, Server, serving

EMAIL = """query($id:ID!){email(id:$id){id folder status subject body cc bcc person{id name} template{id} campaign{id}
    sendKind bulkSend{id} sender{name} success scheduledAt sentAt failedAt createdAt updatedAt failure{code message
    occurredAt}}}"""
REVISE = """mutation($id:ID!,$i:EmailReviseInput!){emailRevise(id:$id,input:$i){
    email{id folder subject scheduledAt} userErrors{message path code}}}"""
RETRY = """mutation($ids:[ID!]!){emailRetrySend(ids:$ids){
    emails{id folder scheduledAt failedAt failure{code}} userErrors{code path}}}"""
SUCCESS = (
    """mutation($ids:[ID!]!,$s:Boolean!){emailMarkSuccess(ids:$ids,success:$s){emails{success} userErrors{code}}}"""
)
DELETE = "mutation($ids:[ID!]!){emailDelete(ids:$ids){deletedIds userErrors{code path}}}"
CAMPAIGN = 'mutation{campaignCreate(name:"Spring"){campaign{id}}}'
END = "mutation($id:ID!){campaignEnd(id:$id){campaign{endedAt} userErrors{code}}}"
TEMPLATE = 'mutation{templateCreate(input:{name:"T",subject:"S",body:"B"}){template{id}}}'
UNSUBSCRIBE = "mutation($id:ID!){personUnsubscribe(id:$id){person{unsubscribed} userErrors{code}}}"
COUNTS = "{folders{folders{name emailCount}}}"
NOBODY = "UGVyc29uOjk4NzY1NA"


async def look(client: Client, email_id: str) -> dict[str, Any]:
    found = await client.one(EMAIL, id=email_id)
    assert isinstance(found, dict)
    return found


async def revise(client: Client, email_id: str, **changes: Any) -> list[tuple[str, list[str]]]:
    answer = await client.one(REVISE, id=email_id, i=changes)
    assert (answer["email"] is None) == bool(answer["userErrors"])
    return [(error["code"], error["path"]) for error in answer["userErrors"]]


async def sending(client: Client, email_id: str, **arguments: Any) -> list[tuple[str, list[str]]]:
    return [
        (error["code"], error["path"]) for error in (await client.one(SEND, id=email_id, **arguments))["userErrors"]
    ]


async def counts(client: Client) -> dict[str, int]:
    groups = await client.one(COUNTS)
    return {
        folder["name"]: folder["emailCount"] for group in groups for folder in group["folders"] if folder["emailCount"]
    }


async def test_all_errors_of_a_draft_are_returned_together(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    to = await create_person(ann, "p@example.org")
    wrong = {
        "personId": NOBODY,
        "subject": "two\nlines",
        "body": "a\0b",
        "cc": ["fine@example.org", "not an address"],
        "bcc": ["", "x@" + "y" * 400],
        "templateId": to,
        "campaignId": "nonsense",
    }
    answer = await ann.one(DRAFT, i=wrong)
    assert answer["email"] is None
    assert [(error["code"], error["path"]) for error in answer["userErrors"]] == [
        ("NOT_FOUND", ["input", "personId"]),
        ("INVALID", ["input", "subject"]),
        ("INVALID", ["input", "body"]),
        ("INVALID", ["input", "cc", "1"]),
        ("BLANK", ["input", "bcc", "0"]),
        ("TOO_LONG", ["input", "bcc", "1"]),
        ("NOT_FOUND", ["input", "templateId"]),
        ("NOT_FOUND", ["input", "campaignId"]),
    ]
    for subject, code in ((" ", "BLANK"), ("x" * 999, "TOO_LONG")):
        answer = await ann.one(DRAFT, i={"personId": to, "subject": subject})
        assert [(error["code"], error["path"]) for error in answer["userErrors"]] == [(code, ["input", "subject"])]
    assert await counts(ann) == {}


async def test_a_draft_has_what_it_was_given(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    to = await create_person(ann, "p@example.org")
    template = (await ann.one(TEMPLATE))["template"]["id"]
    campaign = (await ann.one(CAMPAIGN))["campaign"]["id"]
    more = {"cc": ["c@example.org"], "bcc": ["b@example.org"], "templateId": template, "campaignId": campaign}
    found = await look(ann, await create_draft(ann, to, " Hello ", body="<p>Hi</p>", **more))
    assert found == {
        "id": found["id"],
        "folder": "DRAFT",
        "status": "DRAFT",
        "subject": "Hello",
        "body": "<p>Hi</p>",
        "cc": ["c@example.org"],
        "bcc": ["b@example.org"],
        "person": {"id": to, "name": "P"},
        "template": {"id": template},
        "campaign": {"id": campaign},
        # CAMPAIGN is for a campaign's steps, not for a single email that names one.
        "sendKind": "INDIVIDUAL",
        "bulkSend": None,
        "sender": {"name": "Ann"},
        "success": False,
        **dict.fromkeys(("scheduledAt", "sentAt", "failedAt", "failure")),
        **dict.fromkeys(("createdAt", "updatedAt"), moment(clock)),
    }


async def test_a_revision_keeps_absent_fields_and_clears_null_ones(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    to, other = await create_person(ann, "p@example.org"), await create_person(ann, "q@example.org")
    template = (await ann.one(TEMPLATE))["template"]["id"]
    more = {"body": "B", "cc": ["c@example.org"], "bcc": ["b@example.org"], "templateId": template}
    mail = await create_draft(ann, to, "S", **more)
    before = await look(ann, mail)
    clock.advance(timedelta(seconds=1))
    assert await revise(ann, mail, subject="New") == []
    changed = {"subject": "New", "updatedAt": moment(clock)}
    assert await look(ann, mail) == {**before, **changed}
    assert await revise(ann, mail, body=None, cc=None, bcc=None, templateId=None, personId=other) == []
    cleared: dict[str, Any] = {"body": "", "cc": [], "bcc": [], "template": None, "person": {"id": other, "name": "Q"}}
    assert await look(ann, mail) == {**before, **changed, **cleared}
    assert await revise(ann, mail, subject=None, personId=None, cc=["x"], templateId=NOBODY) == [
        ("BLANK", ["input", "personId"]),
        ("BLANK", ["input", "subject"]),
        ("INVALID", ["input", "cc", "0"]),
        ("NOT_FOUND", ["input", "templateId"]),
    ]
    assert await revise(ann, mail) == []
    assert await look(ann, mail) == {**before, **changed, **cleared}


async def test_only_scheduled_emails_are_rescheduled_and_to_the_future(
    quiet_server: Server, clock: ManualClock
) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_draft(ann, await create_person(ann, "p@example.org"))
    invalid = [("INVALID", ["input", "at"])]
    assert await revise(ann, mail, at=moment(clock, 60)) == invalid
    assert (await send_email(ann, mail, moment(clock, 60)))["folder"] == "SCHEDULED"
    for at in (None, moment(clock, -1), moment(clock)):
        assert await revise(ann, mail, at=at) == invalid
    assert await revise(ann, mail, at=moment(clock), subject="") == [("BLANK", ["input", "subject"]), *invalid]
    assert await revise(ann, mail, subject="Kept") == []
    assert (await look(ann, mail))["scheduledAt"] == moment(clock, 60)
    assert await revise(ann, mail, at=moment(clock, 120)) == []
    clock.advance(timedelta(seconds=119))
    assert (await send_due_emails(quiet_server)).taken == []
    clock.advance(timedelta(seconds=1))
    assert len((await send_due_emails(quiet_server)).taken) == 1
    found = await look(ann, mail)
    assert (found["folder"], found["subject"]) == ("DELIVERED", "Kept")
    assert found["scheduledAt"] == found["sentAt"] == moment(clock)
    assert await revise(ann, mail, subject="Too late") == [("WRONG_STATE", ["id"])]


async def test_an_email_is_sent_now_or_at_a_moment_to_come(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    to = await create_person(ann, "p@example.org")
    mail = await create_draft(ann, to, "Hello", body="Hi", cc=["c@example.org"], bcc=["b@example.org"])
    for at in (moment(clock, -1), moment(clock)):
        assert await sending(ann, mail, at=at) == [("INVALID", ["at"])]
    assert (await look(ann, mail))["folder"] == "DRAFT"
    assert (await send_email(ann, mail, None))["status"] == "IN_PROGRESS"
    assert await sending(ann, mail) == [("WRONG_STATE", ["id"])]
    envelope, *copies = (await send_due_emails(quiet_server)).taken
    assert [each.recipient for each in (envelope, *copies)] == ["p@example.org", "c@example.org", "b@example.org"]
    message = email.message_from_bytes(envelope.content)
    assert (message["To"], message["Cc"], message["Bcc"]) == ("P <p@example.org>", "c@example.org", None)
    assert b"b@example.org" not in envelope.content
    assert await counts(ann) == {"DELIVERED": 1}
    assert [(await ann.one(SUCCESS, ids=[mail], s=flag))["emails"] for flag in (True, True, False)] == [
        [{"success": flag}] for flag in (True, True, False)
    ]


async def test_a_repeated_request_is_answered_and_sends_nothing_again(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    mail, other = [await create_draft(ann, await create_person(ann, f"p{n}@example.org")) for n in range(2)]
    at = moment(clock, 60)
    # Many at once, as a nervous client does: one sends, all are answered the same.
    together = await asyncio.gather(*(ann.one(SEND, id=mail, request="r1") for _ in range(8)))
    assert all(answer == together[0] for answer in together)
    assert (together[0]["email"]["id"], together[0]["userErrors"]) == (mail, [])
    post = await send_due_emails(quiet_server)
    again = await ann.one(SEND, id=mail, request=" r1 ", at=None)
    assert (again["email"]["folder"], again["userErrors"]) == ("DELIVERED", [])
    await send_due_emails(quiet_server, post)
    assert len(post.taken) == 1
    taken = [("TAKEN", ["requestId"])]
    assert await sending(ann, mail, request="r1", at=at) == taken
    assert await sending(ann, other, request="r1") == taken
    assert (await look(ann, other))["folder"] == "DRAFT"
    # A request that was refused leaves its name free, and names are each user's own.
    assert await sending(ann, other, request="r2", at=moment(clock)) == [("INVALID", ["at"])]
    assert await sending(ann, other, request="r2", at=at) == []
    bobs = await create_draft(bob, await create_person(bob, "q@example.org"))
    assert await sending(bob, bobs, request="r1") == []
    assert await sending(bob, bobs, request=" ") == [("BLANK", ["requestId"])]
    assert await sending(bob, bobs, request="x" * 201) == [("TOO_LONG", ["requestId"])]
    # What was sent by it may be gone.
    assert (await ann.one(DELETE, ids=[other]))["deletedIds"] == [other]
    assert await sending(ann, other, request="r2", at=at) == [("NOT_FOUND", ["id"])]


async def test_many_sends_of_one_draft_send_it_once(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_draft(ann, await create_person(ann, "p@example.org"))
    done = await asyncio.gather(*(sending(ann, mail) for _ in range(6)))
    assert sorted(done) == [[], *[[("WRONG_STATE", ["id"])]] * 5]
    assert len((await send_due_emails(quiet_server)).taken) == 1
    assert await counts(ann) == {"DELIVERED": 1}


async def test_a_retry_is_immediate_and_clears_the_failure(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_draft(ann, await create_person(ann, "failed@example.org"))
    await send_email(ann, mail, moment(clock, 60))
    clock.advance(timedelta(seconds=60))
    await send_due_emails(quiet_server)
    failed = await look(ann, mail)
    assert (failed["folder"], failed["failedAt"], failed["sentAt"]) == ("FAILED", moment(clock), None)
    assert failed["failure"] == {
        "code": "CHANNEL_UNREACHABLE",
        "message": "no connection",
        "occurredAt": moment(clock),
    }
    clock.advance(timedelta(seconds=60))
    (retried,) = (await ann.one(RETRY, ids=[mail]))["emails"]
    assert (retried["folder"], retried["failedAt"], retried["failure"]) == ("IN_PROGRESS", None, None)
    assert retried["scheduledAt"] == moment(clock, -60)
    await send_due_emails(quiet_server, RecipientTransport({}))
    sent = await look(ann, mail)
    assert (sent["folder"], sent["sentAt"], sent["scheduledAt"]) == ("DELIVERED", moment(clock), moment(clock, -60))


async def test_nothing_is_sent_to_unsubscribed_people(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    to = await create_person(ann, "failed@example.org")
    failed, scheduled, drafted, waiting = [await create_draft(ann, to, f"{n}") for n in range(4)]
    await send_email(ann, failed)
    await send_due_emails(quiet_server)
    await send_email(ann, scheduled, moment(clock, 60))
    await send_email(ann, waiting)
    await ann.one(UNSUBSCRIBE, id=to)
    assert (await look(ann, scheduled))["failure"]["code"] == "UNSUBSCRIBED"
    sent = await send_email(ann, drafted)
    assert (sent["folder"], sent["failure"]["code"], sent["failedAt"]) == ("FAILED", "UNSUBSCRIBED", moment(clock))
    (retried,) = (await ann.one(RETRY, ids=[failed]))["emails"]
    assert (retried["folder"], retried["failure"]["code"]) == ("FAILED", "UNSUBSCRIBED")
    clock.advance(timedelta(seconds=120))
    assert (await send_due_emails(quiet_server, RecipientTransport({}))).taken == []
    assert (await look(ann, waiting))["failure"]["code"] == "UNSUBSCRIBED"
    assert await counts(ann) == {"FAILED": 4}


async def test_nothing_leaves_for_a_campaign_that_has_ended(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    campaign = (await ann.one(CAMPAIGN))["campaign"]["id"]
    to = await create_person(ann, "p@example.org")
    scheduled, drafted, sent = [await create_draft(ann, to, f"{n}", campaignId=campaign) for n in range(3)]
    outside = await create_draft(ann, to)
    await send_email(ann, sent)
    await send_due_emails(quiet_server)
    await send_email(ann, scheduled, moment(clock, 60))
    await send_email(ann, outside, moment(clock, 60))
    assert (await ann.one(END, id=campaign))["campaign"]["endedAt"] == moment(clock)
    clock.advance(timedelta(seconds=1))
    assert (await ann.one(END, id=campaign))["campaign"]["endedAt"] == moment(clock, -1)
    found = await look(ann, scheduled)
    assert (found["folder"], found["failure"]["code"], found["scheduledAt"]) == (
        "FAILED",
        "CAMPAIGN_ENDED",
        moment(clock, 59),
    )
    assert (await send_email(ann, drafted))["failure"]["code"] == "CAMPAIGN_ENDED"
    (retried,) = (await ann.one(RETRY, ids=[scheduled]))["emails"]
    assert retried["failure"]["code"] == "CAMPAIGN_ENDED"
    late = await ann.one(DRAFT, i={"personId": to, "subject": "x", "campaignId": campaign})
    assert [(error["code"], error["path"]) for error in late["userErrors"]] == [
        ("WRONG_STATE", ["input", "campaignId"])
    ]
    assert await counts(ann) == {"DELIVERED": 1, "FAILED": 2, "SCHEDULED": 1}


async def test_blocked_domains_and_the_daily_limit_stop_emails(database_url: str, clock: ManualClock) -> None:
    limits = {"BLOCKED_DOMAINS": "Blocked.example", "EMAILS_PER_DAY": "3"}
    async with serving(database_url, clock, works=False, looks=False, **limits) as server:
        ann = await server.client("Ann")
        blocked = await create_draft(ann, await create_person(ann, "p@BLOCKED.example"))
        assert (await send_email(ann, blocked))["failure"]["code"] == "BLOCKED_DOMAIN"
        copied_to: tuple[dict[str, Any], ...] = (
            {"cc": ["a@fine.example", "c@sub.blocked.example"]},
            {"bcc": ["c@blocked.EXAMPLE"]},
        )
        for copies in copied_to:
            copied = await create_draft(ann, await create_person(ann, f"{next(iter(copies))}@example.org"), **copies)
            assert (await send_email(ann, copied))["failure"]["code"] == "BLOCKED_DOMAIN"
        mail = [await create_draft(ann, await create_person(ann, f"p{n}@example.org")) for n in range(4)]
        for each in mail:
            await send_email(ann, each)
        assert len((await send_due_emails(server)).taken) == 3
        assert await counts(ann) == {"FAILED": 3, "DELIVERED": 3, "SCHEDULED": 1}
        clock.advance(timedelta(days=1))
        assert len((await send_due_emails(server)).taken) == 1
        assert await counts(ann) == {"FAILED": 3, "DELIVERED": 4}


async def test_words_made_for_one_person_do_not_go_to_another(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    dora, emil = await create_person(ann, "deferred@example.org"), await create_person(ann, "emil@example.org")
    mail = await create_draft(ann, dora, "Hello {{first_name}}", body="Dear {{first_name}}")
    await send_email(ann, mail)
    await send_due_emails(quiet_server)
    put_off = await ann.one(EMAIL, id=mail)
    assert (put_off["folder"], put_off["subject"]) == ("SCHEDULED", "Hello Deferred")
    for more in ({}, {"subject": "Hello"}, {"body": "Hello"}):
        assert await revise(ann, mail, personId=emil, **more) == [("INVALID", ["input", "personId"])]
    assert await revise(ann, mail, personId=dora) == []
    assert await revise(ann, mail, personId=emil, subject="Hi {{first_name}}", body="To {{first_name}}") == []
    clock.advance(timedelta(hours=1))
    await send_due_emails(quiet_server)
    sent = await ann.one(EMAIL, id=mail)
    assert (sent["folder"], sent["subject"], sent["body"]) == ("DELIVERED", "Hi Emil", "To Emil")


async def test_a_deleted_email_is_no_more(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    kept = await create_delivered_email(quiet_server, ann, "a@example.org")
    gone = await create_draft(ann, await create_person(ann, "b@example.org"))
    answer = await ann.one(DELETE, ids=[gone, kept, gone])
    assert answer["deletedIds"] == [gone]
    assert [(error["code"], error["path"]) for error in answer["userErrors"]] == [("WRONG_STATE", ["ids", "1"])]
    assert await ann.one(EMAIL, id=gone) is None
    again = await ann.one(DELETE, ids=[gone])
    assert again == {"deletedIds": [], "userErrors": [{"code": "NOT_FOUND", "path": ["ids", "0"]}]}
    assert await revise(ann, gone, subject="x") == [("NOT_FOUND", ["id"])]
    assert await counts(ann) == {"DELIVERED": 1}
