"""One connection to a mail server on which commands and replies stay in step.

A command is sent only when nothing unread has arrived, so a reply is never taken for the answer to a later command.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar, cast

from command_center.mail.smtp_replies import ProtocolError, Reply, ReplyParser

MAX_UNREAD_REPLIES = 16
CHUNK_BYTES = 64 * 1024
CONNECT_SECONDS = 20.0
DATA_REPLY_FACTOR = 2.5
"""A server may take longer over a message than over a command (RFC 5321, section 4.5.3.2)."""
GOODBYE = 421
"""The server closes the connection. It may say so at any time, whatever it was asked."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
T = TypeVar("T")


class ConnectionLost(Exception):
    """The connection ended, or the server was silent for too long."""


class Dialogue(asyncio.Protocol):
    """Commands and replies of one connection, in bounded memory. Made by `connect`."""

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
            self._fail(ProtocolError("the server sends replies that nothing asked for"))
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
        """Whether the connection is open and nothing unread has arrived on it."""
        return self._error is None and not self._parser.replies and not self._parser.partial

    def unread(self) -> Reply | None:
        """Takes a reply that has arrived already."""
        return self._parser.replies.popleft() if self._parser.replies else None

    async def reply(self, seconds: float | None = None) -> Reply:
        """The next reply. Raises ConnectionLost and ProtocolError."""
        return await self._within(self._next_reply, seconds)

    async def command(self, line: str, at_most: float | None = None) -> Reply:
        """Sends a command and returns its reply; or a 421 that had arrived before, in which case nothing is sent.

        Raises ConnectionLost, ProtocolError, and ValueError for a line that would be more than one.
        """
        if _CONTROL.search(line):
            raise ValueError("a command holds a control character")
        if self._parser.replies and self._parser.replies[0].code == GOODBYE:
            return self._parser.replies.popleft()
        self._require_step()
        self._write(line.encode() + b"\r\n")
        return await self.reply(None if at_most is None else min(at_most, self._reply_seconds))

    async def send(self, content: bytes) -> None:
        """Sends a message without the end that makes it one. Raises ConnectionLost and ProtocolError."""
        for chunk in data_chunks(content):
            # A server that replies here, before the end, has not got the message.
            self._require_step()
            self._write(chunk)
            await self._within(self._writable.wait)
            # A buffer that has room lets this coroutine go on at once, and a long message must not delay other teams.
            await asyncio.sleep(0)
        self._require_step()

    async def finish(self) -> Reply:
        """Ends the message and returns the server's reply. From here on the server may have it."""
        self._write(b".\r\n")
        return await self.reply(self._reply_seconds * DATA_REPLY_FACTOR)

    async def upgrade(self, context: ssl.SSLContext, host: str) -> None:
        """Begins TLS. Anything the server sent after its consent came unencrypted, perhaps from somebody else."""
        self._require_step()
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
        self._require_step()

    def close(self) -> None:
        """Ends the connection at once; unread data is dropped."""
        self._fail(ConnectionLost("the connection was closed here"))

    def _require_step(self) -> None:
        if self._parser.replies:
            raise ProtocolError(f"the server replied when nothing was asked: {self._parser.replies[0].text}")
        if self._error is not None:
            raise self._error
        if self._parser.partial:
            raise ProtocolError("the server sent a part of a reply when nothing was asked")

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

    async def _within(self, wait: Callable[[], Awaitable[T]], seconds: float | None = None) -> T:
        try:
            async with asyncio.timeout(self._reply_seconds if seconds is None else seconds):
                return await wait()
        except TimeoutError as exc:
            # A reply that comes later is no one's.
            lost = ConnectionLost("the server did not reply in time")
            self._fail(lost)
            raise lost from exc

    def _fail(self, error: Exception) -> None:
        """Keeps the first error, and the replies that were complete before it."""
        if self._error is None:
            self._error = error
            if self._transport is not None:
                self._transport.abort()
        self._changed.set()
        self._writable.set()


def data_chunks(content: bytes, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yields a message as it is sent after DATA: with CRLF line ends, and each leading dot doubled (RFC 5321, 4.5.2).

    `size` is the number of bytes read at a time. The message is converted in parts, because converting a long one
    at once would block the event loop.
    """
    begin, line_start = 0, True
    while begin < len(content):
        end = min(begin + size, len(content))
        # A CR stays together with an LF that follows it.
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
    """Opens a connection, encrypted from the first byte if a context is given. Raises ConnectionLost."""
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
