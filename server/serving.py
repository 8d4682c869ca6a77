"""Serving: one process, one socket that is bound before anything else is started."""

import logging
import socket

import uvicorn
from starlette.applications import Starlette

from server import connections
from server.connections import ConnectionLimits
from server.guards import Guards
from server.settings import Misconfigured, Settings
from server.sockets import SocketConnection

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


def server(app: Starlette, settings: Settings) -> uvicorn.Server:
    """A uvicorn server for the application, for one bound socket."""
    guards = Guards(settings.secure).elsewhere
    config = uvicorn.Config(
        app,
        log_level=settings.log_level,
        access_log=False,
        lifespan="on",
        http=connections.limited(ConnectionLimits(settings.header_bytes, settings.header_time, guards)),
        ws=SocketConnection,
        ws_max_size=settings.frame_bytes,
        ws_per_message_deflate=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    logging.getLogger("uvicorn.error").setLevel(settings.log_level.upper())
    return uvicorn.Server(config)
