"""Compresses responses with gzip, and decides which of them, for which clients.

Streams are never compressed, so that nothing delays their messages.

A response is compressed as a whole. Its size is limited, and so are the memory and time that this takes. A BREACH
attack needs requests that the attacker triggers and the user's browser authenticates, but no browser adds a bearer
token by itself.
"""

import asyncio
import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

MIN_BYTES: Final = 1_000
"""Below this size the headers outweigh the savings."""
LEVEL: Final = 3
"""0.3 ms for a page of 23 kB, which becomes 3 kB. Level 6 takes four times as long and saves only a tenth more."""
THREAD_MIN_BYTES: Final = 50_000
"""From this size on another thread compresses, because other requests would wait more than half a millisecond."""

_GZIP_WRAPPER: Final = 31
_TYPES: Final = frozenset(
    {"application/json", "application/graphql-response+json", "application/javascript", "image/svg+xml"}
)
_STREAMS: Final = frozenset({"text/event-stream"})

Header = tuple[bytes, bytes]


def is_compressible(headers: Iterable[Header]) -> bool:
    """Return whether a response is worth compressing.

    It must be text of a known length without a content coding.
    """
    length, media_type = 0, b""
    for name, value in headers:
        name = name.lower()
        if name == b"content-length":
            length = int(value)
        elif name == b"content-type":
            media_type = value
        elif name in (b"content-encoding", b"content-range"):
            return False
    return length >= MIN_BYTES and _is_text(media_type)


@lru_cache(64)
def _is_text(value: bytes) -> bool:
    media_type = value.decode("latin-1").partition(";")[0].strip().lower()
    return media_type in _TYPES or (media_type.startswith("text/") and media_type not in _STREAMS)


def accepts_gzip(headers: Iterable[Header]) -> bool:
    """Return whether a request prefers gzip to no coding (RFC 9110, 12.5.3)."""
    values = [value for name, value in headers if name == b"accept-encoding"]
    return bool(values) and _prefers_gzip(b",".join(values)[:200])


@lru_cache(128)
def _prefers_gzip(text: bytes) -> bool:
    weights: dict[str, float] = {}
    for each in text.decode("latin-1").lower().split(","):
        coding, *parameters = (part.strip() for part in each.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            weights[coding] = float(weight)
        except ValueError:
            weights[coding] = 0.0
    anything = weights.get("*", 0.0)
    gzip = max(weights.get("gzip", 0.0), weights.get("x-gzip", 0.0)) if _names_gzip(weights) else anything
    return 0 < gzip <= 1 and gzip >= weights.get("identity", 0.0)


def _names_gzip(weights: dict[str, float]) -> bool:
    return "gzip" in weights or "x-gzip" in weights


def with_vary(headers: Iterable[Header]) -> list[Header]:
    """Return the headers with Accept-Encoding added to `Vary`."""
    result = list(headers)
    for index, (name, value) in enumerate(result):
        if name.lower() == b"vary":
            result[index] = (name, value if b"accept-encoding" in value.lower() else value + b", Accept-Encoding")
            return result
    return [*result, (b"vary", b"Accept-Encoding")]


def gzipped_headers(headers: Iterable[Header], length: int) -> list[Header]:
    """Return the headers of a response whose body became `length` bytes of gzip."""
    remaining = [header for header in headers if header[0].lower() != b"content-length"]
    return [*remaining, (b"content-encoding", b"gzip"), (b"content-length", b"%d" % length)]


async def compress(body: bytes) -> bytes:
    """Return the body as gzip, without blocking the event loop."""
    if len(body) < THREAD_MIN_BYTES:
        return gzip(body)
    return await asyncio.to_thread(gzip, body)


def gzip(body: bytes, level: int = LEVEL) -> bytes:
    """Return the body as gzip."""
    return zlib.compress(body, level, _GZIP_WRAPPER)
