"""A sender's own day, in the sender's time zone. Pure."""

from datetime import date, datetime, time, timedelta, tzinfo

from command_center.database.fields import to_micros
from models import zones


def around(moment: int, zone: str) -> tuple[int, int]:
    """The start of the day a moment lies in and the start of the next one, in microseconds."""
    place = zones.zone(zone)
    today = zones.day(moment, zone)
    return _midnight(today, place), _midnight(today + timedelta(days=1), place)


def _midnight(day: date, place: tzinfo) -> int:
    """Where clocks jump over midnight, the moment they jump."""
    return to_micros(datetime.combine(day, time(), place))
