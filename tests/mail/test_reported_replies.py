"""The program in docs/engagement.md that reports a reply, run on real messages to emails that really left."""

import asyncio
import json
import os
import re
import sys
from email import message_from_bytes, policy
from typing import Any

import pytest

from tests.support.documentation import Page
from tests.support.emails import create_draft, create_person, send_email
from tests.support.server import PATIENCE, Client, serving
from tests.support.smtp_servers import Mailbox
from tests.support.smtp_servers import run_mail_server as receiving

STATE = "query($id:ID!){email(id:$id){status engagements{nodes{kind verdict}} engagementSummary{replies}}}"
ENGAGEMENT = ("engagement:write",)


async def report(client: Client, host: str, reply: str) -> dict[str, Any] | None:
    """Pipes a message into the program; what the API answered, or None if nothing was reported."""
    (program,) = Page.read("docs/engagement.md").blocks("python")
    environment = os.environ | {
        "COMMAND_CENTER_URL": f"{client.url}/graphql",
        "COMMAND_CENTER_TOKEN": client.token,
        "COMMAND_CENTER_MAIL_HOST": host,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(reply.encode()), PATIENCE)
    assert process.returncode == 0
    found: dict[str, Any] | None = json.loads(out)["data"]["engagementRecord"] if out else None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("automatic, verdict", [("", "HUMAN"), ("Auto-Submitted: auto-replied\r\n", "MACHINE")])
async def test_a_reply_is_matched_by_the_message_it_answers(sqlite_url: str, automatic: str, verdict: str) -> None:
    async with receiving(Mailbox()) as box, serving(sqlite_url, SMTP_URL=box.url) as server:
        ann = await server.client("Ann", scopes=ENGAGEMENT)
        email = await create_draft(ann, await create_person(ann, "pat@example.org"), "Question")
        await send_email(ann, email)
        async with asyncio.timeout(PATIENCE):
            while (await ann.one(STATE, id=email))["status"] != "SENT":
                await asyncio.sleep(0.05)
        content = box.taken[0].content
        assert isinstance(content, bytes)
        ours = message_from_bytes(content, policy=policy.compat32)["Message-ID"]
        host = re.sub(r".*@(.*)>", r"\1", ours)

        def reply(number: int, headers: str) -> str:
            return (
                f"From: Pat <pat@elsewhere.example>\r\nMessage-ID: <reply-{number}@elsewhere.example>\r\n{automatic}"
                f"Date: Mon, 30 Nov 2020 09:00:00 +0100\r\nSubject: Re: Question\r\n{headers}\r\n\r\nYes.\r\n"
            )

        nothing = {"recorded": 0, "duplicates": 1, "userErrors": []}
        first = reply(1, f"In-Reply-To: {ours}")
        assert await report(ann, host, first) == {"recorded": 1, "duplicates": 0, "userErrors": []}
        assert await report(ann, host, first) == nothing
        thread = reply(2, f"In-Reply-To: <other@elsewhere.example>\r\nReferences: <a@b.example>\r\n {ours}")
        assert await report(ann, host, thread) == {"recorded": 1, "duplicates": 0, "userErrors": []}
        assert await report(ann, host, reply(3, "In-Reply-To: <other@elsewhere.example>")) is None
        found = await ann.one(STATE, id=email)
        assert found["engagements"]["nodes"] == [{"kind": "REPLY", "verdict": verdict}] * 2
        assert found["engagementSummary"]["replies"] == (2 if verdict == "HUMAN" else 0)
