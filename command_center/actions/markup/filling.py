"""Dynamic fields filled into a body, each encoded for the place where it stands. Pure.

In plain text a value stands as it is; in HTML it is escaped, and within a link or the source of a picture it is
percent-encoded as one component of the URL. In a style, a script or the name of a tag it cannot be filled in.
"""

import html
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

from command_center.actions import template_fields
from command_center.actions.markup import autolinks
from command_center.actions.markup.detection import is_html
from command_center.actions.markup.slots import Slots
from command_center.actions.markup.tokens import Token, TokenKind, attribute_values, tokenize
from command_center.actions.template_fields import Unresolved

MAX_KEPT_TEMPLATES = 64
"""More than the sender loop claims at once."""
_URLS = frozenset(("href", "src", "background", "action", "cite", "longdesc"))


class FieldContext(Enum):
    """Where a field stands; it decides how a value is encoded."""

    PLAIN = auto()
    TEXT = auto()
    ATTRIBUTE = auto()
    UNQUOTED = auto()
    URL = auto()
    FORBIDDEN = auto()


@dataclass(frozen=True, slots=True)
class BodyField:
    """A field as it is written, from `start` to `end` of the body."""

    start: int
    end: int
    written: str
    context: FieldContext


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """The fields of a body, in their order."""

    is_html: bool
    fields: tuple[BodyField, ...]

    def problems(self) -> list[str]:
        """A sentence for each field at a place where it cannot be filled in, each once."""
        forbidden = (field.written for field in self.fields if field.context is FieldContext.FORBIDDEN)
        reason = "stands where no value can be filled in: in a style, a script or a tag's name."
        return [f"{template_fields.shown(field)} {reason}" for field in dict.fromkeys(forbidden)]

    def field_problems(self) -> list[str]:
        """A sentence for each field that cannot be filled in, whatever the reason."""
        return [*template_fields.problems("".join(field.written for field in self.fields)), *self.problems()]

    def values(self, known: Mapping[str, str]) -> list[str]:
        """What goes into the places of the fields, encoded; `known` is as `fields.values` gives it.

        Raises Unresolved.
        """
        if wrong := self.field_problems():
            raise Unresolved(" ".join(wrong))
        return [_encoded(field.written, field.context, known) for field in self.fields]

    def fill(self, body: str, known: Mapping[str, str]) -> str:
        """The body with its fields filled in. Raises Unresolved."""
        values = self.values(known)
        filled = with_values(body, zip(self.fields, values, strict=True))
        if not self.is_html and any("<" in value for value in values) and is_html(filled):
            # A company called <b>x</b> does not make plain text HTML.
            links = Slots()
            return links.fill(autolinks.to_html(filled, links), html.escape)
        return filled


def with_values(body: str, values: Iterable[tuple[BodyField, str]]) -> str:
    """The body with each field replaced by its value."""
    parts: list[str] = []
    position = 0
    for field, value in values:
        parts += (body[position : field.start], value)
        position = field.end
    return "".join([*parts, body[position:]])


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


@lru_cache(maxsize=4)
def _key(body: str) -> bytes:
    return sha256(body.encode("utf-8", "surrogatepass")).digest()


def read_template(body: str) -> BodyTemplate:
    """The fields of a body and where they stand."""
    slots = Slots()
    masked = template_fields.mask(body, slots.add)
    markup = is_html(masked)
    contexts: dict[int, FieldContext] = {}
    for token in tokenize(masked) if markup and slots.texts else ():
        for context, text in _parts(token, masked):
            contexts |= dict.fromkeys(slots.numbers(text), context)
        if len(contexts) == len(slots.texts):
            break
    pieces, found, position = slots.split(masked), [], 0
    for number, (literal, written) in enumerate(zip(pieces[::2], pieces[1::2], strict=False)):
        start = position + len(literal)
        position = start + len(written)
        found.append(BodyField(start, position, written, contexts[number] if markup else FieldContext.PLAIN))
    return BodyTemplate(markup, tuple(found))


def _parts(token: Token, source: str) -> Iterator[tuple[FieldContext, str]]:
    """The text of a token in parts, each with the context of the fields in it."""
    written = source[token.start : token.end]
    if token.kind in (TokenKind.TEXT, TokenKind.COMMENT):
        yield FieldContext.TEXT, written
        return
    yield FieldContext.FORBIDDEN, written
    if token.kind is TokenKind.RAW and token.name not in ("style", "script"):
        yield FieldContext.TEXT, source[token.inner[0] : token.inner[1]]
    for name, begin, end, quoted in attribute_values(token.attributes):
        yield _context_of(name, quoted), token.attributes[begin:end]


def _context_of(attribute: str, quoted: bool) -> FieldContext:
    if attribute == "style" or attribute.startswith("on"):
        return FieldContext.FORBIDDEN
    if attribute in _URLS:
        return FieldContext.URL
    return FieldContext.ATTRIBUTE if quoted else FieldContext.UNQUOTED


def _encoded(field: str, context: FieldContext, known: Mapping[str, str]) -> str:
    if context is FieldContext.PLAIN:
        return template_fields.resolve(field, known, escaped=False)
    if context is FieldContext.TEXT:
        return template_fields.resolve(field, known, escaped=True)
    value = html.unescape(template_fields.resolve(field, known, escaped=True))
    if context is FieldContext.URL:
        return quote(value, safe="")
    if context is FieldContext.ATTRIBUTE:
        return html.escape(value)
    return "".join(letter if letter.isalnum() else f"&#{ord(letter)};" for letter in value)
