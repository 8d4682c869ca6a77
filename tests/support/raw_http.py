"""Requests byte by byte, as no client library sends them."""

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 20.0
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
)


@dataclass
class RawResponse:
    """Status, headers but for cookies with names in lower case, and body."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawConnection:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes | str) -> None:
        """Sends; that the server hung up meanwhile is seen where its answer is read."""
        self.writer.write(data.encode() if isinstance(data, str) else data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self) -> RawResponse:
        """The next answer, which must tell its length."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip().split("\r\n")
            pairs = [line.split(": ", 1) for line in lines if not line.startswith("set-cookie")]
            headers = {name.lower(): value for name, value in pairs}
            assert len(headers) == len(pairs), f"a header twice: {head}"
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return RawResponse(int(first.split()[1]), headers, body)

    async def rest(self) -> bytes:
        """What comes until the server hangs up, which it must do."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def dribble(self, seconds: float = 0.05, byte: bytes = b"x") -> None:
        """Sends byte after byte, until the server hangs up."""
        with contextlib.suppress(ConnectionError):
            while not self.reader.at_eof():
                self.writer.write(byte)
                await self.writer.drain()
                await asyncio.sleep(seconds)

    async def frame(self, opcode: int, payload: bytes = b"", fin: bool = True, masked: bool = True) -> None:
        await self.send(framed(opcode, payload, fin, masked))

    async def close_code(self) -> int:
        """The code of the close frame, which must be the last thing that comes."""
        async with asyncio.timeout(PATIENCE):
            while True:
                first, size = await self.reader.readexactly(2)
                if size == 126:
                    (size,) = struct.unpack("!H", await self.reader.readexactly(2))
                payload = await self.reader.readexactly(size)
                if first & 0x0F == 8:
                    assert await self.reader.read() == b""
                    return int.from_bytes(payload[:2], "big")


def framed(opcode: int, payload: bytes = b"", fin: bool = True, masked: bool = True) -> bytes:
    """A WebSocket frame, right or wrong."""
    size = len(payload)
    short = size if size < 126 else 126 if size < 65536 else 127
    length = struct.pack("!H", size) if short == 126 else struct.pack("!Q", size) if short == 127 else b""
    head = bytes([opcode | (0x80 if fin else 0), short | (0x80 if masked else 0)]) + length
    if not masked:
        return head + payload
    mask = os.urandom(4)
    pad = (mask * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + mask + mixed.to_bytes(size, "big")


@asynccontextmanager
async def open_raw_connection(url: str) -> AsyncIterator[RawConnection]:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def open_raw_socket(url: str) -> AsyncIterator[RawConnection]:
    """A WebSocket, opened and nothing more."""
    async with open_raw_connection(url) as raw:
        await raw.send(f"GET /graphql HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n{UPGRADE}\r\n")
        assert (await raw.answer()).status == 101
        yield raw
