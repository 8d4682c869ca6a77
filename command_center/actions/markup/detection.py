"""Decides whether a body is HTML or plain text. Pure.

Text in which angle brackets only occur, such as `<name@example.com>`, `List<String>`, `if a<b` or `the <title> of a
page`, is plain text: as HTML it would lose words. HTML is what uses an element as markup does: it opens and closes it,
gives it an attribute, breaks a line with `<br>`, or begins as a document.
"""

from command_center.actions.markup import vocabulary
from command_center.actions.markup.tokens import Token, TokenKind, attributes, last_end_tags, tokenize

_DOCUMENT = frozenset(("html", "head", "body"))
_PARAGRAPHS = vocabulary.BLOCKS - {"hr"}
_BEFORE_MENTION = frozenset(("", " ", "\t", "\xa0", "(", '"', "'", "“", "‘", "«", "„"))


def is_html(body: str) -> bool:
    """Whether a body is HTML."""
    if "<" not in body:
        return False
    return _Reader(body).is_html()


def is_mention(token: Token, body: str, ends: dict[str, int]) -> bool:
    """Whether a start tag is a word in angle brackets rather than markup; it would be lost as an element."""
    name = token.name
    if any(letter in name for letter in "@.,;\"'&=(){}[]") or name.endswith(":"):
        return True
    given = attributes(token.attributes)
    if given and not any(each in vocabulary.KNOWN_ATTRIBUTES or value is not None for each, value in given.items()):
        return True
    if name in vocabulary.ELEMENTS or (name in vocabulary.KNOWN and name not in vocabulary.REMOVED):
        return False
    closed = token.attributes.endswith("/") or ends.get(name, -1) > token.start
    return not closed and ":" not in name and not any(value is not None for value in given.values())


class _Reader:
    def __init__(self, body: str) -> None:
        self._body = body
        self._ends = last_end_tags(body)
        self._starts_with_tag = body.lstrip().startswith("<")
        # The number of paragraphs and tables that were opened.
        self._blocks = 0

    def is_html(self) -> bool:
        body = self._body
        begin = len(body) - len(body.lstrip())
        wrapped = body.rstrip().endswith(">")
        for token in tokenize(body):
            first = token.start <= begin
            if token.kind is TokenKind.COMMENT:
                written = body[token.start : token.start + 12].lower()
                if (first and written.startswith("<!doctype")) or written.startswith(("<!--[if", "<![if")):
                    return True
            elif token.kind in (TokenKind.START, TokenKind.RAW) and self._is_markup(token, first, wrapped):
                return True
        return False

    def _is_markup(self, token: Token, first: bool, wrapped: bool) -> bool:
        name = token.name
        if name not in vocabulary.KNOWN or is_mention(token, self._body, self._ends):
            return False
        allowed = vocabulary.EVERYWHERE | vocabulary.ATTRIBUTES.get(name, frozenset())
        given = attributes(token.attributes)
        closed = token.kind is TokenKind.RAW or self._ends.get(name, -1) > token.start
        if name in _DOCUMENT:
            return closed or (first and wrapped)
        if name not in vocabulary.ELEMENTS:
            return first and wrapped and (closed or any(value is not None for value in given.values()))
        if name in vocabulary.VOID:
            return self._is_break(token, given)
        if closed or any(value is not None and each in allowed for each, value in given.items()):
            return True
        if name in _PARAGRAPHS and not self._around(token)[1].isspace():
            self._blocks += 1
        return self._blocks > 1 and self._starts_with_tag

    def _is_break(self, token: Token, given: dict[str, str | None]) -> bool:
        """`Hi<br>` breaks a line; `a <br> here` names the element."""
        if token.name == "img":
            return bool(given.get("src"))
        before, after = self._around(token)
        return bool(token.attributes) or before not in _BEFORE_MENTION or after.isalnum()

    def _around(self, token: Token) -> tuple[str, str]:
        """The characters before and after a tag."""
        return self._body[max(0, token.start - 1) : token.start], self._body[token.end : token.end + 1]
