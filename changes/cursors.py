"""Cursors: a place in one log, as an opaque text. One cursor serves every stream of the team."""

import base64
import binascii
from dataclasses import dataclass

from identifiers import opaque


class MalformedCursor(ValueError):
    """The text is no cursor of ours."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The log's name and the position after which to go on."""

    log_id: str
    position: int

    def __str__(self) -> str:
        return opaque([f"{self.log_id}.{self.position}".encode()])[0]


def parse(text: str) -> Cursor:
    """The cursor a text stands for. Raises MalformedCursor."""
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as exc:
        raise MalformedCursor("A change cursor is handed back as it was received.") from exc
    log_id, dot, digits = plain.rpartition(".")
    if not (dot and log_id and digits.isdigit() and len(digits) <= 18):
        raise MalformedCursor("A change cursor is handed back as it was received.")
    return Cursor(log_id, int(digits))
