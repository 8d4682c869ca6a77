"""The buckets of open tasks, by due date relative to the viewer's current day.

One table serves both the field and the filter, so that they cannot disagree.
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
"""The first and last day of each bucket, counted from today, or None if the bucket is unbounded on that side."""


def bucket_of(due_on: date, today: date) -> TaskBucket:
    """Return the bucket of an open task."""
    days_until_due = (due_on - today).days
    return next(bucket for bucket, (_, last) in _DAYS.items() if last is None or days_until_due <= last)


def days_of(bucket: TaskBucket, today: date) -> tuple[date | None, date | None]:
    """Return the first and last due date of a bucket.

    A date is None if the bucket is unbounded on that side.
    """
    first, last = _DAYS[bucket]
    return _days_after(today, first), _days_after(today, last)


def _days_after(today: date, days: int | None) -> date | None:
    return None if days is None else today + timedelta(days=days)
