"""Serialises a message with a plain text and an HTML alternative. Pure.

RFC 2045 and RFC 2046 define the form.

Header fields come from `command_center/mail/headers.py`. Python's `email` is not used, so that the bytes do not depend
on its version.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256

LINE = 76
"""A line of encoded content has at most this length (RFC 2045, 6.7 and 6.8)."""
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LITERAL = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x3D), *range(0x3E, 0x7F)])
# White space at the end of a line may be lost in transit, so it is encoded too.
_ENCODED = re.compile(rb"[^\t\r\n -<>-~]|[ \t](?=\r\n|\Z)")
# SMTP doubles a dot at the start of a line, and mail stores escape "From ". Encoding the first character prevents both.
_UNSAFE_START = re.compile(rb"\.|From ")


def alternative_message(fields: Iterable[str], seed: str, text: str, html: str) -> bytes:
    """Return a complete message.

    `fields` are complete header fields. `seed` must be unique to the message; it determines the boundary.
    """
    # Neither encoding can produce "=_", so no line of content can be taken for the boundary (RFC 2045, 6.7).
    boundary = "=_" + sha256(seed.encode()).hexdigest()[:32]
    lines = [
        *(field.encode() for field in fields),
        b"MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"'.encode(),
        b"",
    ]
    for subtype, content in (("plain", text), ("html", html)):
        lines += [f"--{boundary}".encode(), *_part(subtype, content)]
    return b"\r\n".join([*lines, f"--{boundary}--".encode(), b""])


def _part(subtype: str, content: str) -> list[bytes]:
    """Return the lines of one alternative.

    Line ends become CRLF, and surrogates U+FFFD; all else is unchanged.
    """
    whole = _SURROGATE.sub("\ufffd", _LINE_ENDS.sub("\r\n", content))
    encoding, encoded = transfer_encoded(whole.encode())
    fields = (f"Content-Type: text/{subtype}; charset=utf-8", f"Content-Transfer-Encoding: {encoding}")
    return [*(field.encode() for field in fields), b"", encoded]


def transfer_encoded(data: bytes) -> tuple[str, bytes]:
    """Encode text with CRLF line ends for its transfer by mail.

    Returns the name of the encoding and the encoded text. The encoding is quoted-printable unless base64 is shorter.
    """
    encoded_bytes = len(data.translate(None, _LITERAL))
    if encoded_bytes * 2 > len(data) // 3:
        # `encodebytes` ends its lines with LF only.
        return "base64", base64.encodebytes(data).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    encoded = _ENCODED.sub(lambda match: b"=%02X" % match[0][0], data)
    return "quoted-printable", b"\r\n".join(piece for line in encoded.split(b"\r\n") for piece in _pieces(line))


def _pieces(line: bytes) -> Iterator[bytes]:
    """Split an encoded line into pieces of at most LINE bytes.

    They have soft line breaks, and no `=XX` is split.
    """
    start, first = _safe_start(line, 0)
    while len(first) + len(line) - start > LINE:
        end = start + LINE - 1 - len(first)
        if b"=" in line[end - 2 : end]:
            end = line.rindex(b"=", end - 2, end)
        yield first + line[start:end] + b"="
        start, first = _safe_start(line, end)
    yield first + line[start:]


def _safe_start(line: bytes, start: int) -> tuple[int, bytes]:
    """Encode the character at `start` if it must not be the first one of a line.

    Returns the position at which the unencoded text continues, and the encoded character. If nothing is encoded, these
    are `start` and empty bytes.
    """
    if not _UNSAFE_START.match(line, start):
        return start, b""
    return start + 1, b"=%02X" % line[start]
