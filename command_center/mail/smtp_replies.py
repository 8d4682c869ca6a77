"""Parses SMTP replies (RFC 5321, section 4.2), strictly and in bounded memory. Pure.

A reply that breaks the grammar is an error, never a guess: what follows it could belong to another command.
"""

import re
from collections import deque
from dataclasses import dataclass

MAX_REPLY_BYTES = 2**20
"""A reply that is longer never ends."""
KEPT_BYTES = 8192
"""Of a longer reply only the beginning is kept, for people to read."""
MAX_TEXT_CHARACTERS = 900
_PREFIX = re.compile(rb"[2-5][0-9]{2}([ \t-]|$)")
# Control characters, line and paragraph separators, bidirectional controls, and what UTF-8 cannot encode.
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")


class ProtocolError(Exception):
    """The server broke the SMTP dialogue."""


def readable(text: str) -> str:
    """Text that every database stores and every reader sees: control characters become escapes such as `\\x00`."""
    seen = _UNREADABLE.sub(_escape, text)
    return seen if len(seen) <= MAX_TEXT_CHARACTERS else seen[: MAX_TEXT_CHARACTERS - 1] + "…"


def decoded(raw: bytes, cut: bool = False) -> str:
    """The text of a reply: UTF-8 if it is valid, otherwise Windows-1252. If `cut`, it may end inside a character."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        inside = cut and exc.reason == "unexpected end of data"
        text = raw[: exc.start].decode() if inside else raw.decode("cp1252", "backslashreplace")
    return text.replace("\t", " ")


def _escape(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its code, and the text of each of its lines without the code."""

    code: int
    lines: tuple[str, ...]

    @property
    def kind(self) -> int:
        """The first digit: 2 completed, 3 go on, 4 refused for now, 5 refused permanently."""
        return self.code // 100

    @property
    def text(self) -> str:
        """The reply for people to read."""
        return readable(f"{self.code} {chr(10).join(self.lines)}".strip())


class ReplyParser:
    """Makes replies of the bytes a server sends, in whatever pieces they arrive."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self._code = b""
        self._lines: list[bytes] = []
        self._kept = 0
        self._size = 0
        self._line = bytearray()

    @property
    def partial(self) -> bool:
        """Whether a reply has begun that is not complete."""
        return self._size > 0

    def feed(self, data: bytes) -> None:
        """Appends to `replies`. Raises ProtocolError; replies that were complete before the error stay."""
        begin = 0
        while begin < len(data):
            end = data.find(b"\n", begin)
            self._append(data[begin : end if end >= 0 else len(data)])
            if end < 0:
                break
            self._size += 1
            self._end_line()
            begin = end + 1

    def _append(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MAX_REPLY_BYTES:
            raise ProtocolError(f"a reply of more than {MAX_REPLY_BYTES} bytes")
        self._line += piece[: max(KEPT_BYTES - len(self._line), 0)]
        # A server that speaks another protocol is recognised without waiting for the end of its line.
        if len(self._line) >= 4:
            self._check(bytes(self._line[:4]).rstrip(b"\r"))

    def _end_line(self) -> None:
        line = bytes(self._line.rstrip(b"\r"))
        self._line.clear()
        self._check(line[:4])
        if self._code and line[:3] != self._code:
            raise ProtocolError(f"the lines of one reply have the codes {self._code.decode()} and {line[:3].decode()}")
        self._code = line[:3]
        text = line[4:].strip()[: max(KEPT_BYTES - self._kept, 0)]
        if text or not self._lines:
            self._lines.append(text)
            self._kept += len(text) + 1
        if line[3:4] != b"-":
            cut = self._size > KEPT_BYTES
            self.replies.append(Reply(int(self._code), tuple(decoded(each, cut) for each in self._lines)))
            self._code, self._lines, self._kept, self._size = b"", [], 0, 0

    def _check(self, prefix: bytes) -> None:
        if not _PREFIX.match(prefix):
            raise ProtocolError(f"this is no SMTP reply: {readable(decoded(bytes(self._line) or prefix)[:100])}")
