"""Time zones by name, and the day that a moment lies in there. Pure."""

from datetime import UTC, date, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from models.fields import from_micros


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """A zone this machine has not heard of counts as UTC: work must go on all the same."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return UTC


def day(moment: int, name: str) -> date:
    """The calendar day of a moment, in microseconds, by the clocks of a zone."""
    return from_micros(moment).astimezone(zone(name)).date()
