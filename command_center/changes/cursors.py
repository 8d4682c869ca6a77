"""Encodes positions in one team's change log as opaque signed texts: cursors.

A cursor serves every subscription of its team.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import NamedTuple

from command_center.ids import decode_opaque, encode_opaque


class MalformedCursor(ValueError):
    """The text is not a cursor of this product."""


class LogIdentity(NamedTuple):
    """Identifies a log in its cursors.

    `restores` is the number of restores recognised so far; `key` signs the cursors.
    """

    log_id: str
    restores: int = 0
    key: str = ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Identifies a change log, a position in it, and the entry at that position.

    The entry is identified by its check value.

    Its text is signed, because a cursor that proves that the database lost changes pauses all sending.
    """

    log: LogIdentity
    position: int
    check_value: int

    @property
    def log_id(self) -> str:
        return self.log.log_id

    def __str__(self) -> str:
        plain = f"{self.log.log_id}.{self.position}.{self.check_value:x}.{self.log.restores}".encode()
        return encode_opaque([b"%b.%b" % (plain, _sign(self.log.key, plain))])[0]


@dataclass(frozen=True, slots=True)
class ReceivedCursor:
    """A cursor that a client sent.

    `check_value` is None if the cursor was issued before entries had check values.
    """

    text: str
    log_id: str
    position: int
    check_value: int | None = None
    restores: int = 0
    signature: str = ""

    def __str__(self) -> str:
        return self.text

    def is_signed_by(self, key: str) -> bool:
        """Return whether a server whose signing key is `key` issued the cursor."""
        if self.check_value is None or not key:
            return False
        plain = f"{self.log_id}.{self.position}.{self.check_value:x}.{self.restores}".encode()
        return hmac.compare_digest(_sign(key, plain), self.signature.encode())


_PLAIN = re.compile(r"([^.]+)\.([0-9]{1,18})(?:\.([0-9a-f]{1,16})\.([0-9]{1,9})\.([0-9a-f]{16}))?")


def _sign(key: str, plain: bytes) -> bytes:
    return hashlib.blake2b(plain, key=key.encode(), digest_size=8).hexdigest().encode()


def parse(text: str) -> ReceivedCursor:
    """Parse the text form of a cursor. Raises: MalformedCursor."""
    plain = decode_opaque(text)
    match = _PLAIN.fullmatch(plain.decode("ascii")) if plain is not None and plain.isascii() else None
    if match is None:
        raise MalformedCursor("A change cursor is handed back as it was received.")
    log_id, position, check, restores, signature = match.groups()
    if check is None:
        return ReceivedCursor(text, log_id, int(position))
    return ReceivedCursor(text, log_id, int(position), int(check, 16), int(restores), signature)
