"""A text that the emails of a bulk send share, and what each of them has in the places of its fields. Pure.

An email stores values with the places they stand at, so what was sent stays readable exactly as it was sent, whatever
a later version takes for a field.
"""

import json
from collections.abc import Sequence

Place = tuple[int, int]
"""Where a field begins in the shared text, and where it ends."""


def values_between(shared: str, places: Sequence[Place], text: str) -> str | None:
    """Return what `text` has in these places of the shared text, as it is stored; None if it differs elsewhere."""
    starts = [0, *(end for _, end in places)]
    ends = [*(start for start, _ in places), len(shared)]
    first, *others = (shared[start:end] for start, end in zip(starts, ends, strict=True))
    if not others:
        return "[]" if text == shared else None
    *middle, last = others
    position = len(first)
    values: list[tuple[int, int, str]] = []
    # Values may repeat what stands between them: any division that gives the same text will do.
    for (start, end), literal in zip(places, (*middle, None), strict=True):
        found = len(text) - len(last) if literal is None else text.find(literal, position)
        if found < position:
            return None
        values.append((start, end, text[position:found]))
        position = found + (0 if literal is None else len(literal))
    stored = json.dumps(values, ensure_ascii=False)
    return stored if filled_text(shared, stored) == text else None


def filled_text(shared: str, stored: str | None) -> str:
    """Return the shared text with an email's values in their places; None stands for an email not yet filled in."""
    parts: list[str] = []
    position = 0
    for start, end, value in json.loads(stored) if stored is not None else ():
        parts += (shared[position:start], value)
        position = end
    return "".join([*parts, shared[position:]])
