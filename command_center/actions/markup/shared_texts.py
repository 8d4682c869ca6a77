"""A text that the emails of a bulk send share, and what each of them has in the places of its fields. Pure.

An email stores values with the places they stand at, so what was sent stays readable exactly as it was sent, whatever
a later version takes for a field.
"""

import json
from collections.abc import Iterable

StoredValue = tuple[int, int, str]
"""Where a field begins in the shared text, where it ends, and what an email has there."""


def as_stored(values: Iterable[StoredValue]) -> str:
    """Return an email's values, in the order of their places, as they are stored."""
    return json.dumps(list(values), ensure_ascii=False)


def stored_values(stored: str | None) -> list[StoredValue]:
    """Return an email's values; None stands for an email that is not yet filled in."""
    return [(start, end, value) for start, end, value in json.loads(stored)] if stored is not None else []


def filled_text(shared: str, stored: str | None) -> str:
    """Return the shared text with an email's values in their places; None stands for an email not yet filled in."""
    parts: list[str] = []
    position = 0
    for start, end, value in stored_values(stored):
        parts += (shared[position:start], value)
        position = end
    return "".join([*parts, shared[position:]])
