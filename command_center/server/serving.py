"""Serving: one process, one socket that is bound before anything else is started."""

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from command_center.server.settings import Misconfigured, Settings
from command_center.web import http_protocol
from command_center.web.http_protocol import ConnectionLimits
from command_center.web.security_headers import SecurityHeaders
from command_center.web.shutdown import Shutdown
from command_center.web.websocket_protocol import SocketConnection

KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 4


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Misconfigured where the port is taken or the host is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP: only then does asyncio turn Nagle's delay off on what it accepts.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as exc:
        listener.close()
        raise Misconfigured(f"cannot listen on {host}:{port}: {getattr(exc, 'strerror', None) or exc}") from exc
    listener.set_inheritable(True)
    return listener


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which ends open streams first when it stops. SIGTERM is a normal end: it does not raise it."""

    def __init__(self, config: uvicorn.Config, shutdown: Shutdown) -> None:
        super().__init__(config)
        self._shutdown = shutdown

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._shutdown.start()
        grace = self.config.timeout_graceful_shutdown or 0
        # Before uvicorn cancels the requests: what they still write must not look like a complete response.
        timer = asyncio.get_running_loop().call_later(grace, self._abort_connections)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            # uvicorn raises what it captured once more, by which the process would end with the signal's code.
            self._captured_signals = [each for each in self._captured_signals if each != signal.SIGTERM]


def server(app: Starlette, settings: Settings) -> GracefulServer:
    """Return a server for one bound socket. `app` is made by `command_center.server.app.create`."""
    guards = SecurityHeaders(settings.secure).elsewhere
    config = uvicorn.Config(
        app,
        log_level=settings.log_level,
        access_log=False,
        lifespan="on",
        http=http_protocol.limited(ConnectionLimits(settings.header_bytes, settings.header_time, guards)),
        ws=SocketConnection,
        ws_max_size=settings.frame_bytes,
        ws_per_message_deflate=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    logging.getLogger("uvicorn.error").setLevel(settings.log_level.upper())
    return GracefulServer(config, app.state.shutdown)
