"""Corrects uvicorn's WebSocket connections.

Protocol errors close with the code of the RFC, and are not logged.
"""

import asyncio
import struct
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State

from command_center.web.bounded_transport import BoundedTransport

TEXT_EXTENSION: Final = "command_center.text"
"""The ASGI extension through which an application finds `send_text` and `offer_texts`."""
_TEXT_FRAME: Final = 0x81
_SHORT, _LONG, _LONGER = struct.Struct("!BB"), struct.Struct("!BBH"), struct.Struct("!BBQ")
CLOSE_SECONDS: Final = 0.6
"""How long the close frame may take to be written when the server stops."""
MAX_FRAGMENTS: Final = 1000
"""The most fragments of one message. Empty ones do not count towards its size limit, but they also use memory."""


class SocketConnection(WebSocketsSansIOProtocol):
    """One connection, which takes over the transport of an HttpConnection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, BoundedTransport)
        self._bounded_transport = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._bounded_transport.lost()
        super().connection_lost(exc)
        # Break the remaining references to this object, so that it is freed at once. The garbage collector would free
        # it much later, because connections fill its generations only slowly.
        self.conn.parser.close()
        if (scope := getattr(self, "scope", None)) is not None:
            scope["extensions"].pop(TEXT_EXTENSION, None)

    def shutdown(self) -> None:
        super().shutdown()
        # A client that does not read would not receive the close frame either.
        self.loop.call_later(CLOSE_SECONDS, self._bounded_transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._bounded_transport.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._bounded_transport.unwatch()

    def data_received(self, data: bytes) -> None:
        if self._bounded_transport.is_lingering:
            return
        super().data_received(data)
        if not self.handshake_initiated:
            self._refuse_handshake()

    def _refuse_handshake(self) -> None:
        """Reject a handshake that `websockets` could not read.

        A line may be too long, for example. Handshakes arrive in one piece. `websockets` may have a response ready,
        which uvicorn does not look for.
        """
        self.handshake_complete = self.close_sent = True
        answer = b"".join(self.conn.data_to_send())
        status = HTTPStatus.BAD_REQUEST
        bare = f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        self._bounded_transport.write(answer or bare.encode())
        self._bounded_transport.close()

    async def send(self, message: ASGISendEvent) -> None:
        if self._bounded_transport.is_closing():
            # The server has ended the connection and the application does not know yet. It made no mistake.
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            # A rejected handshake is complete too. Otherwise uvicorn would log an error of the application.
            self.handshake_complete = True

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"][TEXT_EXTENSION] = {"send": self.send_text, "offer": self.offer_texts}

    async def send_text(self, text: bytes) -> None:
        """Send UTF-8 text once the handshake is complete.

        Unlike `send`, this does not pass through the middleware. Raises: ClientDisconnected if the connection is
        closed.
        """
        if not self.writable.is_set():
            await self.writable.wait()
        if (
            self.close_sent
            or self.disconnected
            or self.conn.state is not State.OPEN
            or self._bounded_transport.is_closing()
        ):
            raise ClientDisconnected
        self._bounded_transport.write(_text_frame(text))

    def offer_texts(self, texts: Sequence[bytes]) -> bool:
        """Send the texts now if the client has accepted everything sent before.

        Returns whether they were sent.
        """
        if not self.writable.is_set() or self.close_sent or self.disconnected or self.conn.state is not State.OPEN:
            return False
        self._bounded_transport.write(b"".join(map(_text_frame, texts)))
        return True

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message may come in {MAX_FRAGMENTS} pieces")
        else:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                self.frames = [b"".join(self.frames)]
                self.frames[0].decode()
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "a text is UTF-8")
                return
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            # Pongs for a client that pings without reading would fill the memory, so they are dropped.
            self.conn.data_to_send()

    def handle_parser_exception(self) -> None:
        # The client may still be sending what was rejected. It should receive the close code nevertheless.
        self._bounded_transport.has_unread_input = True
        if self.conn.close_sent is None:
            # Frames arrived before the handshake was answered, so no close frame can be sent yet.
            self._bounded_transport.close()
        else:
            super().handle_parser_exception()

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()


def _text_frame(text: bytes) -> bytes:
    """Return a WebSocket frame that contains the text.

    This is several times faster than the code of uvicorn and `websockets`. Nothing is compressed, so a server's frame
    consists of a header with the length, and the text.
    """
    size = len(text)
    if size < 126:
        return _SHORT.pack(_TEXT_FRAME, size) + text
    return (_LONG.pack(_TEXT_FRAME, 126, size) if size < 2**16 else _LONGER.pack(_TEXT_FRAME, 127, size)) + text
