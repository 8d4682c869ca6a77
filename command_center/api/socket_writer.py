"""Writes the messages of one WebSocket.

The payload that a broadcast group shares is inserted into each subscriber's message without encoding it again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.websockets import WebSocket, WebSocketDisconnect

from command_center.api.operations import encode_json
from command_center.changes.subscribers import PayloadSender
from command_center.web.websocket_protocol import TEXT_EXTENSION


class SocketWriter:
    """Writes to one WebSocket.

    `open` becomes false when either side has ended the connection.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self.open = True
        self._websocket = websocket
        extension = websocket.scope.get("extensions", {}).get(TEXT_EXTENSION)
        self._send: Callable[[bytes], Awaitable[None]] = extension["send"] if extension else self._send_through_asgi
        self._offer: PayloadSender | None = extension["offer"] if extension else None

    async def send_message(self, message: Mapping[str, object]) -> None:
        """Send one message of the protocol."""
        await self._send_text(encode_json(message))

    async def send_payload(self, head: bytes, payload: bytes) -> None:
        """Send one `next` message of an operation.

        `head` is its beginning, from the function `encode_head`.
        """
        await self._send_text(head + payload + b"}")

    def create_sender(self, head: bytes) -> PayloadSender | None:
        """Return a function that delivers payloads of an operation immediately.

        The result is None if the server cannot do that.
        """
        offer = self._offer
        if offer is None:
            return None

        def try_deliver(payloads: Sequence[bytes]) -> bool:
            try:
                return self.open and offer([head + payload + b"}" for payload in payloads])
            except Exception:
                # The connection is broken, but its reader does not know yet. Other subscribers are notified after
                # this one, so the error must not escape: the subscriber wakes and finds out when it writes.
                return False

        return try_deliver

    async def _send_text(self, text: bytes) -> None:
        if not self.open:
            return
        try:
            await self._send(text)
        except (WebSocketDisconnect, RuntimeError, OSError):
            # The client has disconnected, or the server closed the connection. The reading loop detects it.
            self.open = False

    async def _send_through_asgi(self, text: bytes) -> None:
        await self._websocket.send({"type": "websocket.send", "text": text.decode()})


def encode_head(name: str) -> bytes:
    """Return the beginning of every `next` message of the operation with that id."""
    return b'{"id":' + encode_json(name) + b',"type":"next","payload":'
