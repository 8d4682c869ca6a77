"""Fills dynamic fields into a body, and encodes each value for its context. Pure.

In plain text a value is not encoded. In HTML it is escaped; within a link or the source of a picture it is
percent-encoded as one component of the URL. In a style, a script or a tag's name a field cannot be filled in.
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
from command_center.actions.template_fields import UnresolvedField

MAX_CACHED_TEMPLATES = 64
"""This is more than the outbox claims in one batch, so that no template of a batch is evicted before its use."""
_URL_ATTRIBUTES = frozenset(("href", "src", "background", "action", "cite", "longdesc"))


class FieldContext(Enum):
    """Names the context of a field, which determines how a value is encoded."""

    PLAIN = auto()
    TEXT = auto()
    ATTRIBUTE = auto()
    UNQUOTED = auto()
    URL = auto()
    FORBIDDEN = auto()


@dataclass(frozen=True, slots=True)
class BodyField:
    """Holds a field of a body, from `start` to `end`. `written` is its source text."""

    start: int
    end: int
    written: str
    context: FieldContext


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """Holds the fields of a body, in the order of the body."""

    is_html: bool
    fields: tuple[BodyField, ...]

    def errors(self) -> list[str]:
        """Return one sentence for each field at a place where no value can be inserted.

        The sentences have no duplicates.
        """
        unfillable = (field.written for field in self.fields if field.context is FieldContext.FORBIDDEN)
        reason = "is where no value can be filled in: in a style, a script or a tag's name."
        return [f"{template_fields.shorten(field)} {reason}" for field in dict.fromkeys(unfillable)]

    def field_errors(self) -> list[str]:
        """Return one sentence for each field that cannot be filled in, for any reason."""
        return [*template_fields.field_errors("".join(field.written for field in self.fields)), *self.errors()]

    def values(self, field_values: Mapping[str, str]) -> list[str]:
        """Return the encoded value of each field.

        `field_values` is a result of `template_fields.person_values`.

        Raises: UnresolvedField if a field cannot be filled in.
        """
        if errors := self.field_errors():
            raise UnresolvedField(" ".join(errors))
        return [_encode(field.written, field.context, field_values) for field in self.fields]

    def fill(self, body: str, field_values: Mapping[str, str]) -> str:
        """Return the body with its fields filled in. Raises: UnresolvedField."""
        values = self.values(field_values)
        filled = with_values(body, zip(self.fields, values, strict=True))
        if not self.is_html and any("<" in value for value in values) and is_html(filled):
            # Plain text must stay plain text even if a company is called <b>x</b>.
            links = Slots()
            return links.fill(autolinks.to_html(filled, links), html.escape)
        return filled


def with_values(body: str, values: Iterable[tuple[BodyField, str]]) -> str:
    """Return the body with each field replaced by its value."""
    parts: list[str] = []
    position = 0
    for field, value in values:
        parts += (body[position : field.start], value)
        position = field.end
    return "".join([*parts, body[position:]])


_templates: OrderedDict[bytes, BodyTemplate] = OrderedDict()


def cached_template(body: str) -> BodyTemplate:
    """Return the template of a body, cached for the other recipients of the same body."""
    parsed = _templates.get(_cache_key(body))
    if parsed is None:
        parsed = parse_template(body)
        cache_template(body, parsed)
    return parsed


def is_template_cached(body: str) -> bool:
    """Return whether the template of a body is cached, and mark it as recently used."""
    key = _cache_key(body)
    if key in _templates:
        _templates.move_to_end(key)
    return key in _templates


def cache_template(body: str, parsed: BodyTemplate) -> None:
    """Cache the result of `parse_template` for a body.

    The result may have been computed in another process.
    """
    _templates[_cache_key(body)] = parsed
    if len(_templates) > MAX_CACHED_TEMPLATES:
        _templates.popitem(last=False)


@lru_cache(maxsize=4)
def _cache_key(body: str) -> bytes:
    return sha256(body.encode("utf-8", "surrogatepass")).digest()


def parse_template(body: str) -> BodyTemplate:
    """Parse the fields of a body and determine their contexts."""
    slots = Slots()
    masked = template_fields.replace_fields(body, slots.add)
    markup = is_html(masked)
    contexts: dict[int, FieldContext] = {}
    for token in tokenize(masked) if markup and slots.texts else ():
        for context, text in _contexts(token, masked):
            contexts |= dict.fromkeys(slots.numbers(text), context)
        if len(contexts) == len(slots.texts):
            break
    pieces, fields, position = slots.split(masked), [], 0
    for number, (literal, written) in enumerate(zip(pieces[::2], pieces[1::2], strict=False)):
        start = position + len(literal)
        position = start + len(written)
        fields.append(BodyField(start, position, written, contexts[number] if markup else FieldContext.PLAIN))
    return BodyTemplate(markup, tuple(fields))


def _contexts(token: Token, source: str) -> Iterator[tuple[FieldContext, str]]:
    """Yield texts from a token, each after the context of the fields in it.

    The texts may overlap. A field in several of them has the context of the last one.
    """
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
    if attribute in _URL_ATTRIBUTES:
        return FieldContext.URL
    return FieldContext.ATTRIBUTE if quoted else FieldContext.UNQUOTED


def _encode(field: str, context: FieldContext, field_values: Mapping[str, str]) -> str:
    if context is FieldContext.PLAIN:
        return template_fields.resolve(field, field_values, escaped=False)
    if context is FieldContext.TEXT:
        return template_fields.resolve(field, field_values, escaped=True)
    value = html.unescape(template_fields.resolve(field, field_values, escaped=True))
    if context is FieldContext.URL:
        return quote(value, safe="")
    if context is FieldContext.ATTRIBUTE:
        return html.escape(value)
    return "".join(letter if letter.isalnum() else f"&#{ord(letter)};" for letter in value)
