"""Generated texts are sent through an SMTP server, and three parsers that are not Python's read what was typed."""

import asyncio
import base64
import json
import os
import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from command_center.api.graphiql import npm
from command_center.mail.compose import OutgoingEmail, compose_email, new_message_id
from command_center.mail.links import Links
from command_center.mail.mime import alternative_message
from command_center.mail.smtp import SmtpTransport
from command_center.mail.transport import Delivered, Envelope
from tests.clients.product import FOLDER
from tests.support import smtp_servers as servers
from tests.support.generated_texts import address, content, line

MESSAGES = int(os.environ.get("MAIL_TEXTS", "300"))
"""How many messages; each holds a generated subject, two names, up to three copies and a body."""
BATCH = 250
INVISIBLE = {*map(ord, "\u034f\u17b4\u17b5\u180b\u180c\u180d\u2800"), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
"""Marks that jsmime leaves out of names."""
MOMENT = datetime(2026, 11, 24, 12, 30, 5, tzinfo=UTC)
LINKS = Links("a secret of some length", "https://mail.example.com")
PLACES = ("from", "to", "subject", "date", "message-id")
FIELDS = [*PLACES, "list-unsubscribe", "list-unsubscribe-post", "mime-version", "content-type"]


def letter(number: int) -> OutgoingEmail:
    source = random.Random(number)
    return OutgoingEmail(
        email_id=number,
        person_id=9,
        message_id=new_message_id(number, LINKS.domain, "abc"),
        from_name=line(source, 200),
        from_address="sam@sellers.example",
        to_name=line(source, 200) if number % 10 else "",
        to_address=address(source),
        subject=line(source, 998),
        body="What the letter said.",
        moment=MOMENT,
        cc=tuple(address(source) for _ in range(number % 4)),
    )


def bodies(number: int) -> tuple[str, str]:
    """A plain text and a page, which end as every message of the product does, with more than a line in ASCII."""
    source = random.Random(-number)
    end = f"Unsubscribe: {LINKS.unsubscribe(number, 9)}\n"
    return f"{content(source)}\n{end}", f"<html><body>\n<pre>{content(source)}</pre>\n{end}</body></html>\n"


def with_bodies(number: int) -> Envelope:
    """The message of a letter, with generated content in place of what the letter said."""
    made = compose_email(letter(number), LINKS)
    fields = made.content.partition(b"\r\nMIME-Version")[0].decode()
    return replace(made, content=alternative_message([fields], str(number), *bodies(number)))


def expected(number: int) -> dict[str, Any]:
    written, (text, html) = letter(number), bodies(number)
    return {
        "fields": FIELDS if not written.cc else [*FIELDS[:2], "cc", *FIELDS[2:]],
        "subject": written.subject,
        "from": [[written.from_name, written.from_address]],
        "to": [[written.to_name, written.to_address]],
        "cc": [["", each] for each in written.cc],
        "messageId": written.message_id,
        "date": "2026-11-24T12:30:05.000Z",
        "text": text,
        "html": html,
    }


def visible(name: str) -> str:
    """A name as jsmime shows it, which leaves out or replaces what nobody can see."""
    return "".join(each for each in name if unicodedata.category(each)[0] not in "ZC" and ord(each) not in INVISIBLE)


def unquoted(address: str) -> str:
    """An address without the quotes around its local part, which the header has for `a..b`, and jsmime for `a!b`."""
    local, at, domain = address.rpartition("@")
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    return local + at + domain


def differences(found: dict[str, Any], number: int) -> Iterator[str]:
    """One line for each thing that a parser did not read as it was written."""
    for parser, message in found.items():
        for field, value in expected(number).items():
            there = message[field]
            if field in ("from", "to", "cc"):
                there = [[name, unquoted(address)] for name, address in there]
                if parser == "jsmime":
                    there, value = ([[visible(name), each] for name, each in side] for side in (there, value))
            if there != value:
                yield f"{number} {parser} {field}: {there!r} is not {value!r}"


async def sent(envelopes: Sequence[Envelope]) -> list[bytes]:
    """The messages as a server received them, in the same order."""
    async with servers.run_mail_server(servers.Mailbox()) as box:
        channel = SmtpTransport(box.url)
        try:
            for each in envelopes:
                assert await channel.send(each) == Delivered()
        finally:
            await channel.close()
    return [each.content for each in box.taken if isinstance(each.content, bytes)]


async def read(messages: Sequence[bytes]) -> list[dict[str, Any]]:
    """What each of the parsers reads in each message."""
    process = await asyncio.create_subprocess_exec(
        *(*npm.command(), "--prefix", str(FOLDER), "run", "--silent", "mail"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    lines = b"".join(base64.b64encode(message) + b"\n" for message in messages)
    said, _ = await asyncio.wait_for(process.communicate(lines), 120)
    assert process.returncode == 0
    return [json.loads(each) for each in said.removesuffix(b"\n").split(b"\n")]


async def test_other_parsers_read_the_original_texts() -> None:
    wrong: list[str] = []
    for start in range(0, MESSAGES, BATCH):
        numbers = range(start, min(start + BATCH, MESSAGES))
        found = await read(await sent([with_bodies(number) for number in numbers]))
        for number, message in zip(numbers, found, strict=True):
            wrong += differences(message, number)
    assert wrong == []


async def test_they_read_what_a_letter_says() -> None:
    (found,) = await read(await sent([compose_email(letter(1), LINKS)]))
    for message in found.values():
        assert message["text"].startswith("What the letter said.\n\nUnsubscribe: https://mail.example.com/t/u/")
        assert "What the letter said." in message["html"]
