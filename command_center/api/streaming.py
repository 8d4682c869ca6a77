"""Subscriptions over HTTP: change messages as server-sent events (graphql-sse, distinct connections mode) or as the
parts of a multipart body (Apollo's protocol), sent one at a time, until the messages, the client or the token ends.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from starlette.types import Receive, Scope, Send

from command_center.api.errors import named
from command_center.api.operations import encoded
from command_center.web.negotiation import Form
from command_center.web.shutdown import Shutdown

BEAT_SECONDS: Final = 12.0
"""Something is said this often, for intermediaries end what is silent, and writing tells who is still there."""


class StreamFormat(ABC):
    """How the messages of one stream are written. Each message is complete on the wire as soon as it is written."""

    content_type: str
    opening: bytes = b""
    heartbeat: bytes
    ending: bytes
    """After the last message: the operation is complete."""
    interruption: bytes
    """Instead of the ending, when the server stops: the operation is not complete, and the client may resume it."""

    @abstractmethod
    def message(self, payload: bytes) -> bytes:
        """Return the bytes of one message."""


class EventStreamFormat(StreamFormat):
    """Server-sent events. Without a `complete` event official clients connect again, so an interruption has none."""

    content_type = "text/event-stream; charset=utf-8"
    heartbeat = b":\n\n"
    ending = b"event: complete\ndata:\n\n"
    interruption = b""

    def message(self, payload: bytes) -> bytes:
        return b"event: next\ndata: " + payload + b"\n\n"


class MultipartFormat(StreamFormat):
    """Parts of a multipart body. The boundary follows each part at once, because a client reads a part up to its end.

    Content-Length serves clients that read a part by its length. Clients ignore `{}`, the protocol's heartbeat.
    """

    content_type = 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
    opening = b"\r\n--graphql\r\n"

    def __init__(self) -> None:
        stopping = named("The server is stopping. Subscribe again to resume.", "UNAVAILABLE")
        self.heartbeat = _part(b"{}")
        self.ending = _part(b"{}", last=True)
        self.interruption = _part(encoded({"payload": None, "errors": [stopping.formatted]}), last=True)

    def message(self, payload: bytes) -> bytes:
        return _part(b'{"payload":' + payload + b"}")


def _part(body: bytes, last: bool = False) -> bytes:
    boundary = b"--graphql--" if last else b"--graphql"
    return b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s\r\n%s\r\n" % (len(body), body, boundary)


FORMATS: Final[dict[Form, StreamFormat]] = {Form.EVENTS: EventStreamFormat(), Form.PARTS: MultipartFormat()}


class Frames:
    """An HTTP answer of many frames. `until` is when the reader's token ends, in seconds since 1970.

    `release` is called when it is over.
    """

    def __init__(
        self,
        form: Form,
        frames: AsyncGenerator[bytes, None],
        until: float,
        shutdown: Shutdown,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._frames = frames
        self._until = until
        self._format = FORMATS[form]
        self._shutdown = shutdown
        self._release = release
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._run(scope, receive, send)
        finally:
            self._release()

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == "HEAD":
            await self._frames.aclose()
            await self._start(send)
            await _write(send, b"", more=False)
            return
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_gone(receive))
        stopping = self._shutdown.watch()
        try:
            await asyncio.wait((sending, gone, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            interrupted = not (sending.done() or gone.done())
            stopping.cancel()
            for task in (sending, gone):
                task.cancel()
            results = await asyncio.gather(sending, gone, return_exceptions=True)
            await self._frames.aclose()
        for result in results:
            # A client that is gone is no failure of ours, whatever writing to it raises.
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result
        if interrupted:
            await self._start(send)
            await _write(send, self._format.interruption, more=False)

    async def _send(self, send: Send) -> None:
        await self._start(send)
        async with aclosing(self._lasting()) as frames:
            async for frame in frames:
                text = self._format.heartbeat if frame is None else self._format.message(frame)
                await _write(send, text)
        await _write(send, self._format.ending)
        await _write(send, b"", more=False)

    async def _start(self, send: Send) -> None:
        if self._started:
            return
        headers = {"content-type": self._format.content_type, "cache-control": "no-cache", "x-accel-buffering": "no"}
        start = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        self._started = True
        if self._format.opening:
            await _write(send, self._format.opening)

    async def _lasting(self) -> AsyncGenerator[bytes | None, None]:
        """The frames; None for a beat without one."""
        following: asyncio.Future[bytes] | None = None
        try:
            while True:
                left = self._until - time.time()
                if left <= 0:
                    yield encoded({"errors": [named("The token has expired.", "UNAUTHENTICATED").formatted]})
                    return
                following = following or asyncio.ensure_future(anext(self._frames))
                done, _ = await asyncio.wait({following}, timeout=min(BEAT_SECONDS, left))
                if done:
                    try:
                        frame = following.result()
                    except StopAsyncIteration:
                        return
                    finally:
                        following = None
                    yield frame
                elif left > BEAT_SECONDS:
                    yield None
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


async def once(frame: bytes) -> AsyncGenerator[bytes, None]:
    """An answer as the only frame of a stream."""
    yield frame


async def _write(send: Send, body: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _gone(receive: Receive) -> None:
    """Returns when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
