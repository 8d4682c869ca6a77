"""Global ids: the noun and its key as one opaque text. Pure; the nouns are the API's type names."""

import base64
import binascii
from collections.abc import Iterable

_OF_ADDRESSES = bytes.maketrans(b"+/", b"-_")


def encode(noun: str, key: int | str) -> str:
    """The opaque id of one row, such as `encode("Email", 7)`."""
    return binascii.b2a_base64(f"{noun}:{key}".encode(), newline=False).translate(_OF_ADDRESSES, b"=").decode()


def opaque(plain: Iterable[bytes]) -> list[str]:
    """What is no row's id but as opaque: many texts at once, as a page has of cursors."""
    # base64 comes as a line for each.
    lines = b"".join(map(binascii.b2a_base64, plain)).translate(_OF_ADDRESSES, b"=").decode()
    return lines.split("\n")[:-1]


def decode(text: str) -> tuple[str, str] | None:
    """The noun and the key an id was made of; None where it is no id of ours."""
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    noun, colon, key = plain.partition(":")
    if not colon or encode(noun, key) != text:
        return None
    return noun, key


def decode_key(noun: str, text: str) -> int | None:
    """The row's number in an id of that noun; None for anything else."""
    try:
        # Whatever is lenient here comes to another text when it is encoded again.
        plain = binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + "==")
    except ValueError:
        return None
    key = plain[len(noun) + 1 :]
    if not key.isdigit() or len(key) > 18:
        return None
    number = int(key)
    return number if encode(noun, number) == text else None
