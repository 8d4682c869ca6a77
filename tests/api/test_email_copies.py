"""Copies: nothing goes to a suppressed one, their number is limited, each counts, and none of them harms another."""

from datetime import timedelta
from typing import Any

import pytest

from command_center.mail.transport import Bounced, Deferred, Envelope, Outcome
from models.emails import Email
from tests.support.emails import (
    DRAFT,
    SEND,
    RecipientTransport,
    create_draft,
    create_person,
    moment,
    send_due_emails,
    send_email,
)
from tests.support.server import Client, ManualClock, Server, serving

EMAIL = "query($id:ID!){email(id:$id){folder scheduledAt failure{code message}}}"
REVISE = "mutation($id:ID!,$i:EmailReviseInput!){emailRevise(id:$id,input:$i){userErrors{path code message}}}"
UNSUBSCRIBE = "mutation($id:ID!){personUnsubscribe(id:$id){userErrors{code}}}"


async def failure(client: Client, email_id: str) -> tuple[str, str] | None:
    found = (await client.one(EMAIL, id=email_id))["failure"]
    return found and (found["code"], found["message"])


async def drafting(client: Client, to: str, **more: Any) -> list[tuple[str, list[str], str]]:
    made = await client.one(DRAFT, i={"personId": to, "subject": "x", **more})
    return [(error["code"], error["path"], error["message"]) for error in made["userErrors"]]


def recipients(post: RecipientTransport) -> list[str]:
    return [envelope.recipient for envelope in post.taken]


@pytest.mark.parametrize("place", ["cc", "bcc"])
async def test_nothing_is_copied_to_an_unsubscribed_address(database_url: str, clock: ManualClock, place: str) -> None:
    def copied(*addresses: str) -> dict[str, Any]:
        return {place: list(addresses)}

    async with serving(database_url, clock, works=False, looks=False, BLOCKED_DOMAINS="blocked.example") as server:
        ann, other = await server.client("Ann"), await server.client("Bob", team="Other")
        for who in (ann, other):
            await create_person(who, "info@bücher.example")
        to = await create_person(ann, "pat@example.org")
        gone = await create_person(ann, "u@r.example")
        await ann.one(UNSUBSCRIBE, id=gone)
        late = await create_draft(ann, to, **copied("fine@example.org", "Info@xn--bcher-kva.example"))
        await send_email(ann, late, moment(clock, 60))
        for address in ("u@r.example", "U@R.example", "u@\uff52.example"):
            mail = await create_draft(ann, to, **copied("fine@example.org", address))
            await send_email(ann, mail)
            assert await failure(ann, mail) == ("UNSUBSCRIBED", f"A copy would go to {address}, who has unsubscribed.")
        blocked = await create_draft(ann, to, **copied("x@a.\uff42locked.example"))
        await send_email(ann, blocked)
        assert await failure(ann, blocked) == (
            "BLOCKED_DOMAIN",
            "Nothing is sent to a.blocked.example, not even a copy to x@a.\uff42locked.example.",
        )
        # What is scheduled when the person unsubscribes fails when it is due.
        people = (await ann.one('{people(first:9,search:"info"){nodes{id}}}'))["nodes"]
        await ann.one(UNSUBSCRIBE, id=people[0]["id"])
        clock.advance(timedelta(minutes=2))
        assert recipients(await send_due_emails(server)) == []
        assert await failure(ann, late) == (
            "UNSUBSCRIBED",
            "A copy would go to Info@xn--bcher-kva.example, who has unsubscribed.",
        )
        # Another team has suppressed nobody.
        mail = await create_draft(other, await create_person(other, "pat@example.org"), **copied("info@bücher.example"))
        await send_email(other, mail)
        assert recipients(await send_due_emails(server)) == ["pat@example.org", "info@xn--bcher-kva.example"]


async def test_the_number_of_copies_is_limited(database_url: str, clock: ManualClock) -> None:
    async with serving(database_url, clock, works=False, looks=False, COPIES="3", EMAILS_PER_DAY="3") as server:
        ann = await server.client("Ann")
        to = await create_person(ann, "pat@example.org")
        four = [f"c{n}@example.org" for n in range(4)]
        message = "An email may have at most 3 cc and bcc together, not 4."
        assert await drafting(ann, to, cc=four) == [("LIMIT_REACHED", ["input", "cc"], message)]
        assert await drafting(ann, to, cc=four[:2], bcc=four[2:]) == [("LIMIT_REACHED", ["input", "bcc"], message)]
        message = "Each cc and bcc counts, and at most 3 emails leave in a day: 4 are too many."
        assert await drafting(ann, to, bcc=four[:3]) == [("LIMIT_REACHED", ["input", "bcc"], message)]
        mail = await create_draft(ann, to, cc=four[:1], bcc=[*four[1:2], four[1].upper()])
        errors = (await ann.one(REVISE, id=mail, i={"cc": four[:2]}))["userErrors"]
        assert [(error["code"], error["path"]) for error in errors] == [("LIMIT_REACHED", ["input", "bcc"])]
        assert (await ann.one(REVISE, id=mail, i={"cc": four[:2], "bcc": None}))["userErrors"] == []
        assert (await ann.one(REVISE, id=mail, i={"subject": "y"}))["userErrors"] == []
        # From before the limit.
        await Email.all().update(bcc=four)
        await send_email(ann, mail)
        assert await failure(ann, mail) == (
            "CHANNEL_REFUSED",
            "An email may have at most 3 cc and bcc together, not 4.",
        )


async def test_each_copy_counts_against_the_days_limit(database_url: str, clock: ManualClock) -> None:
    async with serving(database_url, clock, works=False, looks=False, EMAILS_PER_DAY="5") as server:
        ann = await server.client("Ann")
        people = [await create_person(ann, f"p{n}@example.org") for n in range(4)]
        # The same address in To, cc and bcc is one recipient.
        copies: dict[str, Any] = {
            "cc": ["a@example.org", "P0@example.org"],
            "bcc": ["A@EXAMPLE.org", "b@example.org", "c@example.org"],
        }
        first = await create_draft(ann, people[0], **copies)
        second = await create_draft(ann, people[1], cc=["d@example.org"])
        third, fourth = await create_draft(ann, people[2]), await create_draft(ann, people[3])
        for each in (first, second, third, fourth):
            await send_email(ann, each)
        left = ["p0@example.org", "a@example.org", "b@example.org", "c@example.org", "p2@example.org"]
        assert recipients(await send_due_emails(server)) == left
        assert [(await ann.one(EMAIL, id=each))["folder"] for each in (first, second, third, fourth)] == [
            *("DELIVERED", "SCHEDULED", "DELIVERED", "SCHEDULED")
        ]
        clock.advance(timedelta(days=1))
        assert sorted(recipients(await send_due_emails(server))) == [
            "d@example.org",
            "p1@example.org",
            "p3@example.org",
        ]


class Refusing(RecipientTransport):
    """Answers for each address as it is told."""

    def __init__(self, **by_name: Outcome) -> None:
        super().__init__(by_name)


async def test_what_the_server_replies_about_a_copy_concerns_it_alone(
    quiet_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    ann = await quiet_server.client("Ann")
    copies: dict[str, Any] = {
        "cc": ["full@example.org", "fine@example.org"],
        "bcc": ["nobody@example.org", "good@example.org"],
    }
    mail = await create_draft(ann, await create_person(ann, "pat@example.org"), **copies)
    await send_email(ann, mail)
    post = Refusing(full=Deferred("452 mailbox full"), nobody=Bounced("550 no such user"))
    await send_due_emails(quiet_server, post)
    assert recipients(post) == ["pat@example.org", *copies["cc"], *copies["bcc"]]
    assert (await ann.one(EMAIL, id=mail))["folder"] == "DELIVERED"
    (line,) = [record.getMessage() for record in caplog.records if "copies" in record.getMessage()]
    assert line.endswith("left, but the mail server refused 2 of its copies: 452 mailbox full; 550 no such user")


async def test_copies_leave_once_the_person_in_to_has_the_message(quiet_server: Server, clock: ManualClock) -> None:
    ann = await quiet_server.client("Ann")
    mail = await create_draft(ann, await create_person(ann, "pat@example.org"), cc=["carl@example.org"])
    await send_email(ann, mail)
    assert recipients(await send_due_emails(quiet_server, Refusing(pat=Deferred("451 later")))) == ["pat@example.org"]
    clock.advance(timedelta(hours=1))
    assert recipients(await send_due_emails(quiet_server)) == ["pat@example.org", "carl@example.org"]


async def test_transport_error_with_a_copy_leaves_the_email_delivered(quiet_server: Server) -> None:
    class Breaking(RecipientTransport):
        async def send(self, envelope: Envelope) -> Outcome:
            if envelope.recipient == "carl@example.org":
                raise RuntimeError("no one thought of this")
            return await super().send(envelope)

    ann = await quiet_server.client("Ann")
    mail = await create_draft(ann, await create_person(ann, "pat@example.org"), cc=["carl@example.org"])
    assert (await ann.one(SEND, id=mail))["userErrors"] == []
    await send_due_emails(quiet_server, Breaking())
    assert (await ann.one(EMAIL, id=mail))["folder"] == "DELIVERED"
