"""Composes the message of an email. Pure.

It has headers, plain text, and HTML with tracked links and the tracking pixel.

Dynamic fields are filled in before, by `command_center/mail/texts.py`. A copy (cc, bcc) is a message of its own. It has
the same Message-ID, but not the unsubscribe link of the person in To.
"""

import html
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from command_center.actions.markup.prepared import PreparedBody, prepare
from command_center.actions.markup.shared_bodies import prepare_shared
from command_center.actions.markup.shared_texts import stored_values
from command_center.email_addresses import InvalidAddress, delivery_form, distinct_addresses
from command_center.ids import encode
from command_center.mail import headers, mime
from command_center.mail.headers import Mailbox
from command_center.mail.links import Links, trackable_url
from command_center.mail.transport import Envelope

_UNSUBSCRIBE = "Unsubscribe"


class Unsendable(ValueError):
    """An email cannot be composed. The text explains the reason to its sender."""


@dataclass(frozen=True, slots=True)
class OutgoingEmail:
    """Holds everything that is needed to compose an email.

    `cc` and `bcc` are bare addresses. `body` is HTML or plain text. If the email shares its body with a bulk send,
    `values` holds the stored values of the fields. `moment` is the value of the Date header.
    """

    email_id: int
    person_id: int
    message_id: str
    from_name: str
    from_address: str
    to_name: str
    to_address: str
    subject: str
    body: str
    moment: datetime
    cc: tuple[str, ...] = field(default=())
    bcc: tuple[str, ...] = field(default=())
    shares_body: bool = False
    values: str | None = None


def new_message_id(email_id: int, domain: str, random: str) -> str:
    """Return a Message-ID, by which replies can be matched.

    It is the email's global id, a dot, and a random part.
    """
    return f"<{encode('Email', email_id)}.{random}@{domain}>"


def compose_email(email: OutgoingEmail, links: Links) -> Envelope:
    """Compose the message for the person in To.

    Raises: Unsendable if any address is invalid, including those of the copies.
    """
    for each in email.bcc:
        _delivery_address(each)
    return _envelope(email, links, links.unsubscribe(email.email_id, email.person_id))


def compose_copies(email: OutgoingEmail, links: Links) -> list[Envelope]:
    """Compose one message for each address in cc and bcc. No header mentions bcc.

    The messages have no unsubscribe link, because it would unsubscribe the person in To. Raises: Unsendable.
    """
    addresses = [
        _delivery_address(each) for each in distinct_addresses((*email.cc, *email.bcc), seen=[email.to_address])
    ]
    if not addresses:
        return []
    message = _envelope(email, links, None)
    return [replace(message, recipient=each, utf8=message.utf8 or not each.isascii()) for each in addresses]


def _envelope(email: OutgoingEmail, links: Links, unsubscribe_url: str | None) -> Envelope:
    sender, to = _delivery_address(email.from_address), _delivery_address(email.to_address)
    cc = [_delivery_address(each) for each in distinct_addresses(email.cc, seen=[email.to_address])]
    utf8 = not all(each.isascii() for each in (sender, to, *cc))
    fields = [
        *_headers(email, sender, to, cc),
        *(() if unsubscribe_url is None else _unsubscribe_fields(unsubscribe_url)),
    ]
    content = mime.alternative_message(fields, email.message_id, *_content(email, links, unsubscribe_url))
    return Envelope(sender, to, content, utf8)


def _headers(email: OutgoingEmail, sender: str, recipient: str, cc: Iterable[str]) -> list[str]:
    copies = [Mailbox(each) for each in cc]
    return [
        headers.address_field("From", [Mailbox(sender, email.from_name)]),
        headers.address_field("To", [Mailbox(recipient, email.to_name)]),
        *([headers.address_field("Cc", copies)] if copies else []),
        headers.text_field("Subject", email.subject),
        headers.date_field("Date", email.moment),
        headers.fixed_field("Message-ID", email.message_id),
    ]


def _unsubscribe_fields(unsubscribe_url: str) -> list[str]:
    """Return the header fields for the unsubscribe button of mail programs.

    RFC 2369 defines List-Unsubscribe; RFC 8058 defines the field that allows to unsubscribe with one click.
    """
    return [
        headers.fixed_field("List-Unsubscribe", f"<{unsubscribe_url}>"),
        headers.fixed_field("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ]


def _content(email: OutgoingEmail, links: Links, unsubscribe_url: str | None) -> tuple[str, str]:
    """Return the plain text and the HTML page of an email.

    If `unsubscribe_url` is None, they contain no unsubscribe link.
    """
    shared = email.shares_body
    prepared = prepare_shared(email.body, stored_values(email.values)) if shared else prepare(email.body)
    unsubscribe_line = "" if unsubscribe_url is None else f"{_UNSUBSCRIBE}: {unsubscribe_url}\n"
    footer = "" if unsubscribe_url is None else _footer(unsubscribe_url)
    return f"{prepared.text}\n{unsubscribe_line}", _html_page(
        tracked_html(prepared, email.email_id, links, footer), prepared.sheet
    )


def _footer(unsubscribe_url: str) -> str:
    link = f'<a href="{html.escape(unsubscribe_url)}" style="color:#767676">{_UNSUBSCRIBE}</a>'
    return f'<div style="margin-top:24px;font-size:12px;color:#767676">{link}</div>\n'


def tracked_html(prepared: PreparedBody, email_id: int, links: Links, footer: str = "") -> str:
    """Return safe HTML with tracked links.

    The footer and the tracking pixel follow.

    Links to mailto:, tel:, cid: and #… stay unchanged.
    """

    def rewrite(target: str) -> str:
        url = trackable_url(target)
        return target if url is None else links.click(email_id, url)

    pixel = f'<img src="{links.pixel(email_id)}" width="1" height="1" alt="" style="border:0">'
    return prepared.html(rewrite) + footer + pixel


def _html_page(content: str, sheet: str) -> str:
    style = f"<style>\n{sheet}\n</style>" if sheet else ""
    head = f'<head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">{style}</head>'
    return f"<!DOCTYPE html>\n<html>{head}<body>\n{content}\n</body></html>\n"


def _delivery_address(text: str) -> str:
    """Return the delivery form of an address. Raises: Unsendable.

    It is ASCII unless the part before the @ is not; such an address needs a server with SMTPUTF8.
    """
    try:
        return delivery_form(text)
    except InvalidAddress as exc:
        raise Unsendable(f"{text!r} is no address that mail can be sent to. {exc}") from exc
