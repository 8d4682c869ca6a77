"""Dynamic fields filled into a body, each encoded for the place where it stands. Pure.

In plain text a value stands as it is; in HTML it is escaped, and within a link or the source of a picture it is
percent-encoded as one component of the URL. In a style, a script or the name of a tag it cannot be filled in.
"""

import html
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import sha256
from urllib.parse import quote

from actions import fields
from actions.fields import Unresolved
from actions.markup import autolinks
from actions.markup.detection import is_html
from actions.markup.slots import Slots
from actions.markup.tokens import Token, TokenKind, attribute_values, tokenize

MAX_KEPT_TEMPLATES = 64
"""More than the sender loop claims at once."""
_URLS = frozenset(("href", "src", "background", "action", "cite", "longdesc"))


class _Context(Enum):
    PLAIN = auto()
    TEXT = auto()
    ATTRIBUTE = auto()
    UNQUOTED = auto()
    URL = auto()
    FORBIDDEN = auto()


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """A body in pieces: every second is a field as it is written, whose context stands at the same place."""

    is_html: bool
    pieces: tuple[str, ...]
    contexts: tuple[_Context, ...]

    def problems(self) -> list[str]:
        """A sentence for each field at a place where it cannot be filled in, each once."""
        forbidden = (
            field
            for field, context in zip(self.pieces[1::2], self.contexts, strict=True)
            if context is _Context.FORBIDDEN
        )
        return [f"{fields.shown(field)} stands where no value can be filled in: in a style, a script or a tag's name."
                for field in dict.fromkeys(forbidden)]  # fmt: skip

    def fill(self, known: Mapping[str, str]) -> str:
        """The body with its fields filled in; `known` is as `fields.values` gives it. Raises Unresolved."""
        if wrong := [*fields.problems("".join(self.pieces[1::2])), *self.problems()]:
            raise Unresolved(" ".join(wrong))
        pieces = list(self.pieces)
        for place, context in enumerate(self.contexts):
            pieces[2 * place + 1] = _encoded(pieces[2 * place + 1], context, known)
        filled = "".join(pieces)
        if not self.is_html and is_html(filled):
            # A company called <b>x</b> does not make plain text HTML.
            links = Slots()
            return links.fill(autolinks.to_html(filled, links), html.escape)
        return filled


_templates: OrderedDict[bytes, BodyTemplate] = OrderedDict()


def template(body: str) -> BodyTemplate:
    """The fields of a body and where they stand, kept for the other recipients of the same body."""
    found = _templates.get(_key(body))
    if found is None:
        found = read_template(body)
        keep_template(body, found)
    return found


def is_template_kept(body: str) -> bool:
    """Whether `template` answers at once."""
    key = _key(body)
    if key in _templates:
        _templates.move_to_end(key)
    return key in _templates


def keep_template(body: str, found: BodyTemplate) -> None:
    """Keeps what `read_template` returned for a body, possibly in another process."""
    _templates[_key(body)] = found
    if len(_templates) > MAX_KEPT_TEMPLATES:
        _templates.popitem(last=False)


def _key(body: str) -> bytes:
    return sha256(body.encode("utf-8", "surrogatepass")).digest()


def read_template(body: str) -> BodyTemplate:
    """The fields of a body and where they stand."""
    slots = Slots()
    masked = fields.mask(body, slots.add)
    markup = is_html(masked)
    if not slots.texts:
        return BodyTemplate(markup, (body,), ())
    if not markup:
        pieces = slots.split(masked)
        return BodyTemplate(False, tuple(pieces), (_Context.PLAIN,) * len(slots.texts))
    contexts: dict[int, _Context] = {}
    for token in tokenize(masked):
        for context, text in _parts(token, masked):
            contexts |= dict.fromkeys(slots.numbers(text), context)
        if len(contexts) == len(slots.texts):
            break
    return BodyTemplate(True, tuple(slots.split(masked)), tuple(contexts[number] for number in range(len(slots.texts))))


def _parts(token: Token, source: str) -> Iterator[tuple[_Context, str]]:
    """The text of a token in parts, each with the context of the fields in it."""
    written = source[token.start : token.end]
    if token.kind in (TokenKind.TEXT, TokenKind.COMMENT):
        yield _Context.TEXT, written
        return
    yield _Context.FORBIDDEN, written
    if token.kind is TokenKind.RAW and token.name not in ("style", "script"):
        yield _Context.TEXT, source[token.inner[0] : token.inner[1]]
    for name, begin, end, quoted in attribute_values(token.attributes):
        yield _context_of(name, quoted), token.attributes[begin:end]


def _context_of(attribute: str, quoted: bool) -> _Context:
    if attribute == "style" or attribute.startswith("on"):
        return _Context.FORBIDDEN
    if attribute in _URLS:
        return _Context.URL
    return _Context.ATTRIBUTE if quoted else _Context.UNQUOTED


def _encoded(field: str, context: _Context, known: Mapping[str, str]) -> str:
    if context is _Context.PLAIN:
        return fields.resolve(field, known, escaped=False)
    if context is _Context.TEXT:
        return fields.resolve(field, known, escaped=True)
    value = html.unescape(fields.resolve(field, known, escaped=True))
    if context is _Context.URL:
        return quote(value, safe="")
    if context is _Context.ATTRIBUTE:
        return html.escape(value)
    return "".join(letter if letter.isalnum() else f"&#{ord(letter)};" for letter in value)
