"""The middleware around all routes.

It handles address rates, origins, bodies, response headers and unhandled exceptions. Requests that are rejected here
reach no route. The protocols limit the time of headers and sockets, not this module.
"""

import asyncio
import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from command_center.web import compression
from command_center.web.error_responses import ErrorResponse, rate_limited
from command_center.web.internal_errors import internal_error_message, log_internal_error
from command_center.web.rate_limits import RateLimiter
from command_center.web.request_bodies import BodyReader
from command_center.web.security_headers import GRAPHQL, TRACKING, SecurityHeaders
from command_center.web.shutdown import Shutdown

UNLIMITED_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
NEEDED_HEADERS = frozenset({"accept", "authorization", "content-type"})
"""Request headers that pages need to use the API, whatever the settings allow."""
_DISCONNECTED = (ClientDisconnect, ClientDisconnected, WebSocketDisconnect)
_FORBIDDEN_ORIGIN = ErrorResponse(
    403,
    "FORBIDDEN_ORIGIN",
    "From a browser this socket is open to pages of this server and of the origins that its settings allow.",
)


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """The limits that the middleware enforces.

    `secure` means that the base URL is https.
    """

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
    """ASGI middleware that enforces limits on requests before they reach a route.

    `rates` limits the requests of each network address.
    """

    def __init__(
        self, app: ASGIApp, limits: EdgeLimits, rates: RateLimiter | None = None, shutdown: Shutdown | None = None
    ) -> None:
        self._app = app
        self._rates = rates or RateLimiter(limits.address_requests)
        self._shutdown = shutdown or Shutdown()
        self._bodies = BodyReader(limits.body_bytes, limits.body_time)
        self._guards = SecurityHeaders(limits.secure)
        self._allowed_origins = limits.allowed_origins
        self._allowed_headers = sorted(each.title() for each in NEEDED_HEADERS | limits.allowed_headers)
        self._host = _host(urlsplit(limits.base_url).netloc)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        response = _ResponseSender(scope, send, self._guards)
        try:
            rejection = self._rejection(scope)
            inner: ASGIApp = self._call_app if rejection is None else rejection.to_response(scope)
            if self._allowed_origins and scope["type"] == "http" and scope["path"] == GRAPHQL:
                inner = self._with_cors(inner)
            await inner(scope, receive, response.send)
        except asyncio.CancelledError:
            # The server cancels unfinished requests at the end of its grace period, after it has aborted the
            # connections. There is nothing wrong with the request, so nothing is logged.
            if not self._shutdown.started:
                raise
        except _DISCONNECTED:
            # The client has disconnected, so nobody could receive a response.
            return
        except Exception as exc:
            await response.fail(exc, receive)

    def _rejection(self, scope: Scope) -> ErrorResponse | None:
        path = scope["path"]
        if not path.startswith(TRACKING) and path not in UNLIMITED_PATHS:
            wait = self._rates.take(_client_network(scope["client"]))
            if wait:
                return rate_limited("address", self._rates.per_minute, wait)
        return None if scope["type"] == "http" or self._may_open(scope) else _FORBIDDEN_ORIGIN

    async def _call_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            body = await self._bodies.read(scope, receive)
            if body is None:
                return
            if isinstance(body, ErrorResponse):
                await body.to_response(scope)(scope, receive, send)
                return
            receive = body
        await self._app(scope, receive, send)

    def _with_cors(self, app: ASGIApp) -> ASGIApp:
        """Wrap the application so that responses have CORS headers.

        Only pages of the allowed origins can then read responses, including errors. A POST from another origin is not
        rejected. Without a token, which no browser adds by itself, it has no effect, and applications other than
        browsers send unusual origins too. Credentials are allowed for the cookie that marks a user's own browser. The
        cookie authenticates no user.
        """
        return CORSMiddleware(
            app,
            allow_origins=self._allowed_origins,
            allow_methods=("GET", "POST", "OPTIONS"),
            allow_headers=self._allowed_headers,
            allow_credentials=True,
            expose_headers=("Retry-After", "Idempotency-Replayed"),
            max_age=600,
        )

    def _may_open(self, scope: Scope) -> bool:
        """Return whether the page that opens a WebSocket has an allowed origin.

        Browsers let every page open one and only send the page's origin. A request without an origin is allowed.
        """
        headers = Headers(scope=scope)
        own_hosts = {self._host, _host(headers.get("host", ""))}
        for origin in map(str.lower, headers.getlist("origin")):
            # A proxy that terminates TLS turns https into http, so the schemes of the server's own hosts are ignored.
            scheme, _, host = origin.partition("://")
            if origin not in self._allowed_origins and (
                scheme not in ("http", "https") or _host(host) not in own_hosts
            ):
                return False
        return True


class _ResponseSender:
    """Sends one response: completes its headers, and compresses it."""

    def __init__(self, scope: Scope, send: Send, guards: SecurityHeaders) -> None:
        self._scope = scope
        self._send = send
        self._guards = guards
        self._last_sent = ""
        # The start of a response that is compressed when its body arrives.
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        kind: str = message["type"]
        if kind.endswith("http.response.start"):
            headers = self._guards.complete(message.get("headers", ()), self._scope["path"])
            if kind == "http.response.start" and compression.is_compressible(headers):
                headers = compression.with_vary(headers)
                if compression.accepts_gzip(self._scope["headers"]):
                    self._start = {**message, "headers": headers}
                    return
            message = {**message, "headers": headers}
        elif self._start is not None:
            message = await self._send_compressed(self._start, message)
        self._last_sent = kind
        await self._send(message)

    async def _send_compressed(self, start: Message, message: Message) -> Message:
        """Send the start of a response, and return the message with its body.

        A complete body is compressed. A body in several parts is not, nor is an omitted one, such as FileResponse's for
        HEAD.
        """
        if message.get("body") and not message.get("more_body", False):
            body = await compression.compress(message["body"])
            start = {**start, "headers": compression.gzipped_headers(start["headers"], len(body))}
            message = {**message, "body": body}
        self._start = None
        self._last_sent = start["type"]
        await self._send(start)
        return message

    async def fail(self, cause: Exception, receive: Receive) -> None:
        """Log the exception, and send an error with its reference if that is possible."""
        reference = log_internal_error(cause)
        self._start = None
        if not self._last_sent:
            rejection = ErrorResponse(500, "INTERNAL", internal_error_message(reference))
            await rejection.to_response(self._scope)(self._scope, receive, self.send)
        elif self._last_sent in ("websocket.accept", "websocket.send"):
            await self._send({"type": "websocket.close", "code": 1011, "reason": internal_error_message(reference)})


def _client_network(client: tuple[str, int] | None) -> str | None:
    """Return the key under which the requests of a client are counted.

    It is the IPv4 address, or the /64 network of an IPv6 address.
    """
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
    """Return a host and port in lower case and without a default port."""
    return text.lower().removesuffix(":443").removesuffix(":80")
