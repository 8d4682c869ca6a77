"""From a letter to the message that leaves: headers, plain text, HTML with tracked links and the pixel. Pure.

Dynamic fields are filled in before (`mail/texts.py`); List-Unsubscribe comes later and belongs in `_headers`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from mail import bodies
from mail.channel import Envelope
from mail.links import Links, trackable

_PLAIN = policy.SMTP.clone(cte_type="7bit")
_UTF8 = policy.SMTPUTF8.clone(cte_type="7bit")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")
_LOCAL = re.compile(r"[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f]+")


class Unsendable(ValueError):
    """The letter cannot be made a message; the text says why, in words for the sender."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One email as the sender loop found it. `cc` and `bcc` are bare addresses; `body` is HTML or plain text."""

    email_id: int
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


def message_id(email_id: int, domain: str, random: str) -> str:
    """The key that replies bring back: the email's own number can be read from it."""
    return f"<{email_id}.{random}@{domain}>"


def envelope(letter: Letter, links: Links) -> Envelope:
    """The finished message with everyone it goes to, each once. bcc is in no header. Raises Unsendable."""
    sender, recipient = _address(letter.from_address), _address(letter.to_address)
    cc, bcc = [_address(each) for each in letter.cc], [_address(each) for each in letter.bcc]
    utf8 = not all(each.isascii() for each in (sender, recipient, *cc, *bcc))
    message = EmailMessage(policy=_UTF8 if utf8 else _PLAIN)
    _headers(message, letter, sender, recipient, cc)
    _content(message, letter, links)
    others = tuple(_once([*cc, *bcc], {recipient.casefold()}))
    return Envelope(sender, recipient, others, message.as_bytes(), utf8)


def _headers(message: EmailMessage, letter: Letter, sender: str, recipient: str, cc: Iterable[str]) -> None:
    message["From"] = _named(letter.from_name, sender)
    message["To"] = _named(letter.to_name, recipient)
    if cc:
        message["Cc"] = [_named("", each) for each in cc]
    message["Subject"] = _line(letter.subject)
    message["Date"] = format_datetime(letter.moment)
    message["Message-ID"] = letter.message_id


def _content(message: EmailMessage, letter: Letter, links: Links) -> None:
    cleaned = bodies.safe(letter.body)
    message.set_content(bodies.as_text(cleaned))
    message.add_alternative(_page(tracked(cleaned, letter.email_id, links)), subtype="html")


def tracked(cleaned: str, email_id: int, links: Links) -> str:
    """Clean HTML with its links leading through us and the pixel behind it. mailto:, tel:, cid: and #… stay."""

    def rewrite(target: str) -> str:
        sound = trackable(target)
        return target if sound is None else links.click(email_id, sound)

    pixel = f'<img src="{links.pixel(email_id)}" width="1" height="1" alt="" style="border:0">'
    return bodies.with_links(cleaned, rewrite) + pixel


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
    """An address with its domain in ASCII; letters outside ASCII before the @ need a server that knows SMTPUTF8."""
    local, _, domain = text.strip().rpartition("@")
    try:
        ascii_domain = domain.encode("ascii" if domain.isascii() else "idna").decode()
    except UnicodeError:
        ascii_domain = ""
    if not _LOCAL.fullmatch(local) or not re.fullmatch(r"[A-Za-z0-9_.-]+", ascii_domain):
        raise Unsendable(f"{text!r} is no address that mail can be sent to.")
    return f"{local}@{ascii_domain}"


def _once(addresses: Iterable[str], seen: set[str]) -> Iterable[str]:
    for each in addresses:
        if each.casefold() not in seen:
            seen.add(each.casefold())
            yield each
