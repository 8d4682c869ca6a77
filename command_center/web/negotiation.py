"""Chooses the media type of a response by the Accept header (RFC 9110, 12.5.1)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final


class Form(Enum):
    """The media types of responses."""

    RESPONSE = "application/graphql-response+json"
    JSON = "application/json"
    EVENTS = "text/event-stream"
    PARTS = "multipart/mixed"


# A client that accepts anything gets plain JSON.
SINGLE_FORMS: Final = (Form.JSON, Form.RESPONSE)
STREAM_FORMS: Final = (Form.EVENTS, Form.PARTS)
SUBSCRIPTION_PARAMETER: Final = "subscriptionspec"
"""The parameter with which a client requests a subscription as parts: https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol"""

CACHED_HEADERS: Final = 128
"""Accept headers whose result is cached. A client sends the same one with each request."""

_PART: Final = re.compile(r'(?:[^,;"]|"(?:[^"\\]|\\.)*")+|[,;]')


@dataclass(frozen=True, slots=True)
class Range:
    """One media range of an Accept header.

    `weight` is from 0, which means not acceptable, to 1.
    """

    kind: str
    parameters: frozenset[str]
    weight: float

    def specificity(self, form: Form) -> int:
        """Return how specifically the range matches the form; 0 if it does not."""
        if form is Form.PARTS and SUBSCRIPTION_PARAMETER not in self.parameters and self.kind != "*/*":
            return 0
        if self.kind == form.value:
            return 3
        if self.kind == f"{form.value.partition('/')[0]}/*":
            return 2
        return 1 if self.kind == "*/*" else 0


@lru_cache(CACHED_HEADERS)
def choose_form(accept: str | None) -> Form | None:
    """Return the form for a query or mutation; None if the client accepts none.

    It is JSON if any JSON is acceptable, whatever else the header names.
    """
    ranges = list(_ranges(accept))
    return _best(ranges, SINGLE_FORMS) or _best(ranges, STREAM_FORMS)


@lru_cache(CACHED_HEADERS)
def choose_stream_form(accept: str | None) -> Form | None:
    """Return the form for a subscription; None if the client accepts no stream."""
    return _best(list(_ranges(accept)), STREAM_FORMS)


def _best(ranges: list[Range], forms: tuple[Form, ...]) -> Form | None:
    weights = [(_weight(ranges, form), form) for form in forms]
    weight, best_form = max(weights, key=lambda each: each[0])
    return best_form if weight[0] > 0 else None


def _weight(ranges: list[Range], form: Form) -> tuple[float, int]:
    """Return the weight of the most specific range, and of equals the one named first."""
    matches = [
        (each.specificity(form), each.weight, -position)
        for position, each in enumerate(ranges)
        if each.specificity(form)
    ]
    if not matches:
        return 0.0, 0
    _, weight, position = max(matches)
    return weight, position


def _ranges(accept: str | None) -> Iterator[Range]:
    """Yield the media ranges. An absent or empty header accepts anything."""
    kind, parameters, weight = "", set[str](), 1.0
    for part in [*_PART.findall(accept or ""), ","] if accept and accept.strip(" ,") else ["*/*", ","]:
        text = part.strip()
        if text == ",":
            if kind:
                yield Range(kind, frozenset(parameters), weight)
            kind, parameters, weight = "", set(), 1.0
        elif not kind:
            kind = text.lower().replace(" ", "") if text != ";" else ""
        elif text != ";":
            name, _, value = text.partition("=")
            name = name.strip().lower()
            if name == "q":
                weight = _q(value)
            parameters.add(name)


def _q(text: str) -> float:
    """Return a weight from 0 to 1. An invalid one counts as 1, as if it were absent."""
    try:
        value = float(text.strip().strip('"'))
    except ValueError:
        return 1.0
    return min(max(value, 0.0), 1.0) if value == value else 1.0
