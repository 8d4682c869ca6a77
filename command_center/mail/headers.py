"""Serialises header fields of Internet messages: RFC 5322, RFC 2047 and RFC 6532.

Pure.

Python's `email` is not used, because it decodes text that looks like an encoded word, and folds differently in each
version. A text is written literally only if every mail program reads it in the same way; otherwise all of it becomes
encoded words. A user's text can therefore neither end a header line nor be read as something else.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

LINE = 78
"""Lines are folded at this length (RFC 5322, 2.1.1)."""
ENCODED_LINE = 76
"""A line with an encoded word has at most this length (RFC 2047, 2)."""
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
# Both match printable words with single spaces between them. _QUOTABLE has nothing to escape within quotes.
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
_QUOTABLE = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*")
# RFC 2047 allows these bytes in an encoded word of a display name, the strictest of its three contexts.
_LITERAL = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = tuple("_" if byte == 0x20 else chr(byte) if byte in _LITERAL else f"={byte:02X}" for byte in range(256))
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Holds an address in its delivery form, and its display name, which may be empty."""

    address: str
    name: str = ""


def text_field(name: str, text: str) -> str:
    """Return a header field of unstructured text, such as Subject."""
    text = _one_line(text)
    if _is_plain(text) and all(len(word) <= LINE - len(name) - 2 for word in text.split(" ")):
        return _folded(f"{name}:", text.split(" "), LINE)
    return _folded(f"{name}:", _encoded_words(text, len(name) + 2), ENCODED_LINE)


def address_field(name: str, mailboxes: Sequence[Mailbox]) -> str:
    """Return a header field of addresses, such as To or Cc.

    Each address starts on its own line.
    """
    lines: list[str] = []
    for index, mailbox in enumerate(mailboxes):
        before = f"{name}:" if index == 0 else ""
        after = "" if index == len(mailboxes) - 1 else ","
        lines.append(_mailbox(before, mailbox, after))
    return "\r\n".join(lines)


def fixed_field(name: str, value: str) -> str:
    """Return a header field whose value does not come from a user.

    Raises: ValueError if it is not one line of ASCII.
    """
    field = f"{name}: {value}"
    if not re.fullmatch(r"[ -~]+", field) or len(field) > LONGEST_LINE:
        raise ValueError(f"not the value of a header field: {value!r}")
    return field


def date_field(name: str, moment: datetime) -> str:
    """Return a header field with a date and time, in UTC."""
    utc = moment.astimezone(UTC)
    date = f"{_DAYS[utc.weekday()]}, {utc.day:02} {_MONTHS[utc.month - 1]} {utc.year:04}"
    return fixed_field(name, f"{date} {utc:%H:%M:%S} +0000")


def _one_line(text: str) -> str:
    """Replace each run of control characters by a space, and each surrogate by U+FFFD.

    Neither can be stored in a subject or a name, so this is a second line of defence.
    """
    return _SURROGATE.sub("\ufffd", _CONTROL.sub(" ", text))


def _is_plain(text: str) -> bool:
    """Return whether every mail program reads the text alike without encoding.

    Such a text has no space at its ends, no double space, and nothing that looks like an encoded word.
    """
    return _PLAIN.fullmatch(text) is not None and "=?" not in text


def _mailbox(before: str, mailbox: Mailbox, after: str) -> str:
    """Return the folded lines of an address with its display name, if there is one.

    The lines begin with `before` and end with `after`.
    """
    address, name = _address(mailbox.address), _one_line(mailbox.name)
    if not name:
        return _folded(before, [address + after], LINE)
    room = LINE - len(before) - 1
    for form, written in ((_PHRASE, name), (_QUOTABLE, f'"{name}"')):
        if form.fullmatch(name) and "=?" not in name and len(written) <= room:
            return _folded(before, [written, f"<{address}>{after}"], LINE)
    return _folded(before, [*_encoded_words(name, len(before) + 1), f"<{address}>{after}"], ENCODED_LINE)


def _address(address: str) -> str:
    """Return an address as written in a header field.

    The local part is quoted unless it is a dot-atom.

    Raises: ValueError if it cannot be written.
    """
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"not an address of a header field: {address!r}")
    local, _, domain = address.rpartition("@")
    if not _DOT_ATOM.fullmatch(local):
        local = '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
    return f"{local}@{domain}"


def _encoded_words(text: str, indent: int) -> Iterator[str]:
    """Yield the text as encoded words, without splitting a character.

    The first word begins after `indent` characters of its line.
    """
    encode = min((_q, _base64), key=lambda encoding: len(encoding(text.encode())))
    room = min(_ROOM, ENCODED_LINE - indent - (ENCODED_WORD - _ROOM))
    chunk = b""
    for character in text:
        if chunk and len(encode(chunk + character.encode())) > room:
            yield f"{_START}{encode(chunk)}{_END}"
            chunk, room = b"", _ROOM
        chunk += character.encode()
    if chunk:
        yield f"{_START}{encode(chunk)}{_END}"


def _q(data: bytes) -> str:
    return "q?" + "".join(_Q[byte] for byte in data)


def _base64(data: bytes) -> str:
    return "b?" + base64.b64encode(data).decode()


def _folded(start: str, words: Iterable[str], limit: int) -> str:
    """Join `start` and the words by single spaces.

    Fold before a word that would exceed the limit.
    """
    lines, line = [], start
    for word in words:
        if line.strip(" ") not in ("", start) and len(line) + 1 + len(word) > limit:
            lines.append(line)
            line = ""
        line += f" {word}"
    return "\r\n".join([*lines, line])
