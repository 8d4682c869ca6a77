"""Splits HTML into tokens, in time linear in its length for any input. Pure.

The tokens are those of the HTML standard with one difference. If a tag, a comment or a `<title>` is never closed, a
browser drops the rest of the text; here it is text. An author who types a `<` therefore loses no words.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from html import unescape
from html.entities import html5

RAW_TEXT = frozenset(["script", "style", "title", "textarea", "iframe", "noembed", "noframes"])
"""The content of these elements is not markup. It ends at the first end tag of the same name."""
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
# The text of unfinished tags is scanned again at most this many times the length of the source.
_RESCANS = 8


class TokenKind(Enum):
    """Names the kinds of tokens.

    COMMENT includes doctypes and all else that browsers treat as a comment.
    """

    TEXT = auto()
    START = auto()
    END = auto()
    RAW = auto()
    COMMENT = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """Describes a piece of HTML from `start` to `end`.

    `name` is in lower case; `attributes` is source text. RAW is an element whose content is not markup, such as
    `<style>`, with its content and its end tag. Its `inner` holds the start and the end of the content.
    """

    kind: TokenKind
    start: int
    end: int
    name: str = ""
    attributes: str = ""
    inner: tuple[int, int] = (0, 0)


def tokenize(source: str) -> Iterator[Token]:
    """Yield the tokens of a text. Together they cover the whole text."""
    return _Tokenizer(source).tokens()


def attributes(written: str) -> dict[str, str | None]:
    """Parse the attributes of a tag into a mapping by name in lower case.

    The first attribute of a name counts. The value is None if the attribute has none.
    """
    values: dict[str, str | None] = {}
    for match in _ATTRIBUTE.finditer(written):
        if (name := match[1].lower()) not in values:
            values[name] = next((value for value in match.group(2, 3, 4) if value is not None), None)
    return values


def attribute_values(written: str) -> Iterator[tuple[str, int, int, bool]]:
    """Yield the attributes of a tag, each with the position of its value.

    Each tuple has the name in lower case, the value's start and end in `written`, and whether the value is quoted.
    """
    for match in _ATTRIBUTE.finditer(written):
        group = match.lastindex or 1
        begin, end = match.span(group) if group > 1 else (match.end(), match.end())
        yield match[1].lower(), begin, end, group in (2, 3)


def attribute_text(written: str) -> str:
    """Decode the character references in an attribute's value.

    The HTML standard defines this decoding for attributes.
    """
    return _REFERENCE.sub(_decode, written) if "&" in written else written


def last_end_tags(source: str) -> dict[str, int]:
    """Return the start of the last end tag of each name, by name in lower case."""
    return {match[1].lower(): match.start() for match in _END_NAME.finditer(source)}


def _decode(match: re.Match[str]) -> str:
    whole = match[0]
    if match[1] is None or (whole[1:] in html5 and whole.endswith(";")):
        return unescape(whole)
    # Without a semicolon, `&copy=1` in a query string is not a reference.
    if whole[1:] in html5 and match.string[match.end() : match.end() + 1] != "=":
        return html5[whole[1:]]
    return whole


class _Tokenizer:
    """Splits one source into tokens.

    It limits how much of the source it scans more than once, so that it takes linear time.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._rescanned = 0
        # These terminators do not occur after the current position, so they are not searched for again.
        self._absent: set[str] = set()

    def tokens(self) -> Iterator[Token]:
        source, text, position = self._source, 0, 0
        while (position := source.find("<", position)) >= 0:
            token = self._markup(position)
            if token.kind is TokenKind.TEXT:
                position = token.end
                continue
            if position > text:
                yield Token(TokenKind.TEXT, text, position)
            yield token
            text = position = token.end
        if text < len(source):
            yield Token(TokenKind.TEXT, text, len(source))

    def _markup(self, position: int) -> Token:
        """Return the token that begins with the `<` at a position.

        It is TEXT if the `<` is only a character.
        """
        source = self._source
        following = source[position + 1 : position + 3]
        if following[:1] == "!" or following[:1] == "?":
            return self._comment(position)
        match = _TAG.match(source, position)
        if match is None:
            return Token(TokenKind.TEXT, position, position + 1)
        if source[match.end() : match.end() + 1] != ">":
            self._rescanned += match.end() - position
            spent = self._rescanned > _RESCANS * len(source)
            return Token(TokenKind.TEXT, position, match.end() if spent else position + 1)
        end, name = match.end() + 1, match[1].lower()
        if following[:1] == "/":
            return Token(TokenKind.END, position, end, name)
        if name in RAW_TEXT:
            return self._raw(position, end, name, match[2])
        return Token(TokenKind.START, position, end, name, match[2])

    def _raw(self, position: int, begin: int, name: str, written: str) -> Token:
        if name not in self._absent:
            match = re.compile(rf"</{name}[\s/>]", re.IGNORECASE).search(self._source, begin)
            close = -1 if match is None else self._find(">", match.end() - 1)
            if match is not None and close >= 0:
                return Token(TokenKind.RAW, position, close + 1, name, written, (begin, match.start()))
            self._absent.add(name)
        return Token(TokenKind.TEXT, position, begin)

    def _comment(self, position: int) -> Token:
        """Return the comment, doctype or bogus comment at a position.

        It is TEXT if it has no end.
        """
        source = self._source
        if source.startswith("<!--", position):
            short_length = next((len(each) for each in ("<!-->", "<!--->") if source.startswith(each, position)), 0)
            end = position + short_length if short_length else self._find("-->", position + 4) + 3
            return (
                Token(TokenKind.COMMENT, position, end)
                if end > position + 2
                else Token(TokenKind.TEXT, position, position + 4)
            )
        third = source[position + 2 : position + 3]
        if not ((third.isascii() and third.isalpha()) or third == "["):
            return Token(TokenKind.TEXT, position, position + 2)
        end = self._find(">", position + 2) + 1
        return Token(TokenKind.COMMENT, position, end) if end else Token(TokenKind.TEXT, position, position + 2)

    def _find(self, text: str, position: int) -> int:
        """Return the next position of a text, or -1.

        A text that does not occur is searched for only once.
        """
        if text in self._absent:
            return -1
        index = self._source.find(text, position)
        if index < 0:
            self._absent.add(text)
        return index
