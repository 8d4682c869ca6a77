"""Parses SMTP replies (RFC 5321, section 4.2), strictly and in bounded memory.

Pure.

A reply that violates the grammar is an error. Guessing is unsafe, because the next reply could belong to another
command.
"""

import re
from collections import deque
from dataclasses import dataclass

MAX_REPLY_BYTES = 2**20
"""A longer reply is a protocol error, so that an endless one is not read forever."""
KEPT_BYTES = 8192
"""Only this many bytes of a longer reply are kept. Its text is for people to read."""
MAX_TEXT_CHARACTERS = 900
_PREFIX = re.compile(rb"[2-5][0-9]{2}([ \t-]|$)")
# Control characters, line and paragraph separators, bidirectional controls, and what UTF-8 cannot encode.
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")


class ProtocolError(Exception):
    """The server violated the SMTP protocol."""


def make_readable(text: str) -> str:
    r"""Return the text with control characters replaced by escapes.

    An escape is like `\x00`. A long text is shortened.

    Every database can store the result, and every character of it is visible.
    """
    escaped = _UNREADABLE.sub(_escape, text)
    return escaped if len(escaped) <= MAX_TEXT_CHARACTERS else escaped[: MAX_TEXT_CHARACTERS - 1] + "…"


def decode(raw: bytes, cut: bool = False) -> str:
    """Decode the text of an SMTP reply.

    It is UTF-8 if that is valid, otherwise Windows-1252. `cut` says that the text was shortened, so it may end inside a
    character.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        inside = cut and exc.reason == "unexpected end of data"
        text = raw[: exc.start].decode() if inside else raw.decode("cp1252", "backslashreplace")
    return text.replace("\t", " ")


def _escape(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


@dataclass(frozen=True, slots=True)
class Reply:
    """Holds one reply: its code, and the text of each line without the code."""

    code: int
    lines: tuple[str, ...]

    @property
    def kind(self) -> int:
        """Return the first digit of the code.

        2 is completed, 3 continue, 4 temporarily refused, 5 permanently refused.
        """
        return self.code // 100

    @property
    def text(self) -> str:
        """Return the reply as readable text."""
        return make_readable(f"{self.code} {chr(10).join(self.lines)}".strip())


class ReplyParser:
    """Assembles replies from the bytes a server sends.

    The bytes may arrive in any pieces.
    """

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self._code = b""
        self._lines: list[bytes] = []
        self._kept_bytes = 0
        self._reply_bytes = 0
        self._line = bytearray()

    @property
    def partial(self) -> bool:
        """Return whether the bytes received so far end within a reply."""
        return self._reply_bytes > 0

    def feed(self, data: bytes) -> None:
        """Parse received bytes, and append the completed replies to `replies`.

        Raises: ProtocolError. Replies that were complete before the error stay in `replies`.
        """
        begin = 0
        while begin < len(data):
            end = data.find(b"\n", begin)
            self._append(data[begin : end if end >= 0 else len(data)])
            if end < 0:
                break
            self._reply_bytes += 1
            self._end_line()
            begin = end + 1

    def _append(self, piece: bytes) -> None:
        self._reply_bytes += len(piece)
        if self._reply_bytes > MAX_REPLY_BYTES:
            raise ProtocolError(f"a reply of more than {MAX_REPLY_BYTES} bytes")
        self._line += piece[: max(KEPT_BYTES - len(self._line), 0)]
        # A server that speaks another protocol may never end its line.
        if len(self._line) >= 4:
            self._check(bytes(self._line[:4]).rstrip(b"\r"))

    def _end_line(self) -> None:
        line = bytes(self._line.rstrip(b"\r"))
        self._line.clear()
        self._check(line[:4])
        if self._code and line[:3] != self._code:
            raise ProtocolError(f"the lines of one reply have the codes {self._code.decode()} and {line[:3].decode()}")
        self._code = line[:3]
        text = line[4:].strip()[: max(KEPT_BYTES - self._kept_bytes, 0)]
        if text or not self._lines:
            self._lines.append(text)
            self._kept_bytes += len(text) + 1
        if line[3:4] != b"-":
            cut = self._reply_bytes > KEPT_BYTES
            self.replies.append(Reply(int(self._code), tuple(decode(each, cut) for each in self._lines)))
            self._code, self._lines, self._kept_bytes, self._reply_bytes = b"", [], 0, 0

    def _check(self, prefix: bytes) -> None:
        if not _PREFIX.match(prefix):
            raise ProtocolError(f"this is no SMTP reply: {make_readable(decode(bytes(self._line) or prefix)[:100])}")
