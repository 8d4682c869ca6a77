"""Moments: whole microseconds since the Unix epoch, and their two other forms, ISO 8601 text and aware datetimes."""

import re
from datetime import UTC, date, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
EARLIEST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

_SHAPE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(\.[0-9]+)?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)"
)


def parse(text: str) -> int:
    """The moment of ISO 8601 text (see `read`)."""
    return from_datetime(read(text))


def read(text: str) -> datetime:
    """Reads ISO 8601 text with an offset, as a datetime in UTC; a ValueError for anything else. Digits past the
    microsecond are cut off."""
    shape = _SHAPE.fullmatch(text)
    if shape is None or (shape[3] and shape[2].count(":") != 2):
        raise ValueError("this is no ISO 8601 moment with an offset, such as 2026-01-02T03:04:05Z")
    plain = text
    if shape[2].count(":") != 2 or len(shape[3] or ".000000") != 7:
        # Python reads no other number of digits than six, or none.
        fraction = (shape[3] or ".0")[1:7].ljust(6, "0")
        seconds = shape[2] if shape[2].count(":") == 2 else f"{shape[2]}:00"
        plain = f"{shape[1]}T{seconds}.{fraction}{shape[4]}"
    found = datetime.fromisoformat(plain.upper())
    return found if found.tzinfo is UTC else to_datetime(from_datetime(found))


def parse_day(text: str) -> date:
    """Reads an ISO 8601 calendar day; a ValueError for anything else. Python also reads days of weeks, and without
    hyphens."""
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError("this is no calendar day, such as 2026-01-31")
    return day


def render(moment: int) -> str:
    """The canonical text: in UTC, with a fraction only where there is one."""
    return to_datetime(moment).isoformat().replace("+00:00", "Z")


def from_datetime(value: datetime) -> int:
    """A ValueError for a naive datetime, and for one that UTC cannot express within years 1 to 9999."""
    if value.tzinfo is UTC:
        return (value - _EPOCH) // _MICROSECOND
    if value.utcoffset() is None:
        raise ValueError("a moment needs an offset")
    moment = (value - _EPOCH) // _MICROSECOND
    if not EARLIEST <= moment <= LATEST:
        raise ValueError("this moment lies outside the years 1 to 9999")
    return moment


def to_datetime(moment: int) -> datetime:
    """An aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=moment)
