"""Cursors: a place in one log, as an opaque text. One cursor serves every stream of the team."""

import base64
import binascii
import re
from dataclasses import dataclass

from identifiers import opaque


class MalformedCursor(ValueError):
    """The text is no cursor of ours."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Identifies a log, a position in it, and the entry at that position by its check value.

    `check_value` is None in a cursor that was issued before entries had check values.
    """

    log_id: str
    position: int
    check_value: int | None

    def __str__(self) -> str:
        check = "" if self.check_value is None else f".{self.check_value:x}"
        return opaque([f"{self.log_id}.{self.position}{check}".encode()])[0]


_PLAIN = re.compile(r"([^.]+)\.([0-9]{1,18})(?:\.([0-9a-f]{1,16}))?")


def parse(text: str) -> Cursor:
    """Parses the text form of a cursor. Raises MalformedCursor."""
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as exc:
        raise MalformedCursor("A change cursor is handed back as it was received.") from exc
    found = _PLAIN.fullmatch(plain)
    if found is None:
        raise MalformedCursor("A change cursor is handed back as it was received.")
    log_id, position, check = found.groups()
    return Cursor(log_id, int(position), None if check is None else int(check, 16))
