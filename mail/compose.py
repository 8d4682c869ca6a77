"""From a letter to the message that leaves: headers, plain text, HTML with tracked links and the pixel. Pure.

Dynamic fields are filled in before (`mail/texts.py`). Everyone it goes to gets the same message: the way out in a copy
is the one of the person in To.
"""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from email_addresses import InvalidAddress, comparison_key, delivery_form
from mail import bodies
from mail.channel import Envelope
from mail.links import Links, trackable

_PLAIN = policy.SMTP.clone(cte_type="7bit")
_UTF8 = policy.SMTPUTF8.clone(cte_type="7bit")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")
_OUT = "Unsubscribe"


class Unsendable(ValueError):
    """The letter cannot be made a message; the text says why, in words for the sender."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One email as the sender loop found it. `cc` and `bcc` are bare addresses; `body` is HTML or plain text."""

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


class _Whole(str):
    """A header's value on one line: the standard folding would encode a long address beyond recognition."""

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str, value: str) -> "_Whole":
        made = super().__new__(cls, value)
        made.name = name
        return made

    def fold(self, *, policy: policy.EmailPolicy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


def message_id(email_id: int, domain: str, random: str) -> str:
    """The key that replies bring back: the email's own number can be read from it."""
    return f"<{email_id}.{random}@{domain}>"


def envelope(letter: Letter, links: Links) -> Envelope:
    """The finished message with everyone it goes to, each once. bcc is in no header. Raises Unsendable."""
    sender, recipient = _address(letter.from_address), _address(letter.to_address)
    cc, bcc = [_address(each) for each in letter.cc], [_address(each) for each in letter.bcc]
    utf8 = not all(each.isascii() for each in (sender, recipient, *cc, *bcc))
    message = EmailMessage(policy=_UTF8 if utf8 else _PLAIN)
    way_out = links.unsubscribe(letter.email_id, letter.person_id)
    _headers(message, letter, sender, recipient, cc)
    _offer(message, way_out)
    _content(message, letter, links, way_out)
    others = tuple(_once([*cc, *bcc], {comparison_key(recipient)}))
    return Envelope(sender, recipient, others, message.as_bytes(), utf8)


def _headers(message: EmailMessage, letter: Letter, sender: str, recipient: str, cc: Iterable[str]) -> None:
    message["From"] = _named(letter.from_name, sender)
    message["To"] = _named(letter.to_name, recipient)
    if cc:
        message["Cc"] = [_named("", each) for each in cc]
    message["Subject"] = _line(letter.subject)
    message["Date"] = format_datetime(letter.moment)
    message["Message-ID"] = letter.message_id


def _offer(message: EmailMessage, way_out: str) -> None:
    """Programs that read mail make a button of it (RFC 2369, and RFC 8058 for the one click)."""
    message["List-Unsubscribe"] = _Whole("List-Unsubscribe", f"<{way_out}>")
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def _content(message: EmailMessage, letter: Letter, links: Links, way_out: str) -> None:
    cleaned = bodies.safe(letter.body)
    message.set_content(f"{bodies.as_text(cleaned)}\n{_OUT}: {way_out}\n")
    message.add_alternative(_page(tracked(cleaned, letter.email_id, links, _footer(way_out))), subtype="html")


def _footer(way_out: str) -> str:
    link = f'<a href="{html.escape(way_out)}" style="color:#767676">{_OUT}</a>'
    return f'<div style="margin-top:24px;font-size:12px;color:#767676">{link}</div>\n'


def tracked(cleaned: str, email_id: int, links: Links, footer: str = "") -> str:
    """Clean HTML with its links leading through us, then the footer as it is, and the pixel behind all.

    mailto:, tel:, cid: and #… stay.
    """

    def rewrite(target: str) -> str:
        sound = trackable(target)
        return target if sound is None else links.click(email_id, sound)

    pixel = f'<img src="{links.pixel(email_id)}" width="1" height="1" alt="" style="border:0">'
    return bodies.with_links(cleaned, rewrite) + footer + pixel


def _page(inner: str) -> str:
    head = '<head><meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head>'
    return f"<!DOCTYPE html>\n<html>{head}<body>\n{inner}\n</body></html>\n"


def _line(text: str) -> str:
    """One line without control characters, so that no header can begin inside another."""
    return _UNSEEN.sub(" ", text).strip()


def _named(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(display_name=_line(name), username=local, domain=domain)


def _address(text: str) -> str:
    """The delivery form of an address; letters outside ASCII before the @ need a server that knows SMTPUTF8."""
    try:
        return delivery_form(text)
    except InvalidAddress as exc:
        raise Unsendable(f"{text!r} is no address that mail can be sent to. {exc}") from exc


def _once(addresses: Iterable[str], seen: set[str]) -> Iterable[str]:
    for each in addresses:
        key = comparison_key(each)
        if key not in seen:
            seen.add(key)
            yield each
