"""Encodes and decodes opaque texts: global ids and the outer form of cursors.

A global id contains the type of an object and its key.
"""

import base64
import binascii
from collections.abc import Iterable

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def encode(type_name: str, key: int | str) -> str:
    """Return the opaque global id of an object, for example `encode("Email", 7)`."""
    return binascii.b2a_base64(f"{type_name}:{key}".encode(), newline=False).translate(_URL_SAFE, b"=").decode()


def encode_opaque(plain: Iterable[bytes]) -> list[str]:
    """Encode texts in the opaque form of global ids, such as the cursors of a page."""
    # b2a_base64 ends each text with a line feed.
    lines = b"".join(map(binascii.b2a_base64, plain)).translate(_URL_SAFE, b"=").decode()
    return lines.split("\n")[:-1]


def decode_opaque(text: str) -> bytes | None:
    """Decode an opaque text, or return None if it does not have that form.

    The padding at its end may be absent.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except ValueError:
        return None


def decode(text: str) -> tuple[str, str] | None:
    """Return the type name and the key in a global id, or None if it is invalid."""
    try:
        plain = (decode_opaque(text) or b"").decode()
    except UnicodeDecodeError:
        return None
    noun, colon, key = plain.partition(":")
    if not colon or encode(noun, key) != text:
        return None
    return noun, key


def decode_key(type_name: str, text: str) -> int | None:
    """Return the integer key in a global id of this type, or None for any other text."""
    try:
        # This decoder is lenient. The comparison with the encoded result below rejects any other spelling.
        plain = binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + "==")
    except ValueError:
        return None
    key = plain[len(type_name) + 1 :]
    if not key.isdigit() or len(key) > 18:
        return None
    number = int(key)
    return number if encode(type_name, number) == text else None
