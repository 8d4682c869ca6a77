"""The line to a client, below HTTP and WebSocket: given up where the client takes nothing, and parted from gently."""

import asyncio
from typing import Any, Final

STEP: Final = 65536
"""Bytes that a client must take within the line's patience; a slower one is as good as gone."""
PARTING_SECONDS: Final = 2.0
"""How long a client may go on sending what nobody reads."""


class BoundedTransport(asyncio.Transport):
    """A transport that ends by itself.

    What the system does not take waits in this process: while something does, or the line is closing, each span of
    `patience` (seconds) must see a step taken. Where the client is still sending (`unread`), closing at once would make
    the system reset the connection and the last answer with it; so the answer is ended, and the rest is read and
    dropped for a moment.
    """

    def __init__(self, transport: asyncio.Transport, patience: float) -> None:
        super().__init__()
        self._transport = transport
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0
        self._gone = False
        self._holds = False
        self._held = b""
        self.unread = False
        self.parting = False

    def watch(self) -> None:
        """From now on the client has to take what waits for it."""
        if self._timer is None and not self._gone:
            self._waiting = self._transport.get_write_buffer_size()
            self._timer = self._loop.call_later(self._patience, self._look)

    def unwatch(self) -> None:
        """It took everything. A line that is closing stays watched."""
        if self._timer is not None and not self.is_closing():
            self._timer.cancel()
            self._timer = None

    def coalesce(self) -> None:
        """The next that is written waits for what is written right after it, and goes with it: an answer's head and
        its body would be a way into the system each."""
        self._holds = True

    def lost(self) -> None:
        """The connection is no more."""
        self._gone = True
        self._held = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        if self.parting or self._transport.is_closing():
            return
        self._let_go()
        if not self.unread:
            self._transport.close()
            self.watch()
            return
        self.parting = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._timer = self._loop.call_later(PARTING_SECONDS, self._transport.abort)

    def write(self, data: Any) -> None:
        if self.parting:
            return
        if self._held:
            data, self._held = self._held + data, b""
        elif self._holds:
            self._holds, self._held = False, data
            self._loop.call_soon(self._let_go)
            return
        self._transport.write(data)

    def _let_go(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            if not self.is_closing():
                self._transport.write(held)

    def is_closing(self) -> bool:
        return self.parting or self._transport.is_closing()

    def abort(self) -> None:
        self._transport.abort()

    def pause_reading(self) -> None:
        if not self.parting:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def _look(self) -> None:
        self._timer = None
        if self._waiting - self._transport.get_write_buffer_size() < STEP:
            self._transport.abort()
        else:
            self.watch()
