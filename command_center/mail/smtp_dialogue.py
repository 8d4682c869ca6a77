"""Exchanges SMTP commands and replies on one connection, and keeps them in step.

A command is sent only if no unread reply has arrived, so a reply is never taken for the reply to a later command.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar, cast

from command_center.mail.smtp_replies import ProtocolError, Reply, ReplyParser

MAX_UNREAD_REPLIES = 16
"""A server that sends more replies without a command breaks the protocol; this bounds the memory."""
CHUNK_BYTES = 64 * 1024
CONNECT_SECONDS = 20.0
DATA_REPLY_FACTOR = 2.5
"""The reply to a message may take longer than the reply to a command, by this factor (RFC 5321, section 4.5.3.2)."""
GOODBYE = 421
"""The server closes the connection. It may send this reply at any time, to any command."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
T = TypeVar("T")


class ConnectionLost(Exception):
    """The connection ended, or the server was silent for too long."""


class Dialogue(asyncio.Protocol):
    """Sends commands and receives replies on one connection, in bounded memory.

    Create it with `connect`.
    """

    def __init__(self, reply_seconds: float) -> None:
        self._reply_seconds = reply_seconds
        self._parser = ReplyParser()
        self._error: Exception | None = None
        self._transport: asyncio.Transport | None = None
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    # ---- called by the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            return
        try:
            self._parser.feed(data)
        except ProtocolError as exc:
            self._fail(exc)
        if len(self._parser.replies) > MAX_UNREAD_REPLIES:
            self._fail(ProtocolError("the server sends replies without commands"))
        self._changed.set()

    def eof_received(self) -> bool:
        self._fail(ConnectionLost("the server closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionLost(f"the connection broke: {exc}" if exc else "the server closed the connection"))
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ---- called by the client ----------------------------------------------------------------------------------------

    @property
    def in_step(self) -> bool:
        """Return whether the connection is open and has no unread data."""
        return self._error is None and not self._parser.replies and not self._parser.partial

    def unread(self) -> Reply | None:
        """Remove and return the first reply that has already arrived, or None."""
        return self._parser.replies.popleft() if self._parser.replies else None

    async def reply(self, seconds: float | None = None) -> Reply:
        """Wait for the next reply and return it. Raises: ConnectionLost, ProtocolError."""
        return await self._with_timeout(self._next_reply, seconds)

    async def command(self, line: str, max_seconds: float | None = None) -> Reply:
        """Send a command and return its reply.

        If a 421 has already arrived, return it and send nothing. Raises: ConnectionLost, ProtocolError, and ValueError
        if the line contains a control character such as a line break.
        """
        if _CONTROL.search(line):
            raise ValueError("a command holds a control character")
        if self._parser.replies and self._parser.replies[0].code == GOODBYE:
            return self._parser.replies.popleft()
        self._require_in_step()
        self._write(line.encode() + b"\r\n")
        return await self.reply(None if max_seconds is None else min(max_seconds, self._reply_seconds))

    async def send(self, content: bytes) -> None:
        """Send the content of a message, without the final dot that completes it.

        Raises: ConnectionLost, ProtocolError.
        """
        for chunk in data_chunks(content):
            # A server that replies before the final dot does not have the message.
            self._require_in_step()
            self._write(chunk)
            await self._with_timeout(self._writable.wait)
            # Without this, a long message would block the event loop for as long as the send buffer has room.
            await asyncio.sleep(0)
        self._require_in_step()

    async def finish(self) -> Reply:
        """Complete the message and return the server's reply.

        From now on the server may have the message.
        """
        self._write(b".\r\n")
        return await self.reply(self._reply_seconds * DATA_REPLY_FACTOR)

    async def upgrade(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS on the connection.

        Raises: ConnectionLost if the handshake fails, and ProtocolError if data follows the reply to STARTTLS. Such
        data is not encrypted, so somebody else may have injected it.
        """
        self._require_in_step()
        assert self._transport is not None
        loop, seconds = asyncio.get_running_loop(), min(CONNECT_SECONDS, self._reply_seconds)
        try:
            upgraded = await loop.start_tls(
                self._transport, self, context, server_hostname=host, ssl_handshake_timeout=seconds
            )
        except (OSError, TimeoutError) as exc:
            raise ConnectionLost(f"the TLS handshake failed: {str(exc) or type(exc).__name__}") from exc
        if upgraded is None:
            raise ConnectionLost("the TLS handshake failed: the connection closed")
        self._transport = upgraded
        self._require_in_step()

    def close(self) -> None:
        """Close the connection immediately and drop unread data."""
        self._fail(ConnectionLost("the connection was closed here"))

    def _require_in_step(self) -> None:
        if self._parser.replies:
            raise ProtocolError(f"the server replied without a command: {self._parser.replies[0].text}")
        if self._error is not None:
            raise self._error
        if self._parser.partial:
            raise ProtocolError("the server sent a part of a reply without a command")

    def _write(self, data: bytes) -> None:
        if self._error is not None:
            raise self._error
        assert self._transport is not None
        self._transport.write(data)

    async def _next_reply(self) -> Reply:
        while not self._parser.replies:
            if self._error is not None:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        return self._parser.replies.popleft()

    async def _with_timeout(self, wait: Callable[[], Awaitable[T]], seconds: float | None = None) -> T:
        try:
            async with asyncio.timeout(self._reply_seconds if seconds is None else seconds):
                return await wait()
        except TimeoutError as exc:
            # A late reply could be taken for the reply to another command, so the connection is closed.
            lost = ConnectionLost("the server did not reply in time")
            self._fail(lost)
            raise lost from exc

    def _fail(self, error: Exception) -> None:
        """Close the connection with an error, unless an earlier error closed it.

        Replies that were complete before the error can still be read.
        """
        if self._error is None:
            self._error = error
            if self._transport is not None:
                self._transport.abort()
        self._changed.set()
        self._writable.set()


def data_chunks(content: bytes, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield the message as it is sent after DATA.

    It has CRLF line ends, and every leading dot is doubled (RFC 5321, 4.5.2).

    `size` is the number of bytes converted at a time. Converting a long message as a whole would block the event loop.
    """
    begin, line_start = 0, True
    while begin < len(content):
        end = min(begin + size, len(content))
        # A chunk must not end between a CR and its LF, or the line end would become two.
        while end < len(content) and content[end - 1] == ord("\r"):
            end += 1
        part = content[begin:end].replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        if line_start and part.startswith(b"."):
            part = b"." + part
        line_start = part.endswith(b"\r\n")
        yield part.replace(b"\r\n.", b"\r\n..")
        begin = end
    if not content or not line_start:
        yield b"\r\n"


async def connect(host: str, port: int, context: ssl.SSLContext | None, reply_seconds: float) -> Dialogue:
    """Open a connection to a mail server.

    With a context, it uses TLS from the first byte. `reply_seconds` limits the time for each reply. Raises:
    ConnectionLost.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(min(CONNECT_SECONDS, reply_seconds)):
            _, dialogue = await loop.create_connection(
                lambda: Dialogue(reply_seconds),
                host,
                port,
                ssl=context,
                server_hostname=None if context is None else host,
            )
    except TimeoutError as exc:
        raise ConnectionLost(f"no connection to {host}:{port} in time") from exc
    except ssl.SSLError as exc:
        raise ConnectionLost(f"the TLS handshake with {host}:{port} failed: {exc}") from exc
    except (OSError, ValueError) as exc:
        raise ConnectionLost(f"no connection to {host}:{port}: {exc}") from exc
    return dialogue
