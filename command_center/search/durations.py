"""Parses ISO 8601 durations, and defines which of them a filter may use as spans.

A malformed duration and a span that is not allowed are different errors of the API, so they are separate checks.
"""

import re
from dataclasses import dataclass
from typing import Literal

Unit = Literal["S", "M", "H", "D"]

_MICROSECONDS: dict[Unit, int] = {"S": 1_000_000, "M": 60_000_000, "H": 3_600_000_000, "D": 86_400_000_000}
_MAX_AMOUNTS: dict[Unit, int] = {"S": 59, "M": 59, "H": 47, "D": 730}
_WORDS: dict[Unit, str] = {"S": "second", "M": "minute", "H": "hour", "D": "day"}
_UNITS: dict[str, Unit] = {"TS": "S", "TM": "M", "TH": "H", "D": "D"}

_NUMBER = r"([0-9]+(?:[.,][0-9]+)?)"
_PATTERN = re.compile(
    rf"P(?=.)(?:{_NUMBER}W|(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}D)?"
    rf"(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?)"
)
_DESIGNATORS = ("W", "Y", "M", "D", "TH", "TM", "TS")

_NOT_ALLOWED_MESSAGE = (
    "a span is 1 to 59 seconds, 1 to 59 minutes, 1 to 47 hours or 1 to 730 days, in one unit and whole"
)


@dataclass(frozen=True, slots=True)
class Duration:
    """Any well-formed duration.

    It has a text, and pairs of designator and amount, such as ("TH", "12").
    """

    text: str
    parts: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Span:
    """A whole number of one unit. A day has 24 hours."""

    amount: int
    unit: Unit

    @property
    def microseconds(self) -> int:
        return self.amount * _MICROSECONDS[self.unit]

    @property
    def words(self) -> str:
        """The span in English, such as "1 day" or "3 days"."""
        return f"{self.amount} {_WORDS[self.unit]}{'' if self.amount == 1 else 's'}"

    def __str__(self) -> str:
        return f"P{self.amount}D" if self.unit == "D" else f"PT{self.amount}{self.unit}"


def parse_duration(text: str) -> Duration:
    """Parse a duration. Only its smallest unit may have a fraction.

    Raises: ValueError if the text is not a duration.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError("this is no ISO 8601 duration such as P3D or PT12H")
    parts = tuple((name, amount) for name, amount in zip(_DESIGNATORS, match.groups(), strict=True) if amount)
    if any(not amount.isdigit() for _, amount in parts[:-1]):
        raise ValueError("only the last number of a duration may have a fraction")
    return Duration(text, parts)


def as_span(duration: Duration | str) -> Span:
    """Return the span of a duration.

    Raises: ValueError if the text is not a duration, or not one that a filter may use.
    """
    parsed = parse_duration(duration) if isinstance(duration, str) else duration
    if len(parsed.parts) != 1:
        raise ValueError(_NOT_ALLOWED_MESSAGE)
    designator, amount = parsed.parts[0]
    unit = _UNITS.get(designator)
    # Check the length before the conversion: Python refuses thousands of digits, and they would be slow.
    digits = amount.lstrip("0")
    if unit is None or not digits.isdigit() or len(digits) > 3 or int(digits) > _MAX_AMOUNTS[unit]:
        raise ValueError(_NOT_ALLOWED_MESSAGE)
    return Span(int(digits), unit)
