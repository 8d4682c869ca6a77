"""What a client may send over one WebSocket: messages and frames, right and wrong, one after the other."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.fuzz.fuzz_server import WHO
from tests.fuzz.generated_documents import GeneratedDocument
from tests.fuzz.odd_values import ANYTHING
from tests.support.schema_coverage import published_schema

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LISTS = "subscription{allSavedSearchChanges{__typename ... on Change{cursor}}}"
TYPES = (
    "connection_init",
    "connection_ack",
    "subscribe",
    "next",
    "error",
    "complete",
    "ping",
    "pong",
    "start",
    "",
    1,
    None,
)
IDS: tuple[Any, ...] = ("a", "b", "a", "", "\x00", "\ud800", "x" * 1000, "é" * 100, 1, None, [], {}, "__proto__")
WRONG_TEXTS = (
    *(
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"{}",
        b"NaN",
        b"\x00",
        b"[" * 100_000,
        b'{"type":"ping"}{"type":"ping"}',
    ),
    *(
        b'\xef\xbb\xbf{"type":"ping"}',
        b'{"type":"ping","type":"complete"}',
        b'{"type":"\\ud800"}',
        b"9" * 5000,
        b" " * 9000,
    ),
)


def frame(
    opcode: int, payload: bytes, fin: bool = True, masked: bool = True, rsv: int = 0, mask: bytes = b"\0\0\0\0"
) -> bytes:
    """A frame. A mask of zeros leaves the payload as it is."""
    size = len(payload)
    short = size if size < 126 else 126 if size < 65536 else 127
    length = struct.pack("!H", size) if short == 126 else struct.pack("!Q", size) if short == 127 else b""
    head = bytes([opcode | rsv << 4 | fin << 7, short | masked << 7]) + length
    if not masked:
        return head + payload
    return (
        head
        + mask
        + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload[:64]))
        + (payload[64:] if not any(mask) else bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload[64:])))
    )


@dataclass(frozen=True)
class Step:
    """Bytes, and whether they break what RFC 6455 says."""

    data: bytes
    breaks: bool = False


def script(random: Random, token: str, known: list[str]) -> Iterator[Step]:
    """The steps after the handshake."""
    if random.random() < 0.8:
        yield message({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
        if random.random() < 0.4:
            yield message({"id": "a", "type": "subscribe", "payload": {"query": LISTS}})
    for _ in range(random.choice((0, 1, 1, 2, 3, 6))):
        chance = random.random()
        if chance < 0.6:
            yield _said(random, known)
        elif chance < 0.75:
            yield from _framed(random)
        else:
            yield _broken(random)


def message(value: Any) -> Step:
    return Step(frame(TEXT, json.dumps(value).encode()))


def _said(random: Random, known: list[str]) -> Step:
    """A message of the protocol, or nearly one."""
    match random.randrange(6):
        case 0:
            made = GeneratedDocument(published_schema(), random, known)
            payload = {"query": made.text, "variables": made.variables}
            return message({"id": random.choice("abcdefgh"), "type": "subscribe", "payload": payload})
        case 1:
            return Step(frame(TEXT, random.choice(WRONG_TEXTS)))
        case 2:
            payload = {
                "query": WHO,
                random.choice(("variables", "operationName", "extensions")): random.choice(ANYTHING),
            }
            return message({"id": random.choice(IDS), "type": "subscribe", "payload": payload})
        case 3:
            return message({"id": random.choice(IDS), "type": "subscribe", "payload": {"query": LISTS}})
        case 4:
            return message({"id": random.choice(IDS), "type": "complete"})
        case _:
            members = {"id": random.choice(IDS), "type": random.choice(TYPES), "payload": random.choice(ANYTHING)}
            return message({name: value for name, value in members.items() if random.random() < 0.8})


def _framed(random: Random) -> Iterator[Step]:
    """Frames that are right as frames: pieces, pings in between, bytes, masks."""
    text = json.dumps({"type": "ping", "payload": {"x": "é" * random.randrange(200)}}, ensure_ascii=False).encode()
    match random.randrange(5):
        case 0:
            cuts = sorted(random.randrange(len(text) + 1) for _ in range(random.choice((1, 3, 900))))
            parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
            for place, part in enumerate(parts):
                yield Step(frame(0 if place else TEXT, part, fin=place == len(parts) - 1))
                if random.random() < 0.05:
                    yield Step(frame(PING, b"between"))
        case 1:
            yield Step(frame(random.choice((PING, PONG)), random.randbytes(random.randrange(126))))
        case 2:
            yield Step(frame(BINARY, random.choice((text, b"", random.randbytes(500)))))
        case 3:
            yield Step(frame(TEXT, text, mask=random.randbytes(4)))
        case _:
            for _ in range(random.choice((5, 300))):
                yield Step(frame(PING, b"x"))


def _broken(random: Random) -> Step:
    """A breach of RFC 6455."""
    text = b'{"type":"ping"}'
    breaches = (
        frame(TEXT, text, masked=False),
        frame(TEXT, text, rsv=random.randrange(1, 8)),
        frame(random.choice((3, 4, 5, 6, 7, 11, 12, 13, 14, 15)), text),
        frame(random.choice((PING, PONG, CLOSE)), b"x" * 126),
        frame(random.choice((PING, PONG, CLOSE)), b"\x03\xe8", fin=False),
        frame(0, text),
        frame(TEXT, text, fin=False) + frame(TEXT, text),
        frame(TEXT, random.choice((b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82", b'{"type":"\xf5"}'))),
        frame(TEXT, b"\xe2", fin=False) + frame(0, b"\x82"),
        frame(CLOSE, random.choice((b"\x03", b"\x00\x00", b"\x03\xed", b"\x03\xe8\xff", b"\xff\xff", b"\x03\xee"))),
        bytes([0x81, 0xFF]) + struct.pack("!Q", random.choice((2**63, 2**64 - 1, 2**62, 256_001))) + b"\0" * 4,
        bytes([0x81, 0xFE]) + struct.pack("!H", 5) + b"\0" * 4 + b"hello",
        frame(TEXT, b"x" * 256_001),
        frame(TEXT, b"", fin=False) + frame(0, b"", fin=False) * 1200,
        b"GET / HTTP/1.1\r\n\r\n",
        # Whatever length they happen to announce, it is there, and more.
        b"\x81\x85" + random.randbytes(random.randrange(1, 3000)) + bytes(300_000),
        random.randbytes(random.randrange(2, 300)) + bytes(300_000),
    )
    return Step(random.choice(breaches), True)
