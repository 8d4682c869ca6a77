"""Which encoding a file of text is in: by its byte order mark, else UTF-8 where it is that, else Windows-1252.

Latin-1 is Windows-1252 without the signs that few need. A file that is mostly UTF-8 is never read as anything else:
its names would come out garbled, and nobody would be told.
"""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 18
# The longer ones first: a mark of UTF-32 begins like one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f\udc80-\udcff]")
_ESCAPED = re.compile(r"[\udc80-\udcff]")


class Undecodable(ValueError):
    """The bytes are no text that we can tell; the message says where."""


def encoding_of(path: Path, named: str | None = None) -> str:
    """The encoding to open the file with. Reads it once from end to end. Raises Undecodable and OSError."""
    known = _text_encoding(named) if named is not None else _marked(path)
    if known is None and _is_utf8(path):
        return "utf-8"
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
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def _is_utf8(path: Path) -> bool:
    """Whether all of it is. Raises Undecodable for what is mostly, and not quite."""
    right = wrong = line = 0
    first = None
    for text in _texts(path, "utf-8", "surrogateescape"):
        if not text.isascii():
            right += len(_BEYOND_ASCII.findall(text))
            found = _ESCAPED.search(text)
            wrong += len(_ESCAPED.findall(text)) if found else 0
            if found and first is None:
                first = line + _line_ends(text[: found.start()]) + 1
        line += _line_ends(text)
    if first is not None and right > wrong:
        raise Undecodable(f"line {first} is not UTF-8 as the rest is: mend it, or name the right --encoding")
    return first is None


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
