"""From a letter to the message that leaves: headers, plain text, HTML with tracked links and the pixel. Pure.

Dynamic fields are filled in before (`command_center/mail/texts.py`). A copy (cc, bcc) is a message of its own with the
same Message-ID, without the unsubscribe link of the person in To.
"""

import html
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from command_center.actions.markup.prepared import PreparedBody, prepare
from command_center.actions.markup.shared_bodies import prepare_shared
from command_center.actions.markup.shared_texts import stored_values
from command_center.email_addresses import InvalidAddress, delivery_form, distinct
from command_center.ids import encode
from command_center.mail import headers, mime
from command_center.mail.headers import Mailbox
from command_center.mail.links import Links, trackable
from command_center.mail.transport import Envelope

_OUT = "Unsubscribe"


class Unsendable(ValueError):
    """The letter cannot be made a message; the text says why, in words for the sender."""


@dataclass(frozen=True, slots=True)
class OutgoingEmail:
    """One email as the sender loop found it. `cc` and `bcc` are bare addresses; `body` is HTML or plain text.

    If it shares its body with a bulk send, `values` is what it has in the places of the fields, as it is stored.
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


def message_id(email_id: int, domain: str, random: str) -> str:
    """Returns the key that replies bring back: the email's id in the API, a dot, and something random."""
    return f"<{encode('Email', email_id)}.{random}@{domain}>"


def envelope(letter: OutgoingEmail, links: Links) -> Envelope:
    """The finished message for the person in To. Raises Unsendable, for the address of a copy too."""
    for each in letter.bcc:
        _address(each)
    return _envelope(letter, links, links.unsubscribe(letter.email_id, letter.person_id))


def copies(letter: OutgoingEmail, links: Links) -> list[Envelope]:
    """Return a message for each cc and bcc, each address once. bcc is in no header. Raises Unsendable.

    They have no unsubscribe link, because it would be that of the person in To.
    """
    addresses = [_address(each) for each in distinct((*letter.cc, *letter.bcc), seen=[letter.to_address])]
    if not addresses:
        return []
    message = _envelope(letter, links, None)
    return [replace(message, recipient=each, utf8=message.utf8 or not each.isascii()) for each in addresses]


def _envelope(letter: OutgoingEmail, links: Links, way_out: str | None) -> Envelope:
    sender, to = _address(letter.from_address), _address(letter.to_address)
    cc = [_address(each) for each in distinct(letter.cc, seen=[letter.to_address])]
    utf8 = not all(each.isascii() for each in (sender, to, *cc))
    fields = [*_headers(letter, sender, to, cc), *(() if way_out is None else _offer(way_out))]
    content = mime.alternative_message(fields, letter.message_id, *_content(letter, links, way_out))
    return Envelope(sender, to, content, utf8)


def _headers(letter: OutgoingEmail, sender: str, recipient: str, cc: Iterable[str]) -> list[str]:
    copies = [Mailbox(each) for each in cc]
    return [
        headers.address_field("From", [Mailbox(sender, letter.from_name)]),
        headers.address_field("To", [Mailbox(recipient, letter.to_name)]),
        *([headers.address_field("Cc", copies)] if copies else []),
        headers.text_field("Subject", letter.subject),
        headers.date_field("Date", letter.moment),
        headers.fixed_field("Message-ID", letter.message_id),
    ]


def _offer(way_out: str) -> list[str]:
    """Programs that read mail make a button of it (RFC 2369, and RFC 8058 for the one click)."""
    return [
        headers.fixed_field("List-Unsubscribe", f"<{way_out}>"),
        headers.fixed_field("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ]


def _content(letter: OutgoingEmail, links: Links, way_out: str | None) -> tuple[str, str]:
    """The plain text and the HTML alternative."""
    shared = letter.shares_body
    prepared = prepare_shared(letter.body, stored_values(letter.values)) if shared else prepare(letter.body)
    last = "" if way_out is None else f"{_OUT}: {way_out}\n"
    footer = "" if way_out is None else _footer(way_out)
    return f"{prepared.text}\n{last}", _page(tracked(prepared, letter.email_id, links, footer), prepared.sheet)


def _footer(way_out: str) -> str:
    link = f'<a href="{html.escape(way_out)}" style="color:#767676">{_OUT}</a>'
    return f'<div style="margin-top:24px;font-size:12px;color:#767676">{link}</div>\n'


def tracked(prepared: PreparedBody, email_id: int, links: Links, footer: str = "") -> str:
    """Safe HTML with its links leading through us, then the footer as it is, and the pixel behind all.

    mailto:, tel:, cid: and #… stay.
    """

    def rewrite(target: str) -> str:
        sound = trackable(target)
        return target if sound is None else links.click(email_id, sound)

    pixel = f'<img src="{links.pixel(email_id)}" width="1" height="1" alt="" style="border:0">'
    return prepared.html(rewrite) + footer + pixel


def _page(inner: str, sheet: str) -> str:
    style = f"<style>\n{sheet}\n</style>" if sheet else ""
    head = f'<head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">{style}</head>'
    return f"<!DOCTYPE html>\n<html>{head}<body>\n{inner}\n</body></html>\n"


def _address(text: str) -> str:
    """The delivery form of an address; letters outside ASCII before the @ need a server that knows SMTPUTF8."""
    try:
        return delivery_form(text)
    except InvalidAddress as exc:
        raise Unsendable(f"{text!r} is no address that mail can be sent to. {exc}") from exc
