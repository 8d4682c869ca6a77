"""Spans of time: reads ISO 8601 durations, and says which of them a filter may use.

A well-formed duration and an allowed span are two questions: the API answers them with different errors.
"""

import re
from dataclasses import dataclass
from typing import Literal

Unit = Literal["S", "M", "H", "D"]

_MICROSECONDS: dict[Unit, int] = {"S": 1_000_000, "M": 60_000_000, "H": 3_600_000_000, "D": 86_400_000_000}
_MOST: dict[Unit, int] = {"S": 59, "M": 59, "H": 47, "D": 730}
_WORDS: dict[Unit, str] = {"S": "second", "M": "minute", "H": "hour", "D": "day"}
_UNITS: dict[str, Unit] = {"TS": "S", "TM": "M", "TH": "H", "D": "D"}

_NUMBER = r"([0-9]+(?:[.,][0-9]+)?)"
_SHAPE = re.compile(
    rf"P(?=.)(?:{_NUMBER}W|(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}D)?"
    rf"(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?)"
)
_DESIGNATORS = ("W", "Y", "M", "D", "TH", "TM", "TS")

_ALLOWED = "a span is 1 to 59 seconds, 1 to 59 minutes, 1 to 47 hours or 1 to 730 days, in one unit and whole"


@dataclass(frozen=True, slots=True)
class Duration:
    """Any well-formed duration: its text, and its (designator, amount) pairs such as ("TH", "12")."""

    text: str
    parts: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Span:
    """A whole number of one unit. A day is 24 hours."""

    amount: int
    unit: Unit

    @property
    def microseconds(self) -> int:
        return self.amount * _MICROSECONDS[self.unit]

    @property
    def words(self) -> str:
        """The span in English: "1 day", "3 days"."""
        return f"{self.amount} {_WORDS[self.unit]}{'' if self.amount == 1 else 's'}"

    def __str__(self) -> str:
        return f"P{self.amount}D" if self.unit == "D" else f"PT{self.amount}{self.unit}"


def parse_duration(text: str) -> Duration:
    """Reads duration text; a ValueError where it is none. Only the smallest unit may have a fraction."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError("this is no ISO 8601 duration such as P3D or PT12H")
    parts = tuple((name, amount) for name, amount in zip(_DESIGNATORS, shape.groups(), strict=True) if amount)
    if any(not amount.isdigit() for _, amount in parts[:-1]):
        raise ValueError("only the last number of a duration may have a fraction")
    return Duration(text, parts)


def as_span(duration: Duration | str) -> Span:
    """The span a duration stands for; a ValueError where it is not one a filter may use."""
    parsed = parse_duration(duration) if isinstance(duration, str) else duration
    if len(parsed.parts) != 1:
        raise ValueError(_ALLOWED)
    designator, amount = parsed.parts[0]
    unit = _UNITS.get(designator)
    # The length is looked at first: converting thousands of digits is neither cheap nor allowed.
    digits = amount.lstrip("0")
    if unit is None or not digits.isdigit() or len(digits) > 3 or int(digits) > _MOST[unit]:
        raise ValueError(_ALLOWED)
    return Span(int(digits), unit)
