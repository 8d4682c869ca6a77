"""Sends subscriptions over HTTP, one message at a time.

A stream ends with its subscription, with the client's connection, or when the token expires.

The format is server-sent events (graphql-sse, distinct connections mode) or a multipart body (Apollo's protocol).

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

from command_center.api.errors import create_request_error
from command_center.api.operations import encode_json
from command_center.web.negotiation import Form
from command_center.web.shutdown import Shutdown

HEARTBEAT_SECONDS: Final = 12.0
"""How often something is sent: intermediaries close silent connections, and only a write detects a lost client."""


class StreamFormat(ABC):
    """The format in which the payloads of a subscription are sent over HTTP.

    A client can process each message as soon as it has arrived.
    """

    content_type: str
    opening: bytes = b""
    heartbeat: bytes
    ending: bytes
    """Sent after the last message: the operation is complete."""
    interruption: bytes
    """Sent instead of the ending when the server stops: the operation is not complete, and the client may resume it."""

    @abstractmethod
    def encode_message(self, payload: bytes) -> bytes:
        """Return the bytes of one message."""


class EventStreamFormat(StreamFormat):
    """Server-sent events.

    Without a `complete` event official clients reconnect, so an interruption sends none.
    """

    content_type = "text/event-stream; charset=utf-8"
    heartbeat = b":\n\n"
    ending = b"event: complete\ndata:\n\n"
    interruption = b""

    def encode_message(self, payload: bytes) -> bytes:
        return b"event: next\ndata: " + payload + b"\n\n"


class MultipartFormat(StreamFormat):
    """Parts of a multipart body.

    The boundary follows each part at once, because clients read a part up to it. Content-Length serves clients that
    read a part by its length. Clients ignore the heartbeat `{}`.
    """

    content_type = 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
    opening = b"\r\n--graphql\r\n"

    def __init__(self) -> None:
        stopping = create_request_error("The server is stopping. Subscribe again to resume.", "UNAVAILABLE")
        self.heartbeat = _encode_part(b"{}")
        self.ending = _encode_part(b"{}", last=True)
        self.interruption = _encode_part(encode_json({"payload": None, "errors": [stopping.formatted]}), last=True)

    def encode_message(self, payload: bytes) -> bytes:
        return _encode_part(b'{"payload":' + payload + b"}")


def _encode_part(body: bytes, last: bool = False) -> bytes:
    boundary = b"--graphql--" if last else b"--graphql"
    return b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s\r\n%s\r\n" % (len(body), body, boundary)


FORMATS: Final[dict[Form, StreamFormat]] = {Form.EVENTS: EventStreamFormat(), Form.PARTS: MultipartFormat()}


class StreamedResponse:
    """An HTTP response that consists of many payloads.

    `until` is when the client's token expires, in seconds since 1970. `release` is called when the response ends.
    """

    def __init__(
        self,
        form: Form,
        payloads: AsyncGenerator[bytes, None],
        until: float,
        shutdown: Shutdown,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._payloads = payloads
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
            await self._payloads.aclose()
            await self._start(send)
            await _write(send, b"", more=False)
            return
        sending = asyncio.create_task(self._send(send))
        disconnected = asyncio.create_task(_wait_for_disconnect(receive))
        stopping = self._shutdown.watch()
        try:
            await asyncio.wait((sending, disconnected, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            interrupted = not (sending.done() or disconnected.done())
            stopping.cancel()
            for task in (sending, disconnected):
                task.cancel()
            results = await asyncio.gather(sending, disconnected, return_exceptions=True)
            await self._payloads.aclose()
        for result in results:
            # A disconnected client is not a failure, whatever exception a write to it raises.
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result
        if interrupted:
            await self._start(send)
            await _write(send, self._format.interruption, more=False)

    async def _send(self, send: Send) -> None:
        await self._start(send)
        async with aclosing(self._stream_payloads()) as payloads:
            async for payload in payloads:
                text = self._format.heartbeat if payload is None else self._format.encode_message(payload)
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

    async def _stream_payloads(self) -> AsyncGenerator[bytes | None, None]:
        """Yield the payloads, and None for each heartbeat."""
        next_payload: asyncio.Future[bytes] | None = None
        try:
            while True:
                seconds_left = self._until - time.time()
                if seconds_left <= 0:
                    yield encode_json(
                        {"errors": [create_request_error("The token has expired.", "UNAUTHENTICATED").formatted]}
                    )
                    return
                next_payload = next_payload or asyncio.ensure_future(anext(self._payloads))
                done, _ = await asyncio.wait({next_payload}, timeout=min(HEARTBEAT_SECONDS, seconds_left))
                if done:
                    try:
                        payload = next_payload.result()
                    except StopAsyncIteration:
                        return
                    finally:
                        next_payload = None
                    yield payload
                elif seconds_left > HEARTBEAT_SECONDS:
                    yield None
        finally:
            if next_payload is not None:
                next_payload.cancel()
                await asyncio.gather(next_payload, return_exceptions=True)


async def stream_one_payload(payload: bytes) -> AsyncGenerator[bytes, None]:
    """Yield one payload, and end."""
    yield payload


async def _write(send: Send, body: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _wait_for_disconnect(receive: Receive) -> None:
    """Return when the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
