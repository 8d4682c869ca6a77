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
"""The most Accept headers whose result is cached. A client sends the same one with each request."""

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
        """Return how specifically the range matches a media type, from 1 to 3.

        An exact match is 3. The result is 0 if the range does not match.
        """
        if form is Form.PARTS and SUBSCRIPTION_PARAMETER not in self.parameters and self.kind != "*/*":
            return 0
        if self.kind == form.value:
            return 3
        if self.kind == f"{form.value.partition('/')[0]}/*":
            return 2
        return 1 if self.kind == "*/*" else 0


@lru_cache(CACHED_HEADERS)
def choose_form(accept: str | None) -> Form | None:
    """Return the media type of the response to a query or mutation.

    The result is JSON if the Accept header allows any JSON, whatever else it names. It is None if the client accepts no
    media type of ours.
    """
    ranges = list(_ranges(accept))
    return _best(ranges, SINGLE_FORMS) or _best(ranges, STREAM_FORMS)


@lru_cache(CACHED_HEADERS)
def choose_stream_form(accept: str | None) -> Form | None:
    """Return the media type of the response to a subscription.

    The result is None if the client accepts no stream.
    """
    return _best(list(_ranges(accept)), STREAM_FORMS)


def _best(ranges: list[Range], forms: tuple[Form, ...]) -> Form | None:
    weights = [(_weight(ranges, form), form) for form in forms]
    weight, best_form = max(weights, key=lambda each: each[0])
    return best_form if weight[0] > 0 else None


def _weight(ranges: list[Range], form: Form) -> tuple[float, int]:
    """Return the client's preference for a media type; the greatest is preferred.

    The first part is the weight from 0 to 1 of the range that matches most specifically. The second part is the negated
    index of this range in the header. It decides between media types of equal weight: the client named the preferred
    one first.
    """
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
    """Yield the media ranges in an Accept header.

    An absent or empty header accepts anything.
    """
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
    """Parse the weight of a media range, from 0 to 1.

    An invalid weight counts as 1, as if it were absent.
    """
    try:
        value = float(text.strip().strip('"'))
    except ValueError:
        return 1.0
    return min(max(value, 0.0), 1.0) if value == value else 1.0
