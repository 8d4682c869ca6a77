"""Decides whether a body is HTML or plain text. Pure.

Text that merely contains angle brackets is plain text, because as HTML it would lose words. Examples are
`<name@example.com>`, `List<String>`, `if a<b` and `the <title> of a page`. A body is HTML if it uses an element as
markup: it closes the element, gives it an attribute, breaks a line with `<br>`, or begins like a document.
"""

from command_center.actions.markup import vocabulary
from command_center.actions.markup.tokens import Token, TokenKind, attributes, last_end_tags, tokenize

_DOCUMENT = frozenset(("html", "head", "body"))
_PARAGRAPHS = vocabulary.BLOCKS - {"hr"}
_BEFORE_MENTION = frozenset(("", " ", "\t", "\xa0", "(", '"', "'", "“", "‘", "«", "„"))


def is_html(body: str) -> bool:
    """Return whether a body is HTML."""
    if "<" not in body:
        return False
    return _HtmlDetector(body).is_html()


def is_mention(token: Token, body: str, ends: dict[str, int]) -> bool:
    """Return whether a start tag is a word in angle brackets, not markup.

    A browser that read it as an element would not display the word. `ends` holds the position of the last end tag of
    each element name.
    """
    name = token.name
    if any(letter in name for letter in "@.,;\"'&=(){}[]") or name.endswith(":"):
        return True
    values = attributes(token.attributes)
    if values and not any(each in vocabulary.KNOWN_ATTRIBUTES or value is not None for each, value in values.items()):
        return True
    if name in vocabulary.ELEMENTS or (name in vocabulary.KNOWN and name not in vocabulary.REMOVED):
        return False
    is_closed = token.attributes.endswith("/") or ends.get(name, -1) > token.start
    return not is_closed and ":" not in name and not any(value is not None for value in values.values())


class _HtmlDetector:
    """Decides for one body whether it is HTML."""

    def __init__(self, body: str) -> None:
        self._body = body
        self._ends = last_end_tags(body)
        self._starts_with_tag = body.lstrip().startswith("<")
        # Counts the opened paragraphs and tables.
        self._blocks = 0

    def is_html(self) -> bool:
        body = self._body
        begin = len(body) - len(body.lstrip())
        ends_with_tag = body.rstrip().endswith(">")
        for token in tokenize(body):
            is_first = token.start <= begin
            if token.kind is TokenKind.COMMENT:
                beginning = body[token.start : token.start + 12].lower()
                if (is_first and beginning.startswith("<!doctype")) or beginning.startswith(("<!--[if", "<![if")):
                    return True
            elif token.kind in (TokenKind.START, TokenKind.RAW) and self._is_markup(token, is_first, ends_with_tag):
                return True
        return False

    def _is_markup(self, token: Token, is_first: bool, ends_with_tag: bool) -> bool:
        name = token.name
        if name not in vocabulary.KNOWN or is_mention(token, self._body, self._ends):
            return False
        allowed = vocabulary.EVERYWHERE | vocabulary.ATTRIBUTES.get(name, frozenset())
        values = attributes(token.attributes)
        is_closed = token.kind is TokenKind.RAW or self._ends.get(name, -1) > token.start
        if name in _DOCUMENT:
            return is_closed or (is_first and ends_with_tag)
        if name not in vocabulary.ELEMENTS:
            return is_first and ends_with_tag and (is_closed or any(value is not None for value in values.values()))
        if name in vocabulary.VOID:
            return self._is_break(token, values)
        if is_closed or any(value is not None and each in allowed for each, value in values.items()):
            return True
        if name in _PARAGRAPHS and not self._around(token)[1].isspace():
            self._blocks += 1
        return self._blocks > 1 and self._starts_with_tag

    def _is_break(self, token: Token, values: dict[str, str | None]) -> bool:
        """Return whether a void element is markup.

        `Hi<br>` is a line break, while `a <br> here` mentions the element.
        """
        if token.name == "img":
            return bool(values.get("src"))
        before, after = self._around(token)
        return bool(token.attributes) or before not in _BEFORE_MENTION or after.isalnum()

    def _around(self, token: Token) -> tuple[str, str]:
        """Return the characters before and after a tag.

        They are empty at the start and the end of the body.
        """
        return self._body[max(0, token.start - 1) : token.start], self._body[token.end : token.end + 1]
