"""Stores the field values of emails that share a text of their bulk send. Pure.

An email stores each value with its position in the shared text. What was sent can therefore be shown exactly, even if a
later version recognises other fields.
"""

import json
from collections.abc import Iterable

StoredValue = tuple[int, int, str]
"""A stored value consists of the start and the end of the field in the shared text, and the email's value."""


def as_stored(values: Iterable[StoredValue]) -> str:
    """Return an email's field values as the text that is stored in the database.

    The values must be in the order of their positions in the shared text.
    """
    return json.dumps(list(values), ensure_ascii=False)


def stored_values(stored: str | None) -> list[StoredValue]:
    """Parse the stored values of an email.

    None means that its fields are not yet filled in.
    """
    return [(start, end, value) for start, end, value in json.loads(stored)] if stored is not None else []


def filled_text(shared: str, stored: str | None) -> str:
    """Return the shared text with an email's values filled in.

    If `stored` is None, the fields are not filled in yet, and the result is the shared text.
    """
    parts: list[str] = []
    position = 0
    for start, end, value in stored_values(stored):
        parts += (shared[position:start], value)
        position = end
    return "".join([*parts, shared[position:]])
