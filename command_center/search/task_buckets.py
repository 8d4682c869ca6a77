"""The buckets of open tasks: a pure function of the day a task is due on and the viewer's own day.

One table serves the field and the filter, so that they cannot disagree.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType

from models.enums import TaskBucket

_DAYS: Mapping[TaskBucket, tuple[int | None, int | None]] = MappingProxyType(
    {
        TaskBucket.OVERDUE: (None, -1),
        TaskBucket.TODAY: (0, 0),
        TaskBucket.TOMORROW: (1, 1),
        TaskBucket.NEXT_7_DAYS: (2, 7),
        TaskBucket.LATER: (8, None),
    }
)
"""The first and the last day of each, counted from today; None where there is no end to that side."""


def bucket_of(due_on: date, today: date) -> TaskBucket:
    """The bucket of an open task."""
    away = (due_on - today).days
    return next(bucket for bucket, (_, last) in _DAYS.items() if last is None or away <= last)


def days_of(bucket: TaskBucket, today: date) -> tuple[date | None, date | None]:
    """The first and the last day that an open task of a bucket may be due on; None where there is no such end."""
    first, last = _DAYS[bucket]
    return _away(today, first), _away(today, last)


def _away(today: date, days: int | None) -> date | None:
    return None if days is None else today + timedelta(days=days)
