"""A lean client: HTTP over connections that are kept, and WebSockets that note when each frame was read.

It must cost little beside a server on the same machine, so it understands no more of HTTP than our servers say.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import orjson
import websockets

Heard = Callable[[float, Any], None]
"""Called with the moment a frame was read, by the monotonic clock that all processes share, and the frame."""
_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


class Wire(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server closed a connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(_END)
        if not end:
            return
        lower = head.lower()
        length = int(lower[lower.index(_LENGTH) + len(_LENGTH) :].split(b"\r\n", 1)[0])
        if len(body) >= length and self._answer is not None and not self._answer.done():
            self._buffer = b""
            if head[9:12] == b"200":
                self._answer.set_result(body)
            else:
                self._answer.set_exception(RuntimeError((head + end + body).decode()))

    @property
    def open(self) -> bool:
        """The server closes what nobody used for a minute."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes) -> "asyncio.Future[bytes]":
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Wires:
    """As many connections as are needed at once."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[Wire] = []

    async def ask(self, request: bytes) -> bytes:
        """The answer's body. Raises RuntimeError where it is not 200."""
        self._idle = [wire for wire in self._idle if wire.open]
        wire = self._idle.pop() if self._idle else await self._open()
        answer = await wire.send(request)
        self._idle.append(wire)
        return answer

    async def _open(self) -> Wire:
        return (await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", self.port))[1]

    def close(self) -> None:
        for wire in self._idle:
            wire.close()


def post(path: str, payload: Any, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole request."""
    body = orjson.dumps(payload)
    given = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
    given |= headers or {}
    return _request("POST", path, given) + body


def get(path: str, headers: Mapping[str, str] | None = None) -> bytes:
    return _request("GET", path, {"Host": "127.0.0.1"} | dict(headers or {}))


def _request(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + _END


@asynccontextmanager
async def following(port: int, token: str, document: str, heard: Heard) -> AsyncIterator[None]:
    """One subscription on a socket of its own, until the block ends."""
    async with _connected(f"ws://127.0.0.1:{port}/graphql", "graphql-transport-ws") as socket:
        payload = {"authorization": f"Bearer {token}"}
        await socket.send(orjson.dumps({"type": "connection_init", "payload": payload}).decode())
        if orjson.loads(await socket.recv())["type"] != "connection_ack":
            raise RuntimeError("the server lets us not subscribe")
        asked = {"id": "1", "type": "subscribe", "payload": {"query": document}}
        await socket.send(orjson.dumps(asked).decode())
        async with _reading(socket, heard):
            yield


@asynccontextmanager
async def listening(port: int, path: str, heard: Heard) -> AsyncIterator[None]:
    """A plain WebSocket that is only read."""
    async with _connected(f"ws://127.0.0.1:{port}{path}") as socket, _reading(socket, heard):
        yield


def _connected(url: str, *protocols: str) -> websockets.connect:
    named = [websockets.Subprotocol(each) for each in protocols] or None
    return websockets.connect(url, subprotocols=named, compression=None, max_queue=None, ping_interval=None)


@asynccontextmanager
async def _reading(socket: websockets.ClientConnection, heard: Heard) -> AsyncIterator[None]:
    """Reads until the block ends; where reading fails, the block does."""

    async def read() -> None:
        async for text in socket:
            at = time.monotonic()
            heard(at, orjson.loads(text))
        raise ConnectionResetError("the server closed a socket")

    def failed(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and waiting is not None:
            waiting.cancel()

    waiting = asyncio.current_task()
    task = asyncio.create_task(read())
    task.add_done_callback(failed)
    try:
        yield
    except asyncio.CancelledError:
        if task.done() and waiting is not None:
            waiting.uncancel()
            task.result()
        raise
    finally:
        task.remove_done_callback(failed)
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
