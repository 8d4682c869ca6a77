"""Ids and cursors that nobody gave out: real ones bent, their insides rewritten, and what only looks like one."""

import base64
import json
from collections.abc import Sequence
from random import Random
from typing import Any

_NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64, 10**18, 10**30, 10**400, 1.5, 1e308, -0.0),
    *(
        True,
        None,
        "",
        "1",
        "٣",
        "²",
        "1e5",
        "\x00",
        "\ud800",
        "0001-01-01",
        "9999-12-31",
        "2026-02-30",
        [],
        {},
        "x" * 300,
    ),
    *(float("inf"), float("nan"), -(2**63), -(2**63) - 1, 253402300800000000, -62135596800000001),
)
_NOUNS = (
    "Email",
    "Person",
    "User",
    "Task",
    "SavedSearch",
    "Folder",
    "FolderGroup",
    "Group",
    "Engagement",
    "Nothing",
    "",
)
_KEYS = (
    "1",
    "0",
    "-1",
    "01",
    "+1",
    "1.0",
    " 1",
    "٣",
    "²",
    "1_0",
    "9" * 18,
    "9" * 19,
    "9" * 5000,
    "1.DELIVERED",
    "1.X",
    "x",
)
_PLAIN = (
    *(
        "",
        " ",
        "=",
        "====",
        "\x00",
        "\ufeff",
        "\ud800",
        "٣",
        "x" * 100_000,
        "A" * 100_001,
        "🧿",
        "null",
        "-1",
        "0",
        "\n",
    ),
    *("9" * 5000, "%00", "../../etc/passwd", "' OR 1=1 --", "W10", "e30", "bnVsbA", "MQ==", "Og", "Li4"),
)


def forge_cursor(random: Random, known: Sequence[str]) -> Any:
    """One of them; now and then what is no text at all, and now and then a real one."""
    match random.randrange(10):
        case 0:
            return random.choice(known)
        case 1 | 2:
            return _bent(random, random.choice(known))
        case 3 | 4 | 5:
            return _rewritten(random, random.choice(known))
        case 6:
            key = random.choice(_KEYS)
            return _base64(f"{random.choice(_NOUNS)}:{key}".encode())
        case 7:
            return _base64(random.randbytes(random.randrange(40)))
        case 8:
            return random.choice(_PLAIN)
        case _:
            return random.choice((0, -1, 2**40, 1.5, True, None, [], {}, [None], random.choice(_PLAIN)))


def _decoded(text: str) -> bytes:
    """The bytes of an id or a cursor; of any other text that was returned, its own."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return text.encode(errors="replace")


def _base64(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


def _bent(random: Random, text: str) -> str:
    place = random.randrange(len(text) + 1)
    match random.randrange(6):
        case 0:
            return text[:place]
        case 1:
            return text + random.choice(("=", "A", "==", " ", "\n", "\x00", "é", text))
        case 2:
            return text[:place] + random.choice("ABab01-_+/=\x00é\ud800") + text[place + 1 :]
        case 3:
            return text.swapcase()
        case 4:
            plain = bytearray(_decoded(text))
            bit = random.randrange(max(1, len(plain)) * 8)
            if plain:
                plain[bit // 8] ^= 1 << bit % 8
            return _base64(bytes(plain))
        case _:
            return text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)


def _rewritten(random: Random, text: str) -> str:
    """A real one whose form is kept and whose values are others."""
    plain = _decoded(text).decode(errors="replace")
    if plain.startswith("["):
        values = json.loads(plain)
        place = random.randrange(len(values))
        values[place] = random.choice(_NUMBERS)
        if random.random() < 0.1:
            values = random.choice((values * 2, values[:-1], [*values, 1], {"x": values}, [[values]]))
        said = json.dumps(values) if random.random() < 0.95 else "[" * random.choice((10, 5000, 50_000))
        return _base64(said.encode())
    for mark in (":", "."):
        if mark in plain:
            head, _, _ = plain.partition(mark)
            said = f"{head}{mark}{random.choice((*_KEYS, *_NUMBERS))}"
            return _base64(said.encode(errors="replace"))
    return _base64(plain.encode() * 2)
