"""Prepares the body that the emails of a bulk send share once, then fills in the values of each email. Pure.

The body is prepared with a word in the place of each value. A word consists of ASCII letters and digits, so it passes
every step unchanged and is found again in the result. A value that could change more than its own place, such as an
empty one or a default with markup, is filled in before: emails with the same such values share a result.
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

_MAX_KEPT = 12
_MARK = f"value{secrets.token_hex(12)}n"
_WORD = re.compile(rf"{_MARK}([0-9]+)([tu])z")
_PATH_CHARACTERS = 2_000
_IN_PATH = re.compile(r"https?://[^\s/?#\"'<>]++[/?#][^\s\"'<>]*+\Z", re.IGNORECASE)
# White space of other kinds, or more than one space, may be collapsed. A link that shows where it leads has no address
# beside it in the text part, so a value that may be an address has to be there from the start.
_SPECIAL = re.compile(r"[^\S ]|  |\A | \Z|[\x00-\x1f\x7f]|\w\.\w|[@:/]")


@dataclass(frozen=True, slots=True)
class _Result:
    """What was prepared, and which of its pieces have words in them."""

    prepared: PreparedBody
    places: tuple[int, ...]


def prepare_shared(body: str, values: Iterable[tuple[int, int, str]]) -> PreparedBody:
    """What leaves for a shared body with the values of one email, each with its place in the body.

    Whether the body is HTML is decided without the values.
    """
    template = filling.template(body)
    contexts = {(field.start, field.end): field.context for field in template.fields}
    given = [
        (BodyField(start, end, "", contexts.get((start, end), FieldContext.PLAIN)), value)
        for start, end, value in values
    ]
    if not template.is_html:
        return prepare_plain(filling.with_values(body, given)) if given else _prepared_plain(body)
    words = _Words(body, given)
    result = _prepared(filling.with_values(body, [(field, words.word(field, value)) for field, value in given]))
    return words.fill(result)


class _Words:
    """The words that stand for the values of one email."""

    def __init__(self, body: str, given: Iterable[tuple[BodyField, str]]) -> None:
        self._body = body
        # These are in the prepared body, and a text that shows the same has to be recognised.
        self._literals = {
            unquote(value).casefold()
            for field, value in given
            if field.context is FieldContext.URL and not self._is_in_path(field)
        }
        self._numbers: dict[str, int] = {}
        self._values: list[tuple[str, str]] = []

    def word(self, field: BodyField, value: str) -> str:
        """A word for a value; the value itself if it has to be there from the start."""
        if field.context is FieldContext.TEXT and "<" not in value:
            text = html.unescape(value)
            return self._word(text, text, "t") if self._is_ordinary(text) else value
        if field.context is FieldContext.URL and self._is_in_path(field):
            text = unquote(value)
            if text != value and text.casefold() not in self._literals:
                return self._word(text, value, "u")
            # The same word as in a text, so that a link that shows its address is recognised.
            return self._word(text, value, "t") if self._is_ordinary(text) else value
        return value

    def _is_ordinary(self, text: str) -> bool:
        return any(map(str.isalnum, text)) and not _SPECIAL.search(text) and text.casefold() not in self._literals

    def _is_in_path(self, field: BodyField) -> bool:
        before = self._body[max(0, field.start - _PATH_CHARACTERS) : field.start]
        return _IN_PATH.search(before) is not None

    def _word(self, text: str, url: str, kind: str) -> str:
        number = self._numbers.setdefault(text, len(self._numbers))
        if number == len(self._values):
            self._values.append((text, url))
        elif kind == "u":
            self._values[number] = (text, url)
        return f"{_MARK}{number}{kind}z"

    def fill(self, result: _Result) -> PreparedBody:
        prepared = result.prepared
        pieces = list(prepared.pieces)
        for place in result.places:
            pieces[place] = self._filled(pieces[place], html.escape if place % 2 == 0 else str)
        return PreparedBody(tuple(pieces), self._filled(prepared.text, str), prepared.sheet)

    def _filled(self, text: str, encode: Callable[[str], str]) -> str:
        def value(match: re.Match[str]) -> str:
            shown, url = self._values[int(match[1])]
            return url if match[2] == "u" else encode(shown)

        return _WORD.sub(value, text)


@lru_cache(maxsize=_MAX_KEPT)
def _prepared(body: str) -> _Result:
    prepared = prepare_html(body)
    return _Result(prepared, tuple(place for place, piece in enumerate(prepared.pieces) if _MARK in piece))


_prepared_plain = lru_cache(maxsize=_MAX_KEPT)(prepare_plain)
