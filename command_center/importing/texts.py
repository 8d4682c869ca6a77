"""Which encoding a file of text is in: by its byte order mark, else UTF-8 where it is that, else Windows-1252.

Latin-1 is Windows-1252 without the signs that few need. A file in which some lines are UTF-8 and others are not is
refused with the numbers of the lines: read as either, some of its names would come out garbled.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHUNK = 1 << 18
SHOWN_LINES = 8
# The longer ones first: a mark of UTF-32 begins like one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_ESCAPED = re.compile(r"[\udc80-\udcff]")


class Undecodable(ValueError):
    """The bytes are no text that we can tell; the message says where."""


def encoding_of(path: Path, named: str | None = None) -> str:
    """The encoding to open the file with. Reads it once from end to end. Raises Undecodable and OSError."""
    known = _text_encoding(named) if named is not None else _marked(path)
    if known in (None, "utf-8-sig") and named is None:
        lines = _Lines.of(path)
        if not lines.other.count:
            return known or "utf-8"
        if known is not None or lines.utf8.count:
            raise Undecodable(lines.complaint())
    encoding = known or "cp1252"
    wrong = _fault(path, encoding)
    if wrong is not None:
        what = "neither UTF-8 nor Windows-1252" if known is None else f"not {encoding.removesuffix('-sig').upper()}"
        raise Undecodable(f"line {wrong} is {what}: name the right --encoding")
    return encoding


def _text_encoding(name: str) -> str:
    """An encoding by the name an operator gives it. Raises Undecodable."""
    try:
        "".encode(name)
        codecs.getincrementaldecoder(name)
        found = codecs.lookup(name).name
    except (LookupError, ValueError) as exc:
        raise Undecodable(f"there is no encoding of text named {name!r}") from exc
    # A mark at its beginning is none of the text.
    return "utf-8-sig" if found == "utf-8" else found


def _marked(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(4)
    found = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
    if found is None and len(head) == 4 and (head[0] == 0) != (head[1] == 0) and head[:2] != b"\0\0":
        # UTF-16 without a mark: every other byte of a letter in ASCII is 0.
        return "utf-16-be" if head[0] == 0 and head[2] == 0 else "utf-16-le" if head[1] == head[3] == 0 else None
    return found


@dataclass(slots=True)
class _Numbers:
    """Numbers of lines: how many there are, and the first of them."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, line: int) -> None:
        if self.first[-1:] != [line]:
            self.count += 1
            if len(self.first) < SHOWN_LINES:
                self.first.append(line)

    def __str__(self) -> str:
        listed = ", ".join(map(str, self.first))
        return f"line{'s' if self.count > 1 else ''} {listed}" + (" and others" if self.count > len(self.first) else "")


@dataclass(slots=True)
class _Lines:
    """The lines of a file that are not ASCII: those that are UTF-8, and the others."""

    utf8: _Numbers = field(default_factory=_Numbers)
    other: _Numbers = field(default_factory=_Numbers)

    @staticmethod
    def of(path: Path) -> "_Lines":
        found, line, rest = _Lines(), 1, ""
        for text in _texts(path, "utf-8", "surrogateescape"):
            # A line end may be cut in two.
            text, rest = (rest + text[:-1], "\r") if text.endswith("\r") else (rest + text, "")
            if text.isascii():
                line += _line_ends(text)
                continue
            for number, part in enumerate(_LINE_END.split(text), line):
                if _ESCAPED.search(part):
                    found.other.add(number)
                elif not part.isascii():
                    found.utf8.add(number)
            line += _line_ends(text)
        return found

    def complaint(self) -> str:
        mend = "save all of it in one encoding, or name the --encoding that all of it is in"
        if self.utf8.count < self.other.count:
            return f"{self.utf8} {_are(self.utf8)} UTF-8 and the rest, such as {self.other}, is not: {mend}"
        return f"{self.other} {_are(self.other)} not UTF-8 as the rest is, but Windows-1252 perhaps: {mend}"


def _are(numbers: _Numbers) -> str:
    return "are" if numbers.count > 1 else "is"


def _fault(path: Path, encoding: str) -> int | None:
    """The line that cannot be decoded."""
    line = 1
    try:
        for text in _texts(path, encoding, "strict"):
            line += _line_ends(text)
    except UnicodeDecodeError as exc:
        return line + _line_ends(exc.object[: exc.start].decode(exc.encoding, "replace"))
    except UnicodeError:
        return line
    return None


def _texts(path: Path, encoding: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
