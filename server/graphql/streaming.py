"""Subscriptions over HTTP: the frames as server-sent events (graphql-sse, distinct connections mode) or as the parts of
a multipart answer (Apollo's protocol), sent one at a time, until the frames, the client or the token ends.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from server.errors import named
from server.graphql.negotiation import Form
from server.graphql.operations import encoded

BEAT_SECONDS: Final = 12.0
"""Something is said this often, for intermediaries end what is silent, and writing tells who is still there."""


class Frames:
    """An HTTP answer of many frames. `until` is when the reader's token ends, in seconds since 1970."""

    def __init__(self, form: Form, frames: AsyncGenerator[bytes, None], until: float) -> None:
        self._frames = frames
        self._until = until
        self._kind, self._write = _FORMS[form]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
            results = await asyncio.gather(sending, gone, return_exceptions=True)
            await self._frames.aclose()
        for result in results:
            # A client that is gone is no failure of ours, whatever writing to it raises.
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result

    async def _send(self, send: Send) -> None:
        headers = {"content-type": self._kind, "cache-control": "no-cache", "x-accel-buffering": "no"}
        start = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        async with aclosing(self._write(self._lasting())) as pieces:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

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


async def _events(frames: AsyncIterator[bytes | None]) -> AsyncGenerator[bytes, None]:
    async for frame in frames:
        yield b":\n\n" if frame is None else b"event: next\ndata: " + frame + b"\n\n"
    yield b"event: complete\ndata:\n\n"


async def _parts(frames: AsyncIterator[bytes | None]) -> AsyncGenerator[bytes, None]:
    async for frame in frames:
        body = b"{}" if frame is None else b'{"payload":' + frame + b"}"
        yield b"\r\n--graphql\r\ncontent-type: application/json\r\n\r\n" + body
    yield b"\r\n--graphql--\r\n"


async def _gone(receive: Receive) -> None:
    """Returns when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


_Writer = Callable[[AsyncIterator[Any]], AsyncGenerator[bytes, None]]
_FORMS: Final[dict[Form, tuple[str, _Writer]]] = {
    Form.EVENTS: ("text/event-stream; charset=utf-8", _events),
    Form.PARTS: ('multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"', _parts),
}
