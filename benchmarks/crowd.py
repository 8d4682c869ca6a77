"""`python -m benchmarks.crowd PORT PATH COUNT`: so many subscribers in a process of their own, as cheap as they can be.

The first line of its input is the JSON list of texts that each says once its socket is open, and how many answers come
before the first frame. Then each line is a number: when every subscriber has had so many frames, the answer is the
moment the last of them had it and the processor's seconds so far. The end of the input is answered by the frames, once
all subscribers are found to have had the same in the same order, or by what was wrong.
"""

import asyncio
import os
import sys
import time
from typing import cast

import orjson
import uvloop

from benchmarks.processes import own_cpu

AT_ONCE = 50
_PING, _PONG, _TEXT, _CLOSE = 0x89, 0x8A, 0x81, 0x88


class Crowd:
    """What all subscribers have had. Each frame is compared with that of whoever had it first."""

    def __init__(self, texts: list[str], before: int) -> None:
        self.said = b"".join(masked(_TEXT, text.encode()) for text in texts)
        self.before = before
        self.frames: list[bytes] = []
        self.reached: list[int] = []
        """By frame, how many subscribers have had it."""
        self.at = 0.0
        self.wrong = ""
        self.stirred = asyncio.Event()

    def had(self, number: int, frame: bytes) -> None:
        if number == len(self.frames):
            self.frames.append(frame)
            self.reached.append(0)
        elif self.frames[number] != frame:
            self.wrong = f"frame {number} is {frame!r} to one and {self.frames[number]!r} to another"
        self.reached[number] += 1
        self.stirred.set()


class Subscriber(asyncio.Protocol):
    """One socket."""

    def __init__(self, crowd: Crowd, head: bytes) -> None:
        self._crowd = crowd
        self._head = head
        self._buffer = b""
        self._open = False
        self._number = -crowd.before
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.wrong = self._crowd.wrong or "a socket was lost"
        self._crowd.stirred.set()
        if not self.ready.done():
            self.ready.set_exception(ConnectionResetError("a socket was lost"))

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            self._open = True
            self._transport.write(self._crowd.said)
        place, size = 0, len(data)
        while place + 2 <= size:
            start, length = place + 2, data[place + 1]
            if length == 126:
                if place + 4 > size:
                    break
                start, length = place + 4, int.from_bytes(data[place + 2 : place + 4], "big")
            end_ = start + length
            if end_ > size:
                break
            self._heard(data[place], data[start:end_])
            place = end_
        self._buffer = data[place:]

    def _heard(self, kind: int, payload: bytes) -> None:
        if kind == _PING:
            self._transport.write(masked(_PONG, payload))
            return
        if kind != _TEXT:
            self._crowd.wrong = f"a frame of kind {kind:#x}: {payload!r}"
            return
        if self._number >= 0:
            self._crowd.had(self._number, payload)
        self._number += 1
        if self._number == 0:
            self.ready.set_result(None)


def masked(kind: int, payload: bytes) -> bytes:
    """A client's frame; by a mask of zeros it stays as it is."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    return bytes([kind]) + length + bytes(4) + payload


async def main(port: int, path: str, count: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb"))
    texts, before = orjson.loads(await reader.readline())
    crowd = Crowd(texts, before)
    head = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    ).encode()
    turns = asyncio.Semaphore(AT_ONCE)

    async def enter() -> Subscriber:
        async with turns:
            subscriber = (await loop.create_connection(lambda: Subscriber(crowd, head), "127.0.0.1", port))[1]
            await subscriber.ready
            return subscriber

    members = await asyncio.gather(*(enter() for _ in range(count)))
    _answer(len(members))
    while line := await reader.readline():
        wanted = int(line)
        while not crowd.wrong and wanted and not (len(crowd.reached) >= wanted and crowd.reached[wanted - 1] == count):
            crowd.stirred.clear()
            await crowd.stirred.wait()
        _answer([time.monotonic(), own_cpu()])
    for number, reached in enumerate(crowd.reached):
        if reached != count:
            crowd.wrong = crowd.wrong or f"{reached} of {count} had frame {number}"
    _answer({"wrong": crowd.wrong, "frames": [frame.decode() for frame in crowd.frames]})


def _answer(value: object) -> None:
    sys.stdout.write(orjson.dumps(value).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
