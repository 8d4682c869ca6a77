"""Serialises header fields of Internet messages: RFC 5322, RFC 2047 and RFC 6532. Pure.

Python's `email` is not used, because it decodes what looks like an encoded word, and folds differently in each version.
Here a text is written as it is only if every reader agrees what it says; otherwise the whole of it becomes encoded
words. Text of a user therefore never ends a line, and never reads as anything but itself.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

LINE = 78
"""The length that lines are folded at (RFC 5322, 2.1.1)."""
ENCODED_LINE = 76
"""The longest line with an encoded word in it (RFC 2047, 2)."""
ENCODED_WORD = 75
LONGEST_LINE = 998
_START, _END = "=?utf-8?", "?="
_ROOM = ENCODED_WORD - len(_START) - len(_END)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ATEXT = r"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~"
_PHRASE = re.compile(rf"[{_ATEXT}]+(?: [{_ATEXT}]+)*")
_DOT_ATOM = re.compile(rf"[{_ATEXT}\x80-\U0010ffff]+(?:\.[{_ATEXT}\x80-\U0010ffff]+)*")
_ADDRESS = re.compile(r"[^\s\x00-\x1f\x7f<>]+@[A-Za-z0-9._-]+")
# Printable words with single spaces between them. Neither has anything to escape within quotes.
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
_QUOTABLE = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*")
# What RFC 2047 lets stand in an encoded word of a display name, the strictest of its three places.
_LITERAL = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = tuple("_" if byte == 0x20 else chr(byte) if byte in _LITERAL else f"={byte:02X}" for byte in range(256))
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address in its delivery form, and the name that is displayed for it, which may be empty."""

    address: str
    name: str = ""


def text_field(name: str, text: str) -> str:
    """A field of unstructured text, such as Subject."""
    text = _one_line(text)
    if _is_plain(text) and all(len(word) <= LINE - len(name) - 2 for word in text.split(" ")):
        return _folded(f"{name}:", text.split(" "), LINE)
    return _folded(f"{name}:", _encoded_words(text, len(name) + 2), ENCODED_LINE)


def address_field(name: str, mailboxes: Sequence[Mailbox]) -> str:
    """A field of addresses, such as To or Cc. Each begins a line of its own if there are several."""
    lines: list[str] = []
    for place, mailbox in enumerate(mailboxes):
        before = f"{name}:" if place == 0 else ""
        after = "" if place == len(mailboxes) - 1 else ","
        lines.append(_mailbox(before, mailbox, after))
    return "\r\n".join(lines)


def fixed_field(name: str, value: str) -> str:
    """A field whose value the product makes itself. Raises ValueError if it is not printable ASCII on one line."""
    field = f"{name}: {value}"
    if not re.fullmatch(r"[ -~]+", field) or len(field) > LONGEST_LINE:
        raise ValueError(f"not the value of a header field: {value!r}")
    return field


def date_field(name: str, moment: datetime) -> str:
    """A field with a date and time, in UTC."""
    at = moment.astimezone(UTC)
    date = f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04}"
    return fixed_field(name, f"{date} {at:%H:%M:%S} +0000")


def _one_line(text: str) -> str:
    """The text with a space for each run of control characters, and U+FFFD for half of a character.

    Neither can be stored in a subject or a name, so this is the second line of defence. Everything else is kept.
    """
    return _SURROGATE.sub("\ufffd", _CONTROL.sub(" ", text))


def _is_plain(text: str) -> bool:
    """Whether all readers agree on the text without encoding: no space at its ends, none twice, no encoded word."""
    return _PLAIN.fullmatch(text) is not None and "=?" not in text


def _mailbox(before: str, mailbox: Mailbox, after: str) -> str:
    """One mailbox on lines that follow `before`: a bare address, or a name and the address in angle brackets."""
    address, name = _address(mailbox.address), _one_line(mailbox.name)
    if not name:
        return _folded(before, [address + after], LINE)
    room = LINE - len(before) - 1
    for form, written in ((_PHRASE, name), (_QUOTABLE, f'"{name}"')):
        if form.fullmatch(name) and "=?" not in name and len(written) <= room:
            return _folded(before, [written, f"<{address}>{after}"], LINE)
    return _folded(before, [*_encoded_words(name, len(before) + 1), f"<{address}>{after}"], ENCODED_LINE)


def _address(address: str) -> str:
    """The address as it stands in a field: its local part is quoted if it is no dot-atom. Raises ValueError."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"not an address of a header field: {address!r}")
    local, _, domain = address.rpartition("@")
    if not _DOT_ATOM.fullmatch(local):
        local = '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
    return f"{local}@{domain}"


def _encoded_words(text: str, indent: int) -> Iterator[str]:
    """The text as encoded words that hold whole characters. The first stands `indent` characters into its line."""
    encode = min((_q, _base64), key=lambda encoding: len(encoding(text.encode())))
    room = min(_ROOM, ENCODED_LINE - indent - (ENCODED_WORD - _ROOM))
    held = b""
    for character in text:
        if held and len(encode(held + character.encode())) > room:
            yield f"{_START}{encode(held)}{_END}"
            held, room = b"", _ROOM
        held += character.encode()
    if held:
        yield f"{_START}{encode(held)}{_END}"


def _q(data: bytes) -> str:
    return "q?" + "".join(_Q[byte] for byte in data)


def _base64(data: bytes) -> str:
    return "b?" + base64.b64encode(data).decode()


def _folded(start: str, words: Iterable[str], limit: int) -> str:
    """The words after `start`, parted by one space, before which a line ends if the word would pass the limit."""
    lines, line = [], start
    for word in words:
        if line.strip(" ") not in ("", start) and len(line) + 1 + len(word) > limit:
            lines.append(line)
            line = ""
        line += f" {word}"
    return "\r\n".join([*lines, line])
