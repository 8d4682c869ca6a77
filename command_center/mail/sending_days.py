"""Computes the calendar day of a sender, in the sender's time zone. Pure."""

from datetime import date, datetime, time, timedelta, tzinfo

from command_center.database.fields import to_micros
from command_center.time_zones import get_zone, local_day


def day_bounds(moment: int, zone: str) -> tuple[int, int]:
    """Return the start of the day that contains a moment, and of the next day.

    All are in microseconds.
    """
    time_zone = get_zone(zone)
    today = local_day(moment, zone)
    return _midnight(today, time_zone), _midnight(today + timedelta(days=1), time_zone)


def _midnight(day: date, time_zone: tzinfo) -> int:
    """Return the start of a day.

    If clocks skip midnight, it is the moment of the change.
    """
    return to_micros(datetime.combine(day, time(), time_zone))
