"""Finds the time boundaries of a filter.

At a time boundary, the result of a filter may change because time passes.

A boundary is a date of an email or an event, and an offset from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from command_center.search.filter_ast import DateField, Dates, EngagementCondition, Filter, Leaf, leaves

Source = Literal["created_at", "sent_at", "scheduled_at", "failed_at", "occurred_at"]
"""The date that a boundary is relative to: one of an email, or `occurred_at` of an event."""

_SOURCES: dict[DateField, Source] = {
    "createdAt": "created_at",
    "sentAt": "sent_at",
    "scheduledAt": "scheduled_at",
    "failedAt": "failed_at",
}


@dataclass(frozen=True, slots=True)
class TimeKey:
    """A time boundary: a result may change when the clock passes a date plus `offset`.

    `source` names the date of an email or event. `offset` is in microseconds, and may be negative.
    """

    source: Source
    offset: int


def time_keys(filter: Filter) -> frozenset[TimeKey]:
    """Return every time boundary of a filter.

    `afterSend` has none, because it relates two dates that do not change with time.
    """
    return frozenset(key for leaf in leaves(filter) for key in _keys(leaf))


def crossed_range(key: TimeKey, previous: int, now: int) -> tuple[int, int]:
    """Return the first and the last date whose time boundary the clock has crossed.

    It crossed the boundaries after `previous` and up to `now`. All are in microseconds; both dates are included.

    A result changes either when the boundary is reached or one microsecond later. Including both ends covers both
    cases; evaluating an email twice is harmless.
    """
    return previous - key.offset, now - key.offset


def _keys(leaf: Leaf) -> Iterator[TimeKey]:
    """Yield the time boundaries of one leaf."""
    match leaf:
        case EngagementCondition(within=span) if span:
            yield TimeKey("occurred_at", span.microseconds)
        case Dates(field, bounds):
            source = _SOURCES[field]
            if bounds.older_than:
                yield TimeKey(source, bounds.older_than.microseconds)
            if bounds.within and source == "scheduled_at":
                # `within` is measured forwards here: the date enters the span, and later passes.
                yield TimeKey(source, -bounds.within.microseconds)
                yield TimeKey(source, 0)
            elif bounds.within:
                yield TimeKey(source, bounds.within.microseconds)
