"""What one socket says, for as long as it is open. A frame that many hear is put into each one's message as it is."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from command_center.api.operations import encoded
from command_center.changes.subscribers import Sink
from command_center.web.websocket_protocol import TEXT


class SocketWriter:
    """`open` is over once either side has ended the connection."""

    def __init__(self, websocket: WebSocket) -> None:
        self.open = True
        self._websocket = websocket
        extension = websocket.scope.get("extensions", {}).get(TEXT)
        self._send: Callable[[bytes], Awaitable[None]] = extension["send"] if extension else self._send_plainly
        self._offer: Sink | None = extension["offer"] if extension else None

    async def say(self, message: dict[str, Any]) -> None:
        await self._text(encoded(message))

    async def tell(self, head: bytes, frame: bytes) -> None:
        """One frame of an operation (see `head`)."""
        await self._text(head + frame + b"}")

    def sink(self, head: bytes) -> Sink | None:
        """Where frames of an operation can go at once."""
        offer = self._offer
        if offer is None:
            return None

        def pour(frames: Sequence[bytes]) -> bool:
            try:
                return self.open and offer([head + frame + b"}" for frame in frames])
            except Exception:
                # A line that broke and has yet to say so. Others wait to be served after this one: its own reader is
                # woken and finds out by itself.
                return False

        return pour

    async def _text(self, text: bytes) -> None:
        if not self.open:
            return
        try:
            await self._send(text)
        except (WebSocketDisconnect, RuntimeError, OSError):
            # The other side is gone, or we have closed meanwhile: the reading loop hears of it.
            self.open = False

    async def _send_plainly(self, text: bytes) -> None:
        await self._websocket.send({"type": "websocket.send", "text": text.decode()})


def head(name: str) -> bytes:
    """What every frame of the operation of that name begins with."""
    return b'{"id":' + encoded(name) + b',"type":"next","payload":'
