"""A sender's own day, in the sender's time zone. Pure."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from models.fields import from_micros, to_micros


def around(moment: int, zone: str) -> tuple[int, int]:
    """The start of the day a moment lies in and the start of the next one, in microseconds."""
    place = _zone(zone)
    today = from_micros(moment).astimezone(place).date()
    return _midnight(today, place), _midnight(today + timedelta(days=1), place)


def _midnight(day: date, place: tzinfo) -> int:
    """Where clocks jump over midnight, the moment they jump."""
    return to_micros(datetime.combine(day, time(), place))


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo:
    """A zone this machine has not heard of counts as UTC: mail must go on all the same."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return UTC
