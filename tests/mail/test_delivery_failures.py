"""What a mail server refuses, as the sender reads it over GraphQL: the code of the failure, and what may be done."""

import asyncio
from typing import Any

import pytest

from tests.support.emails import DELIVERY_STATE, create_draft, create_person, send_email
from tests.support.server import PATIENCE, Client, serving
from tests.support.smtp_servers import Mailbox
from tests.support.smtp_servers import run_mail_server as mail_serving

COUNT = "query($f:EmailFilter){emails(filter:$f){nodes{id}}}"


async def fate(client: Client, email_id: str) -> dict[str, Any]:
    """What became of an email, once it is no longer on its way."""
    async with asyncio.timeout(PATIENCE):
        while (email := await client.one(DELIVERY_STATE, id=email_id))["status"] == "IN_PROGRESS":
            await asyncio.sleep(0.01)
    found: dict[str, Any] = email
    return found


@pytest.mark.parametrize(
    "answers, folder, code",
    [
        ({"MAIL": "550 we know no such sender"}, "FAILED", "CHANNEL_REFUSED"),
        ({"pat@example.org": "550 no such mailbox"}, "BOUNCED", "BOUNCED"),
        ({"DATA": "554 we do not like this message"}, "BOUNCED", "BOUNCED"),
    ],
)
async def test_a_refusal_at_the_hand_over_has_its_failure_code(
    database_url: str, answers: dict[str, str], folder: str, code: str
) -> None:
    async with mail_serving(Mailbox(answers)) as mailbox, serving(database_url, SMTP_URL=mailbox.url) as server:
        ann = await server.client("Ann")
        email = await create_draft(ann, await create_person(ann, "pat@example.org"))
        await send_email(ann, email)
        found = await fate(ann, email)
        assert (found["folder"], found["failure"]["code"]) == (folder, code)
        (refusal,) = answers.values()
        assert refusal.split(" ", 1)[1] in found["failure"]["message"]
        assert found["failure"]["occurredAt"] == found["failedAt"]
        assert found["sentAt"] is None
        assert found["actions"] == ["RETRY_SEND", "DELETE"]
        assert mailbox.taken == []


async def test_an_unused_send_kind_matches_no_email(database_url: str) -> None:
    async with serving(database_url, works=False, looks=False) as server:
        ann = await server.client("Ann")
        email = await create_draft(ann, await create_person(ann, "pat@example.org"))
        kinds = ("SELECT_AND_SEND", "GROUP", "CAMPAIGN")
        assert (await ann.one(COUNT, f={"sendKind": list(kinds)}))["nodes"] == []
        assert (await ann.one(COUNT, f={"sendKind": [*kinds, "INDIVIDUAL"]}))["nodes"] == [{"id": email}]
