"""The body of a request: read whole before anybody else sees the request, within its bytes and its time."""

import asyncio
from datetime import timedelta

from starlette.types import Message, Receive, Scope

from command_center.web.error_responses import ErrorResponse

# The rest of such a body is not read, so there can be no next request behind it.
_LAST = {"Connection": "close"}


class BodyReader:
    """Reads bodies of at most so many bytes that arrive within a span, however they trickle."""

    def __init__(self, most: int, time: timedelta) -> None:
        self._most = most
        self._time = time.total_seconds()
        self._large = ErrorResponse(413, "PAYLOAD_TOO_LARGE", f"A request's body may have {most:,} bytes.", _LAST)
        self._late = ErrorResponse(
            408, "REQUEST_TIMEOUT", f"A request's body must arrive within {self._time:,g} seconds.", _LAST
        )
        self._packed = ErrorResponse(
            415, "UNSUPPORTED_MEDIA_TYPE", "A request's body must come as it is, without Content-Encoding.", _LAST
        )

    async def read(self, scope: Scope, receive: Receive) -> Receive | ErrorResponse | None:
        """A `receive` that has the whole body; a refusal; None where the client hung up before the end.

        A request without a body keeps its own `receive`.
        """
        length, chunked, packed = 0, False, False
        for name, value in scope["headers"]:
            if name == b"content-length":
                # The server has refused what is no number; Python refuses to read thousands of digits, zeros too.
                digits = value.lstrip(b"0")
                length = int(digits or 0) if len(digits) <= len(str(self._most)) else self._most + 1
            elif name == b"transfer-encoding":
                chunked = True
            elif name == b"content-encoding":
                packed = packed or any(each.strip().lower() not in (b"", b"identity") for each in value.split(b","))
        if not length and not chunked:
            return receive
        if packed:
            return self._packed
        if length > self._most:
            return self._large
        try:
            async with asyncio.timeout(self._time):
                return await self._whole(receive)
        except TimeoutError:
            return self._late

    async def _whole(self, receive: Receive) -> Receive | ErrorResponse | None:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > self._most:
                return self._large
            parts.append(part)
            if not message.get("more_body", False):
                return _again(b"".join(parts), receive)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body, then what the connection gives: whoever goes on listening hears the client hang up."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
