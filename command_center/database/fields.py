"""Column types of the product.

A time is stored as whole microseconds since 1970 in UTC, on every database. SQL, the predicate and the clock therefore
agree to the microsecond, and no time zone can interfere.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from operator import floordiv, sub
from typing import Any

from tortoise import fields

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Return an aware datetime as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return microseconds since 1970 as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def all_to_micros(moments: Sequence[datetime]) -> list[int]:
    """Convert many datetimes as `to_micros` does, in a fraction of the time."""
    return list(map(floordiv, map(sub, moments, repeat(_EPOCH)), repeat(_MICROSECOND)))


def all_from_micros(micros: Sequence[int]) -> list[datetime]:
    """Convert many numbers as `from_micros` does, in a fraction of the time."""
    return list(map(_EPOCH.__add__, map(timedelta, repeat(0), repeat(0), micros)))


class MomentField(fields.BigIntField):
    """An aware datetime, stored as a BIGINT of microseconds."""

    field_type = int

    def to_db_value(self, value: Any, instance: object) -> int | None:
        return to_micros(value) if isinstance(value, datetime) else value

    def to_python_value(self, value: Any) -> datetime | None:
        return from_micros(value) if isinstance(value, int) else value
