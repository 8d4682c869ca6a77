"""Prepares the shared body of a bulk send once. Pure.

Then it fills in the values of each email.

The body is prepared with a placeholder instead of each value. A placeholder consists of ASCII letters and digits, so it
passes every step unchanged and can be found in the result. Some values could change more than their own position, such
as an empty value or a default with markup. They are filled in before the preparation, and emails with equal such values
share a result.
"""

import html
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from command_center.actions.markup import filling
from command_center.actions.markup.filling import BodyField, FieldContext
from command_center.actions.markup.prepared import PreparedBody, prepare_html, prepare_plain

_MAX_CACHED = 12
_PREFIX = f"value{secrets.token_hex(12)}n"
_PLACEHOLDER = re.compile(rf"{_PREFIX}([0-9]+)([tu])z")
_PATH_CHARACTERS = 2_000
_IN_PATH = re.compile(r"https?://[^\s/?#\"'<>]++[/?#][^\s\"'<>]*+\Z", re.IGNORECASE)
# Other white space, or more than one space, may be collapsed. In the text part, a link whose text is its target is not
# followed by the target, so a value that may be part of an address must be filled in before the preparation.
_SPECIAL = re.compile(r"[^\S ]|  |\A | \Z|[\x00-\x1f\x7f]|\w\.\w|[@:/]")


@dataclass(frozen=True, slots=True)
class _PreparedTemplate:
    """Holds a prepared body, and the indexes of its pieces that contain placeholders."""

    prepared: PreparedBody
    indexes: tuple[int, ...]


def prepare_shared(body: str, values: Iterable[tuple[int, int, str]]) -> PreparedBody:
    """Prepare a shared body with the values of one email.

    Each value comes with the start and the end of its field in the body. Whether the body is HTML is decided without
    the values.
    """
    template = filling.cached_template(body)
    contexts = {(field.start, field.end): field.context for field in template.fields}
    field_values = [
        (BodyField(start, end, "", contexts.get((start, end), FieldContext.PLAIN)), value)
        for start, end, value in values
    ]
    if not template.is_html:
        return prepare_plain(filling.with_values(body, field_values)) if field_values else _prepared_plain(body)
    placeholders = _Placeholders(body, field_values)
    result = _prepared(
        filling.with_values(body, [(field, placeholders.placeholder(field, value)) for field, value in field_values])
    )
    return placeholders.fill(result)


class _Placeholders:
    """Assigns placeholders to the values of one email."""

    def __init__(self, body: str, field_values: Iterable[tuple[BodyField, str]]) -> None:
        self._body = body
        # These are filled in before the preparation. A text that shows the same value must be recognised as equal.
        self._literals = {
            unquote(value).casefold()
            for field, value in field_values
            if field.context is FieldContext.URL and not self._is_in_path(field)
        }
        self._numbers: dict[str, int] = {}
        self._values: list[tuple[str, str]] = []

    def placeholder(self, field: BodyField, value: str) -> str:
        """Return a placeholder for a value.

        If the value must be filled in before the preparation, it is returned instead.
        """
        if field.context is FieldContext.TEXT and "<" not in value:
            text = html.unescape(value)
            return self._placeholder(text, text, "t") if self._is_ordinary(text) else value
        if field.context is FieldContext.URL and self._is_in_path(field):
            text = unquote(value)
            if text != value and text.casefold() not in self._literals:
                return self._placeholder(text, value, "u")
            # Text and target get the same placeholder, so that a link whose text is its target is recognised.
            return self._placeholder(text, value, "t") if self._is_ordinary(text) else value
        return value

    def _is_ordinary(self, text: str) -> bool:
        return any(map(str.isalnum, text)) and not _SPECIAL.search(text) and text.casefold() not in self._literals

    def _is_in_path(self, field: BodyField) -> bool:
        before = self._body[max(0, field.start - _PATH_CHARACTERS) : field.start]
        return _IN_PATH.search(before) is not None

    def _placeholder(self, text: str, url: str, kind: str) -> str:
        number = self._numbers.setdefault(text, len(self._numbers))
        if number == len(self._values):
            self._values.append((text, url))
        elif kind == "u":
            self._values[number] = (text, url)
        return f"{_PREFIX}{number}{kind}z"

    def fill(self, result: _PreparedTemplate) -> PreparedBody:
        """Return the prepared body with each placeholder replaced by its value."""
        prepared = result.prepared
        pieces = list(prepared.pieces)
        for index in result.indexes:
            pieces[index] = self._fill_text(pieces[index], html.escape if index % 2 == 0 else str)
        return PreparedBody(tuple(pieces), self._fill_text(prepared.text, str), prepared.sheet)

    def _fill_text(self, text: str, encode: Callable[[str], str]) -> str:
        def value(match: re.Match[str]) -> str:
            text_value, url = self._values[int(match[1])]
            return url if match[2] == "u" else encode(text_value)

        return _PLACEHOLDER.sub(value, text)


@lru_cache(maxsize=_MAX_CACHED)
def _prepared(body: str) -> _PreparedTemplate:
    prepared = prepare_html(body)
    return _PreparedTemplate(prepared, tuple(index for index, piece in enumerate(prepared.pieces) if _PREFIX in piece))


_prepared_plain = lru_cache(maxsize=_MAX_CACHED)(prepare_plain)
