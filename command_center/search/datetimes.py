"""Moments are microseconds since the Unix epoch.

This module converts them to ISO 8601 texts and aware datetimes, and back.
"""

import re
from datetime import UTC, date, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
EARLIEST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

_PATTERN = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(\.[0-9]+)?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)"
)


def parse_moment(text: str) -> int:
    """Return the microseconds since the epoch of an ISO 8601 text with an offset.

    Digits beyond microseconds are cut off.

    Raises: ValueError if the text has any other form.
    """
    return from_datetime(parse_datetime(text))


def parse_datetime(text: str) -> datetime:
    """Return the UTC datetime of an ISO 8601 text with an offset.

    Digits beyond microseconds are cut off.

    Raises: ValueError if the text has any other form.
    """
    match = _PATTERN.fullmatch(text)
    if match is None or (match[3] and match[2].count(":") != 2):
        raise ValueError("this is no ISO 8601 moment with an offset, such as 2026-01-02T03:04:05Z")
    padded = text
    if match[2].count(":") != 2 or len(match[3] or ".000000") != 7:
        # Pad the text, because Python accepts only six digits of a fraction, or none.
        fraction = (match[3] or ".0")[1:7].ljust(6, "0")
        seconds = match[2] if match[2].count(":") == 2 else f"{match[2]}:00"
        padded = f"{match[1]}T{seconds}.{fraction}{match[4]}"
    value = datetime.fromisoformat(padded.upper())
    return value if value.tzinfo is UTC else to_datetime(from_datetime(value))


def parse_day(text: str) -> date:
    """Return the calendar day of an ISO 8601 text with hyphens.

    Raises: ValueError if the text has any other form, such as week dates, which Python would accept.
    """
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError("this is no calendar day, such as 2026-01-31")
    return day


def format_moment(moment: int) -> str:
    """Return the canonical ISO 8601 text of a moment in microseconds.

    It is in UTC, and has a fraction of a second only if that is not zero.
    """
    return to_datetime(moment).isoformat().replace("+00:00", "Z")


def from_datetime(value: datetime) -> int:
    """Return the microseconds since the epoch of an aware datetime.

    Raises: ValueError if it is naive, or outside the years 1 to 9999 in UTC.
    """
    if value.tzinfo is UTC:
        return (value - _EPOCH) // _MICROSECOND
    if value.utcoffset() is None:
        raise ValueError("a moment needs an offset")
    moment = (value - _EPOCH) // _MICROSECOND
    if not EARLIEST <= moment <= LATEST:
        raise ValueError("this moment lies outside the years 1 to 9999")
    return moment


def to_datetime(moment: int) -> datetime:
    """Return a moment in microseconds since the epoch as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=moment)
