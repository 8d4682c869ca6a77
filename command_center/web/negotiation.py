"""Which form an answer takes, by the Accept header (RFC 9110, 12.5.1): media ranges with parameters and weights."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final


class Form(Enum):
    """The forms of an answer, by media type."""

    RESPONSE = "application/graphql-response+json"
    JSON = "application/json"
    EVENTS = "text/event-stream"
    PARTS = "multipart/mixed"


# Whoever takes anything gets plain JSON.
ONE: Final = (Form.JSON, Form.RESPONSE)
MANY: Final = (Form.EVENTS, Form.PARTS)
SPEC: Final = "subscriptionspec"
"""The parameter by which a client says that it reads a subscription as parts: https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol"""

REMEMBERED: Final = 128
"""Accept headers that are not read again: a program sends the same one with every request."""

_PART: Final = re.compile(r'(?:[^,;"]|"(?:[^"\\]|\\.)*")+|[,;]')


@dataclass(frozen=True, slots=True)
class Range:
    """One media range of an Accept header. `weight` is from 0, which refuses, to 1."""

    kind: str
    parameters: frozenset[str]
    weight: float

    def specificity(self, form: Form) -> int:
        """How closely the range names the form; 0 where it does not."""
        if form is Form.PARTS and SPEC not in self.parameters and self.kind != "*/*":
            return 0
        if self.kind == form.value:
            return 3
        if self.kind == f"{form.value.partition('/')[0]}/*":
            return 2
        return 1 if self.kind == "*/*" else 0


@lru_cache(REMEMBERED)
def for_one(accept: str | None) -> Form | None:
    """The form of the answer to a query or mutation: JSON where any JSON is taken, whatever else is named; None for
    nothing that we have."""
    ranges = list(_ranges(accept))
    return _best(ranges, ONE) or _best(ranges, MANY)


@lru_cache(REMEMBERED)
def for_many(accept: str | None) -> Form | None:
    """The form of a subscription's frames; None where the client takes no stream."""
    return _best(list(_ranges(accept)), MANY)


def _best(ranges: list[Range], forms: tuple[Form, ...]) -> Form | None:
    weighed = [(_weight(ranges, form), form) for form in forms]
    weight, best = max(weighed, key=lambda each: each[0])
    return best if weight[0] > 0 else None


def _weight(ranges: list[Range], form: Form) -> tuple[float, int]:
    """The weight of the closest range, and of equals the first named."""
    fitting = [
        (each.specificity(form), each.weight, -place) for place, each in enumerate(ranges) if each.specificity(form)
    ]
    if not fitting:
        return 0.0, 0
    _, weight, place = max(fitting)
    return weight, place


def _ranges(accept: str | None) -> Iterator[Range]:
    """An absent or empty header takes anything."""
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
    """A weight; one that is none counts as 1, as if it were not there."""
    try:
        value = float(text.strip().strip('"'))
    except ValueError:
        return 1.0
    return min(max(value, 0.0), 1.0) if value == value else 1.0
