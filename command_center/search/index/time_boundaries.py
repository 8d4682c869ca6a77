"""What in a filter depends on time: which dates, and how long after them a verdict may change by the clock alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from command_center.search.filter_ast import DateField, Dates, Engaged, Filter, Leaf, leaves

Source = Literal["created_at", "sent_at", "scheduled_at", "failed_at", "occurred_at"]

_SOURCES: dict[DateField, Source] = {
    "createdAt": "created_at",
    "sentAt": "sent_at",
    "scheduledAt": "scheduled_at",
    "failedAt": "failed_at",
}


@dataclass(frozen=True, slots=True)
class TimeKey:
    """A verdict may change when the clock passes date + offset (microseconds); `occurred_at` is an event's date."""

    source: Source
    offset: int


def time_keys(filter: Filter) -> frozenset[TimeKey]:
    """Every boundary of the filter that moves. `afterSend` has none: it relates two dates that stand still."""
    return frozenset(key for leaf in leaves(filter) for key in _keys(leaf))


def crossed_range(key: TimeKey, previous: int, now: int) -> tuple[int, int]:
    """The dates, first and last included, whose boundary was crossed after `previous` and up to `now`.

    A verdict changes either on reaching the boundary or one microsecond later. Both ends are included to serve
    either: looking twice is harmless.
    """
    return previous - key.offset, now - key.offset


def _keys(leaf: Leaf) -> Iterator[TimeKey]:
    match leaf:
        case Engaged(within=span) if span:
            yield TimeKey("occurred_at", span.microseconds)
        case Dates(field, bounds):
            source = _SOURCES[field]
            if bounds.older_than:
                yield TimeKey(source, bounds.older_than.microseconds)
            if bounds.within and source == "scheduled_at":
                # The next such span: the date comes into it, and goes by.
                yield TimeKey(source, -bounds.within.microseconds)
                yield TimeKey(source, 0)
            elif bounds.within:
                yield TimeKey(source, bounds.within.microseconds)
