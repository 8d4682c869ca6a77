"""The uvicorn server: one process with one socket.

The socket is bound before anything else starts.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from command_center.server.settings import ConfigurationError, Settings
from command_center.web import http_protocol
from command_center.web.http_protocol import ConnectionLimits
from command_center.web.security_headers import SecurityHeaders
from command_center.web.shutdown import Shutdown
from command_center.web.websocket_protocol import SocketConnection

KEEP_ALIVE_TIMEOUT_SECONDS = 75
GRACE_SECONDS = 4


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket.

    Raises: ConfigurationError if the port is in use or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named TCP: only then does asyncio set TCP_NODELAY on accepted connections.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as exc:
        listener.close()
        raise ConfigurationError(f"cannot listen on {host}:{port}: {getattr(exc, 'strerror', None) or exc}") from exc
    listener.set_inheritable(True)
    return listener


class GracefulServer(uvicorn.Server):
    """A server that ends open subscriptions first when it stops.

    After SIGTERM the process exits with code 0.
    """

    def __init__(self, config: uvicorn.Config, shutdown: Shutdown) -> None:
        super().__init__(config)
        self._shutdown = shutdown

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._shutdown.start()
        grace = self.config.timeout_graceful_shutdown or 0
        # Abort before uvicorn cancels the requests, so that a partial response cannot look complete.
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
            # uvicorn raises captured signals again, so the process would exit with the signal's code.
            self._captured_signals = [each for each in self._captured_signals if each != signal.SIGTERM]


def create_server(app: Starlette, settings: Settings) -> GracefulServer:
    """Return a server for one bound socket.

    `app` is created by `command_center.server.app.create_app`.
    """
    headers = SecurityHeaders(settings.uses_https).default
    config = uvicorn.Config(
        app,
        log_level=settings.log_level,
        access_log=False,
        lifespan="on",
        http=http_protocol.connection_class(ConnectionLimits(settings.header_bytes, settings.header_time, headers)),
        ws=SocketConnection,
        ws_max_size=settings.frame_bytes,
        ws_per_message_deflate=False,
        timeout_keep_alive=KEEP_ALIVE_TIMEOUT_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    logging.getLogger("uvicorn.error").setLevel(settings.log_level.upper())
    return GracefulServer(config, app.state.shutdown)
