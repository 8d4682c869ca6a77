"""The border around every route: rates of addresses, origins, bodies, the headers of answers, and what goes wrong.

Whatever is refused here is refused before any route sees it. Deadlines of headers and sockets are the connections'.
"""

import asyncio
import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from command_center.web import compression
from command_center.web.error_responses import ErrorResponse, too_often
from command_center.web.internal_errors import internal_error_message, log_internal_error
from command_center.web.rate_limits import RateLimiter
from command_center.web.request_bodies import BodyReader
from command_center.web.security_headers import GRAPHQL, TRACKING, SecurityHeaders
from command_center.web.shutdown import Shutdown

UNCOUNTED = frozenset({"/healthz", "/readyz", "/metrics"})
NEEDED_HEADERS = frozenset({"accept", "authorization", "content-type"})
"""Request headers without which no page could use the API, whatever the settings allow."""
_HUNG_UP = (ClientDisconnect, ClientDisconnected, WebSocketDisconnect)
_FOREIGN = ErrorResponse(
    403,
    "FORBIDDEN_ORIGIN",
    "From a browser this socket is open to pages of this server and of the origins that its settings allow.",
)


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """What the middleware enforces. `secure`: the base URL is https."""

    address_requests: int
    """Requests per minute of one network address."""
    body_bytes: int
    body_time: timedelta
    secure: bool
    base_url: str
    allowed_origins: frozenset[str]
    allowed_headers: frozenset[str]
    """Request headers that pages of other origins may send, in lower case."""


class RequestLimitsMiddleware:
    """ASGI middleware; `rates` are those of network addresses."""

    def __init__(
        self, app: ASGIApp, limits: EdgeLimits, rates: RateLimiter | None = None, shutdown: Shutdown | None = None
    ) -> None:
        self._app = app
        self._rates = rates or RateLimiter(limits.address_requests)
        self._shutdown = shutdown or Shutdown()
        self._bodies = BodyReader(limits.body_bytes, limits.body_time)
        self._guards = SecurityHeaders(limits.secure)
        self._shared = limits.allowed_origins
        self._headers = sorted(each.title() for each in NEEDED_HEADERS | limits.allowed_headers)
        self._host = _host(urlsplit(limits.base_url).netloc)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        answering = _Answering(scope, send, self._guards)
        try:
            refusal = self._refusal(scope)
            inner: ASGIApp = self._within if refusal is None else refusal.answer(scope)
            if self._shared and scope["type"] == "http" and scope["path"] == GRAPHQL:
                inner = self._readable(inner)
            await inner(scope, receive, answering.send)
        except asyncio.CancelledError:
            # The server cancels what is unfinished at the end of its grace period, after it aborted the connection.
            # Nothing is wrong with the request, so there is nothing to log.
            if not self._shutdown.started:
                raise
        except _HUNG_UP:
            # Nobody is there to be answered.
            return
        except Exception as exc:
            await answering.fail(exc, receive)

    def _refusal(self, scope: Scope) -> ErrorResponse | None:
        path = scope["path"]
        if not path.startswith(TRACKING) and path not in UNCOUNTED:
            wait = self._rates.take(_network(scope["client"]))
            if wait:
                return too_often("address", self._rates.per_minute, wait)
        return None if scope["type"] == "http" or self._may_open(scope) else _FOREIGN

    async def _within(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            body = await self._bodies.read(scope, receive)
            if body is None:
                return
            if isinstance(body, ErrorResponse):
                await body.answer(scope)(scope, receive, send)
                return
            receive = body
        await self._app(scope, receive, send)

    def _readable(self, app: ASGIApp) -> ASGIApp:
        """Lets pages of the allowed origins read the answers of the API, refusals included; pages of others read none.

        A POST of a foreign page is not refused for its origin: without a token, which no browser adds by itself, it
        does nothing, and applications outside of browsers send odd origins too. Credentials are let through for the
        cookie that tells a user's own browser; nobody signs in by it.
        """
        return CORSMiddleware(
            app,
            allow_origins=self._shared,
            allow_methods=("GET", "POST", "OPTIONS"),
            allow_headers=self._headers,
            allow_credentials=True,
            expose_headers=("Retry-After", "Idempotency-Replayed"),
            max_age=600,
        )

    def _may_open(self, scope: Scope) -> bool:
        """Whether a WebSocket may be opened: browsers let any page try, and only say which one does."""
        headers = Headers(scope=scope)
        own = {self._host, _host(headers.get("host", ""))}
        for origin in map(str.lower, headers.getlist("origin")):
            # A proxy that ends TLS makes https into http, so the schemes of our own hosts are not compared.
            scheme, _, host = origin.partition("://")
            if origin not in self._shared and (scheme not in ("http", "https") or _host(host) not in own):
                return False
        return True


class _Answering:
    """One answer on its way: its headers are completed, and it is noted how far it came."""

    def __init__(self, scope: Scope, send: Send, guards: SecurityHeaders) -> None:
        self._scope = scope
        self._send = send
        self._guards = guards
        self._begun = ""
        # The start of a response that is compressed once its body is known.
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        kind: str = message["type"]
        if kind.endswith("http.response.start"):
            headers = self._guards.beside(message.get("headers", ()), self._scope["path"])
            if kind == "http.response.start" and compression.is_compressible(headers):
                headers = compression.with_vary(headers)
                if compression.accepts_gzip(self._scope["headers"]):
                    self._start = {**message, "headers": headers}
                    return
            message = {**message, "headers": headers}
        elif self._start is not None:
            message = await self._compressed(self._start, message)
        self._begun = kind
        await self._send(message)

    async def _compressed(self, start: Message, message: Message) -> Message:
        """Sends the start, and returns the body that belongs to it.

        A body in several pieces stays as it is, and so does one that is left out, as FileResponse does for HEAD.
        """
        if message.get("body") and not message.get("more_body", False):
            body = await compression.compress(message["body"])
            start = {**start, "headers": compression.gzipped_headers(start["headers"], len(body))}
            message = {**message, "body": body}
        self._start = None
        self._begun = start["type"]
        await self._send(start)
        return message

    async def fail(self, cause: Exception, receive: Receive) -> None:
        """Says that something went wrong, and under which reference it is logged, as far as it can still be said."""
        reference = log_internal_error(cause)
        self._start = None
        if not self._begun:
            refusal = ErrorResponse(500, "INTERNAL", internal_error_message(reference))
            await refusal.answer(self._scope)(self._scope, receive, self.send)
        elif self._begun in ("websocket.accept", "websocket.send"):
            await self._send({"type": "websocket.close", "code": 1011, "reason": internal_error_message(reference)})


def _network(client: Any) -> str | None:
    """Whose requests are counted together: an IPv4 address, or the network that an IPv6 customer is given."""
    if client is None:
        return None
    host: str = client[0]
    if ":" not in host:
        return host[:64]
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    return str(address.ipv4_mapped or ipaddress.IPv6Address(int(address) >> 64 << 64))


def _host(text: str) -> str:
    """A host and port as they are compared: browsers leave out a port that goes without saying."""
    return text.lower().removesuffix(":443").removesuffix(":80")
