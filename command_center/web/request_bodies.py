"""Reads request bodies completely, with limits on size and time.

The application sees a request when its body has arrived.
"""

import asyncio
from datetime import timedelta

from starlette.types import Message, Receive, Scope

from command_center.web.error_responses import ErrorResponse

# The rest of a rejected body is not read, so the connection cannot serve another request.
_LAST = {"Connection": "close"}


class BodyReader:
    """Reads bodies of at most `max_bytes` that arrive within `timeout`."""

    def __init__(self, max_bytes: int, timeout: timedelta) -> None:
        self._max_bytes = max_bytes
        self._timeout = timeout.total_seconds()
        self._too_large = ErrorResponse(
            413, "PAYLOAD_TOO_LARGE", f"A request's body may have {max_bytes:,} bytes.", _LAST
        )
        self._too_late = ErrorResponse(
            408, "REQUEST_TIMEOUT", f"A request's body must arrive within {self._timeout:,g} seconds.", _LAST
        )
        self._encoded = ErrorResponse(
            415, "UNSUPPORTED_MEDIA_TYPE", "A request's body must come as it is, without Content-Encoding.", _LAST
        )

    async def read(self, scope: Scope, receive: Receive) -> Receive | ErrorResponse | None:
        """Return a `receive` that has the whole body, or an error.

        The result is None if the client disconnected before the end. A request without a body keeps its own `receive`.
        """
        length, is_chunked, is_encoded = 0, False, False
        for name, value in scope["headers"]:
            if name == b"content-length":
                # uvicorn has rejected what is not a number. Python's `int` rejects thousands of digits, even zeros.
                digits = value.lstrip(b"0")
                length = int(digits or 0) if len(digits) <= len(str(self._max_bytes)) else self._max_bytes + 1
            elif name == b"transfer-encoding":
                is_chunked = True
            elif name == b"content-encoding":
                is_encoded = is_encoded or any(
                    each.strip().lower() not in (b"", b"identity") for each in value.split(b",")
                )
        if not length and not is_chunked:
            return receive
        if is_encoded:
            return self._encoded
        if length > self._max_bytes:
            return self._too_large
        try:
            async with asyncio.timeout(self._timeout):
                return await self._read_all(receive)
        except TimeoutError:
            return self._too_late

    async def _read_all(self, receive: Receive) -> Receive | ErrorResponse | None:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > self._max_bytes:
                return self._too_large
            parts.append(part)
            if not message.get("more_body", False):
                return _replay(b"".join(parts), receive)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body, then the connection's messages.

    Its caller therefore still sees a disconnect.
    """
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
