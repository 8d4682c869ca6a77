"""uvicorn's WebSocket connections, mended: a breach of the protocol ends with the code the RFC names, and quietly."""

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

TEXT: Final = "command_center.text"
"""The extension of ASGI by which an application finds `send_text` and `offer_texts`."""
_TEXT: Final = 0x81
_SHORT, _LONG, _LONGER = struct.Struct("!BB"), struct.Struct("!BBH"), struct.Struct("!BBQ")
CLOSE_SECONDS: Final = 0.6
"""How long the close frame may take to be written when the server stops."""
FRAGMENTS: Final = 1000
"""Pieces of one message. The limit of its bytes does not hold for empty ones, which cost memory all the same."""


class SocketConnection(WebSocketsSansIOProtocol):
    """One connection, taken over from an HttpConnection together with its line."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, BoundedTransport)
        self._line = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.lost()
        super().connection_lost(exc)
        # Nothing that remains refers back to this object, so it is freed at once. The garbage collector would come much
        # later: connections that come and go fill its generations slowly.
        self.conn.parser.close()
        if (scope := getattr(self, "scope", None)) is not None:
            scope["extensions"].pop(TEXT, None)

    def shutdown(self) -> None:
        super().shutdown()
        # A client that does not read takes no close frame either.
        self.loop.call_later(CLOSE_SECONDS, self._line.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._line.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._line.unwatch()

    def data_received(self, data: bytes) -> None:
        if self._line.parting:
            return
        super().data_received(data)
        if not self.handshake_initiated:
            self._refuse_handshake()

    def _refuse_handshake(self) -> None:
        """The handshake comes in one piece, and `websockets` could not read it: a line is too long, say.

        It has put its answer, if any, where uvicorn does not look for it.
        """
        self.handshake_complete = self.close_sent = True
        answer = b"".join(self.conn.data_to_send())
        status = HTTPStatus.BAD_REQUEST
        bare = f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        self._line.write(answer or bare.encode())
        self._line.close()

    async def send(self, message: ASGISendEvent) -> None:
        if self._line.is_closing():
            # We have ended it, and the application has yet to hear so: no mistake of its own.
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            # A handshake that was refused is complete as well; uvicorn would log a mistake of the application.
            self.handshake_complete = True

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"][TEXT] = {"send": self.send_text, "offer": self.offer_texts}

    async def send_text(self, text: bytes) -> None:
        """Sends UTF-8 once the handshake is complete, without the detours that `send` takes through all middleware."""
        if not self.writable.is_set():
            await self.writable.wait()
        if self.close_sent or self.disconnected or self.conn.state is not State.OPEN or self._line.is_closing():
            raise ClientDisconnected
        self._line.write(_framed(text))

    def offer_texts(self, texts: Sequence[bytes]) -> bool:
        """Sends them at once, unless the client has yet to take what was sent before."""
        if not self.writable.is_set() or self.close_sent or self.disconnected or self.conn.state is not State.OPEN:
            return False
        self._line.write(b"".join(map(_framed, texts)))
        return True

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message may come in {FRAGMENTS} pieces")
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
            # Whoever pings and does not read the answers would fill our memory with them.
            self.conn.data_to_send()

    def handle_parser_exception(self) -> None:
        # The client may be in the middle of sending what was refused: it is to see the code all the same.
        self._line.unread = True
        if self.conn.close_sent is None:
            # Frames before the handshake was answered; there is no way yet to say what is wrong with them.
            self._line.close()
        else:
            super().handle_parser_exception()

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.frames = []
        self.conn.fail(code, reason)
        self.handle_parser_exception()


def _framed(text: bytes) -> bytes:
    """What uvicorn and `websockets` make of a text in several times as long: nothing is compressed, so a server's frame
    is the length and the text."""
    size = len(text)
    if size < 126:
        return _SHORT.pack(_TEXT, size) + text
    return (_LONG.pack(_TEXT, 126, size) if size < 2**16 else _LONGER.pack(_TEXT, 127, size)) + text
