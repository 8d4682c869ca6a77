"""Splits HTML into tokens, in time linear in its length, whatever it holds. Pure.

The tokens are those of the HTML standard with one difference: what a browser would swallow, because a tag, a comment
or a `<title>` is never closed, is text here. A writer who typed a `<` loses no words by it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from html import unescape
from html.entities import html5

RAW_TEXT = frozenset(["script", "style", "title", "textarea", "iframe", "noembed", "noframes"])
"""Elements whose content is no markup: it ends at the first end tag of the same name."""
_TAG = re.compile(
    r"""</?+([a-zA-Z][^\s/<>]*+)((?:[^<>=]++|=\s*+(?:"[^"]*+"?+|'[^']*+'?+)?+)*+)""",
)
_ATTRIBUTE = re.compile(
    r"""([^\s/=<>"'][^\s/=<>]*+)(?:\s*+=\s*+(?:"([^"]*+)"?+|'([^']*+)'?+|([^\s"'>][^\s>]*+)?+))?+""",
)
_END_NAME = re.compile(r"</([a-zA-Z][^\s/<>]*+)")
_REFERENCE = re.compile(
    r"&(?:#(?:[0-9]{1,9}(?![0-9])|[xX][0-9a-fA-F]{1,8}(?![0-9a-fA-F]));?+|([a-zA-Z][a-zA-Z0-9]*+);?+)",
)
# How often the text of unfinished tags may be read again, as a multiple of the whole.
_RESCANS = 8


class TokenKind(Enum):
    TEXT = auto()
    START = auto()
    END = auto()
    RAW = auto()
    COMMENT = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of HTML from `start` to `end`. `name` is in lower case, `attributes` as written.

    RAW is an element of RAW_TEXT with its content and its end tag; `inner` is where its content begins and ends.
    """

    kind: TokenKind
    start: int
    end: int
    name: str = ""
    attributes: str = ""
    inner: tuple[int, int] = (0, 0)


def tokenize(source: str) -> Iterator[Token]:
    """The tokens of a text, which together are the whole text."""
    return _Tokenizer(source).tokens()


def attributes(written: str) -> dict[str, str | None]:
    """The attributes of a tag as written, by name in lower case; the first of a name counts. None: without a value."""
    found: dict[str, str | None] = {}
    for match in _ATTRIBUTE.finditer(written):
        if (name := match[1].lower()) not in found:
            found[name] = next((value for value in match.group(2, 3, 4) if value is not None), None)
    return found


def attribute_values(written: str) -> Iterator[tuple[str, int, int, bool]]:
    """For each attribute of a tag as written: its name, where its value begins and ends, and whether in quotes."""
    for match in _ATTRIBUTE.finditer(written):
        group = match.lastindex or 1
        begin, end = match.span(group) if group > 1 else (match.end(), match.end())
        yield match[1].lower(), begin, end, group in (2, 3)


def attribute_text(written: str) -> str:
    """The value of an attribute with its character references decoded as the HTML standard does in attributes."""
    return _REFERENCE.sub(_decode, written) if "&" in written else written


def last_end_tags(source: str) -> dict[str, int]:
    """For each name in lower case, where the last end tag of that name begins."""
    return {match[1].lower(): match.start() for match in _END_NAME.finditer(source)}


def _decode(match: re.Match[str]) -> str:
    whole = match[0]
    if match[1] is None or (whole[1:] in html5 and whole.endswith(";")):
        return unescape(whole)
    # Without a semicolon, `&copy=1` in a query is no reference.
    if whole[1:] in html5 and match.string[match.end() : match.end() + 1] != "=":
        return html5[whole[1:]]
    return whole


class _Tokenizer:
    def __init__(self, source: str) -> None:
        self._source = source
        self._rescanned = 0
        # Ends that were searched for and do not occur again.
        self._absent: set[str] = set()

    def tokens(self) -> Iterator[Token]:
        source, text, place = self._source, 0, 0
        while (place := source.find("<", place)) >= 0:
            token = self._markup(place)
            if token.kind is TokenKind.TEXT:
                place = token.end
                continue
            if place > text:
                yield Token(TokenKind.TEXT, text, place)
            yield token
            text = place = token.end
        if text < len(source):
            yield Token(TokenKind.TEXT, text, len(source))

    def _markup(self, place: int) -> Token:
        """The token that begins with the `<` at a place; TEXT if that is only a character."""
        source = self._source
        following = source[place + 1 : place + 3]
        if following[:1] == "!" or following[:1] == "?":
            return self._comment(place)
        match = _TAG.match(source, place)
        if match is None:
            return Token(TokenKind.TEXT, place, place + 1)
        if source[match.end() : match.end() + 1] != ">":
            self._rescanned += match.end() - place
            spent = self._rescanned > _RESCANS * len(source)
            return Token(TokenKind.TEXT, place, match.end() if spent else place + 1)
        end, name = match.end() + 1, match[1].lower()
        if following[:1] == "/":
            return Token(TokenKind.END, place, end, name)
        if name in RAW_TEXT:
            return self._raw(place, end, name, match[2])
        return Token(TokenKind.START, place, end, name, match[2])

    def _raw(self, place: int, begin: int, name: str, written: str) -> Token:
        if name not in self._absent:
            found = re.compile(rf"</{name}[\s/>]", re.IGNORECASE).search(self._source, begin)
            close = -1 if found is None else self._find(">", found.end() - 1)
            if found is not None and close >= 0:
                return Token(TokenKind.RAW, place, close + 1, name, written, (begin, found.start()))
            self._absent.add(name)
        return Token(TokenKind.TEXT, place, begin)

    def _comment(self, place: int) -> Token:
        """A comment, a doctype, or what else browsers treat as a comment; TEXT if it has no end."""
        source = self._source
        if source.startswith("<!--", place):
            short = next((len(each) for each in ("<!-->", "<!--->") if source.startswith(each, place)), 0)
            end = place + short if short else self._find("-->", place + 4) + 3
            return Token(TokenKind.COMMENT, place, end) if end > place + 2 else Token(TokenKind.TEXT, place, place + 4)
        third = source[place + 2 : place + 3]
        if not ((third.isascii() and third.isalpha()) or third == "["):
            return Token(TokenKind.TEXT, place, place + 2)
        end = self._find(">", place + 2) + 1
        return Token(TokenKind.COMMENT, place, end) if end else Token(TokenKind.TEXT, place, place + 2)

    def _find(self, what: str, place: int) -> int:
        """Where a text occurs next, -1 if nowhere; what does not occur is searched for once."""
        if what in self._absent:
            return -1
        found = self._source.find(what, place)
        if found < 0:
            self._absent.add(what)
        return found
