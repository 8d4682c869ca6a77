"""Composes messages, and reads their parts as a mail program does."""

import email
import re
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

from command_center.mail.compose import OutgoingEmail, compose_email, new_message_id
from command_center.mail.links import Links
from command_center.mail.transport import Envelope

LINKS = Links("a secret of some length", "https://mail.example.com")
UNSUBSCRIBE_URL = LINKS.unsubscribe(7, 9)
FOOTERS = {
    "plain": re.compile(rf"\nUnsubscribe: {UNSUBSCRIBE_URL}\n$"),
    "html": re.compile(
        rf'<div [^>]*><a href="{UNSUBSCRIBE_URL}" [^>]*>Unsubscribe</a></div>\n(?=<img [^>]*>\n</body></html>\n$)'
    ),
}

CLICK = "https://mail.example.com/t/c/"


def make_outgoing_email(body: str = "Hello", **changes: Any) -> OutgoingEmail:
    values: dict[str, Any] = {
        "email_id": 7,
        "person_id": 9,
        "message_id": new_message_id(7, LINKS.domain, "abc"),
        "from_name": "Sam Seller",
        "from_address": "sam@sellers.example",
        "to_name": "Pat Person",
        "to_address": "pat@people.example",
        "subject": "Hello there",
        "body": body,
        "moment": datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
    }
    return OutgoingEmail(**{**values, **changes})


def compose_with(body: str = "Hello", **changes: Any) -> Envelope:
    return compose_email(make_outgoing_email(body, **changes), LINKS)


def parse_message(made: Envelope) -> EmailMessage:
    message = email.message_from_bytes(made.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def read_part(made: Envelope, kind: str) -> str:
    """One of the alternatives without its footer, which each has once."""
    body = parse_message(made).get_body((kind,))
    assert body is not None
    text, footers = FOOTERS[kind].subn("", str(body.get_content()).replace("\r\n", "\n"))
    assert footers == 1
    return text


class ParsedPage(HTMLParser):
    """The tags of a page, and where its links and pictures lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.hrefs: list[str] = []
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        if tag == "a":
            self.hrefs.append(values.get("href") or "")
        if tag == "img":
            self.sources.append(values.get("src") or "")

    def targets(self) -> list[str]:
        """Where the tracked links go on to, and the others as they are."""
        found = []
        for href in self.hrefs:
            opened = LINKS.open_click(href.removeprefix(CLICK)) if href.startswith(CLICK) else None
            found.append(opened[1] if opened else href)
        return found
