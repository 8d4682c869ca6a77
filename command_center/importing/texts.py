"""Detects the encoding of a text file.

The byte order mark decides, else it is UTF-8 if that is valid, else Windows-1252.

Windows-1252 also covers Latin-1, which it extends. A file in which some lines are UTF-8 and others are not is refused
with the numbers of the lines. Read in either encoding, some of its names would be garbled.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHUNK_BYTES = 1 << 18
MAX_SHOWN_LINES = 8
# Longer marks come first, because a mark of UTF-32 begins like one of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_ESCAPED = re.compile(r"[\udc80-\udcff]")


class UndecodableText(ValueError):
    """The bytes of a file cannot be decoded. The message says at which line."""


def detect_encoding(path: Path, name: str | None = None) -> str:
    """Return the encoding with which to open a file.

    Without `name` it is detected. The whole file is read once, or twice if it is Windows-1252. Raises: UndecodableText,
    OSError.
    """
    known_encoding = _text_encoding(name) if name is not None else _from_byte_order_mark(path)
    if known_encoding in (None, "utf-8-sig") and name is None:
        lines = _NonAsciiLines.of(path)
        if not lines.other.count:
            return known_encoding or "utf-8"
        if known_encoding is not None or lines.utf8.count:
            raise UndecodableText(lines.complaint())
    encoding = known_encoding or "cp1252"
    faulty_line = _first_undecodable_line(path, encoding)
    if faulty_line is not None:
        what = (
            "neither UTF-8 nor Windows-1252"
            if known_encoding is None
            else f"not {encoding.removesuffix('-sig').upper()}"
        )
        raise UndecodableText(f"line {faulty_line} is {what}: name the right --encoding")
    return encoding


def _text_encoding(name: str) -> str:
    """Return the encoding that an operator named.

    Raises: UndecodableText if there is no such text encoding.
    """
    try:
        "".encode(name)
        codecs.getincrementaldecoder(name)
        detected = codecs.lookup(name).name
    except (LookupError, ValueError) as exc:
        raise UndecodableText(f"there is no encoding of text named {name!r}") from exc
    # `utf-8-sig` also removes a byte order mark.
    return "utf-8-sig" if detected == "utf-8" else detected


def _from_byte_order_mark(path: Path) -> str | None:
    """Return the encoding that the first bytes show, or None."""
    with path.open("rb") as file:
        head = file.read(4)
    detected = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if head.startswith(mark)), None)
    if detected is None and len(head) == 4 and (head[0] == 0) != (head[1] == 0) and head[:2] != b"\0\0":
        # In UTF-16 without a mark, every other byte of an ASCII letter is 0.
        return "utf-16-be" if head[0] == 0 and head[2] == 0 else "utf-16-le" if head[1] == head[3] == 0 else None
    return detected


@dataclass(slots=True)
class _LineNumbers:
    """Counts lines and holds the numbers of the first MAX_SHOWN_LINES."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, line: int) -> None:
        """Count a line, unless it is the line that was counted last.

        Lines must come in order.
        """
        if self.first[-1:] != [line]:
            self.count += 1
            if len(self.first) < MAX_SHOWN_LINES:
                self.first.append(line)

    def __str__(self) -> str:
        numbers = ", ".join(map(str, self.first))
        return f"line{'s' if self.count > 1 else ''} {numbers}" + (
            " and others" if self.count > len(self.first) else ""
        )


@dataclass(slots=True)
class _NonAsciiLines:
    """Holds the numbers of a file's lines that are not ASCII.

    Lines that are valid UTF-8 are counted separately from the others.
    """

    utf8: _LineNumbers = field(default_factory=_LineNumbers)
    other: _LineNumbers = field(default_factory=_LineNumbers)

    @staticmethod
    def of(path: Path) -> "_NonAsciiLines":
        """Read a file, and return the numbers of its lines that are not ASCII."""
        lines, line, pending = _NonAsciiLines(), 1, ""
        for text in _decoded_chunks(path, "utf-8", "surrogateescape"):
            # A chunk may end between the CR and the LF of a line end.
            text, pending = (pending + text[:-1], "\r") if text.endswith("\r") else (pending + text, "")
            if text.isascii():
                line += _line_ends(text)
                continue
            for number, part in enumerate(_LINE_END.split(text), line):
                if _ESCAPED.search(part):
                    lines.other.add(number)
                elif not part.isascii():
                    lines.utf8.add(number)
            line += _line_ends(text)
        return lines

    def complaint(self) -> str:
        """Return the error message for a file that mixes encodings.

        It names the rarer kind of lines.
        """
        advice = "save all of it in one encoding, or name the --encoding that all of it is in"
        if self.utf8.count < self.other.count:
            return f"{self.utf8} {_are(self.utf8)} UTF-8 and the rest, such as {self.other}, is not: {advice}"
        return f"{self.other} {_are(self.other)} not UTF-8 as the rest is, but Windows-1252 perhaps: {advice}"


def _are(numbers: _LineNumbers) -> str:
    return "are" if numbers.count > 1 else "is"


def _first_undecodable_line(path: Path, encoding: str) -> int | None:
    """Return the number of the first line that cannot be decoded, or None."""
    line = 1
    try:
        for text in _decoded_chunks(path, encoding, "strict"):
            line += _line_ends(text)
    except UnicodeDecodeError as exc:
        return line + _line_ends(exc.object[: exc.start].decode(exc.encoding, "replace"))
    except UnicodeError:
        return line
    return None


def _decoded_chunks(path: Path, encoding: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
