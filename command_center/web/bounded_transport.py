"""A transport that limits how long a client may delay it.

It is used below HTTP and WebSocket.
"""

import asyncio
from typing import Final

MIN_PROGRESS_BYTES: Final = 65536
"""Bytes that a client must accept in each period of `timeout`. A slower client counts as disconnected."""
LINGER_SECONDS: Final = 2.0
"""How long a client may continue to send data that is read and dropped."""


class BoundedTransport(asyncio.Transport):
    """A transport that aborts the connection of a client that does not read.

    Data that the operating system does not accept waits in this process. While some waits, or the connection is
    closing, the client must accept at least `MIN_PROGRESS_BYTES` in every `timeout` seconds.

    If a connection is closed while the client is still sending (`has_unread_input`), the operating system resets it,
    and the client may lose the last response. In this case `close` only ends the sending direction, and for
    `LINGER_SECONDS` data that arrives is read and dropped.
    """

    def __init__(self, transport: asyncio.Transport, timeout: float) -> None:
        super().__init__()
        self._transport = transport
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self._is_lost = False
        self._coalesces = False
        self._pending = b""
        self.has_unread_input = False
        self.is_lingering = False

    def watch(self) -> None:
        """Require progress from the client from now on."""
        if self._timer is None and not self._is_lost:
            self._unsent_bytes = self._transport.get_write_buffer_size()
            self._timer = self._loop.call_later(self._timeout, self._check_progress)

    def unwatch(self) -> None:
        """Stop requiring progress, because everything was sent.

        A closing connection remains watched.
        """
        if self._timer is not None and not self.is_closing():
            self._timer.cancel()
            self._timer = None

    def coalesce(self) -> None:
        """Delay the next write, to send it with the one that follows it immediately.

        Otherwise the head and the body of a response would need a system call each.
        """
        self._coalesces = True

    def lost(self) -> None:
        """Release the timer and the buffer of a connection that is lost."""
        self._is_lost = True
        self._pending = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Close the connection.

        If the client is still sending, only the sending direction is closed at first. Data that arrives in the next
        LINGER_SECONDS is read and dropped.
        """
        if self.is_lingering or self._transport.is_closing():
            return
        self._flush()
        if not self.has_unread_input:
            self._transport.close()
            self.watch()
            return
        self.is_lingering = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._timer = self._loop.call_later(LINGER_SECONDS, self._transport.abort)

    # uvicorn and websockets write only bytes.
    def write(self, data: bytes) -> None:  # type: ignore[override]
        """Write data, delayed after `coalesce`.

        It is dropped if `close` was called while the client was sending.
        """
        if self.is_lingering:
            return
        if self._pending:
            data, self._pending = self._pending + data, b""
        elif self._coalesces:
            self._coalesces, self._pending = False, data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, b""
            if not self.is_closing():
                self._transport.write(pending)

    def is_closing(self) -> bool:
        return self.is_lingering or self._transport.is_closing()

    def abort(self) -> None:
        self._transport.abort()

    def pause_reading(self) -> None:
        if not self.is_lingering:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._transport.get_extra_info(name, default)

    def _check_progress(self) -> None:
        self._timer = None
        if self._unsent_bytes - self._transport.get_write_buffer_size() < MIN_PROGRESS_BYTES:
            self._transport.abort()
        else:
            self.watch()
