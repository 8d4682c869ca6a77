"""uvicorn's HTTP connections, with limits on the size and time of request heads.

Errors below the level of ASGI are answered here with one line of text. They are not logged. The middleware limits
bodies and rates, because it knows which request they belong to.
"""

import asyncio
import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from command_center.web.bounded_transport import BoundedTransport
from command_center.web.security_headers import Headers

STREAM_END_SECONDS: Final = 0.6
"""How long the end of a stream may take to be written when the server stops."""
BODY_END_SECONDS: Final = 0.4
"""How long the rest of a request's body may take to arrive when the server stops."""
REFUSAL_SECONDS: Final = 0.2
"""How long a client that is still sending a body may take to read that the request is rejected."""
# The parts of a request line besides the method and the URL, and the empty line after the headers.
_HEAD_OVERHEAD: Final = len("  HTTP/1.1\r\n\r\n")


_HOST_RE: Final = re.compile(rb"(\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?")
_NO_HOST: Final = (400, "A request must have one Host header, which names a host and optionally a port.")
_STOPPING: Final = (503, "The server is stopping. Nothing was done; send the request again.")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of a connection.

    `rejection_headers` are sent with rejections. `write_timeout` is how long a client may accept too little data (see
    `BoundedTransport`).
    """

    header_bytes: int
    header_time: timedelta
    rejection_headers: Headers = ()
    write_timeout: timedelta = timedelta(seconds=30)


class _Refused(Exception):
    """Raised to stop the parser. The connection's `_refusal` holds the response."""


class HttpConnection(HttpToolsProtocol):
    """One HTTP connection. `connection_class` creates a subclass that has the limits."""

    limits: ConnectionLimits

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        seconds = self.limits.header_time.total_seconds()
        self._seconds = seconds
        self._late = (408, f"The headers of a request must arrive within {seconds:,g} seconds.")
        self._large = (431, f"The headers of a request may have {self.limits.header_bytes:,} bytes.")
        self._refusal = self._malformed = (400, "This is no HTTP request.")
        self._deadline: asyncio.TimerHandle | None = None
        # True between requests and while a request's head arrives. `_has_started` tells these apart.
        self._in_head = True
        self._has_started = False
        self._head_bytes = 0
        # Bytes since the parser last made progress: it completed a head or a request, a chunk header, or passed on a
        # part of a body. The bytes of an endless head, of trailers, and of a chunk's size line and extensions count.
        self._bytes_without_progress = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._bounded_transport = BoundedTransport(
            cast(asyncio.Transport, transport), self.limits.write_timeout.total_seconds()
        )
        super().connection_made(self._bounded_transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._bounded_transport.lost()
        self._cancel_deadline()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._break_cycles()

    def shutdown(self) -> None:
        super().shutdown()
        if not self._answering():
            return
        if self.cycle.chunked_encoding:
            # The application ends the stream by itself, but not if the client does not read.
            self.loop.call_later(STREAM_END_SECONDS, self._abort_stream)
        elif self._awaits_body():
            self.loop.call_later(BODY_END_SECONDS, self._refuse_body)

    def _abort_stream(self) -> None:
        if self._answering():
            self._bounded_transport.abort()

    def _awaits_body(self) -> bool:
        """Return whether the body of the current request is still incomplete.

        The application then has not done anything for the request.
        """
        return not (self._in_head or self.pipeline or self.cycle.response_started)

    def _refuse_body(self) -> None:
        if self._answering() and self._awaits_body():
            self._refuse(*_STOPPING)
            self.loop.call_later(REFUSAL_SECONDS, self._bounded_transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._bounded_transport.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._bounded_transport.unwatch()

    def data_received(self, data: bytes) -> None:
        if self._bounded_transport.is_lingering:
            return
        self._unset_keepalive_if_required()
        self._bytes_without_progress += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(*self._refusal)
            return
        if self._bytes_without_progress > self.limits.header_bytes:
            self._refuse(*self._large)
        elif self._deadline is None and self._in_head and (self._has_started or self._bytes_without_progress):
            self._expect_head()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._feed_without_upgrade(data[exc.args[0] :])

    def _feed_without_upgrade(self, rest: bytes) -> None:
        """Serve a request as if it had not offered another protocol.

        Java's client offers HTTP/2 each time. The parser assumes that such a request has no body, so a new parser gets
        the request without the offer.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(b"\r\n".join([*lines, b"", rest]))

    def handle_websocket_upgrade(self) -> None:
        if self._answering():
            # The previous response is not sent yet. After the handshake the client could not tell it from frames.
            self._bounded_transport.close()
        elif not self.url.isascii():
            self._refuse(*self._malformed)
        else:
            super().handle_websocket_upgrade()
            self._break_cycles()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._has_started = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        # Headers after the head are trailers. They are not used, and must not be mistaken for headers.
        if self._in_head:
            super().on_header(name, value)
            self._grow(len(name) + len(value) + len(": \r\n"))

    def on_headers_complete(self) -> None:
        method = self.parser.get_method()
        self._grow(len(method) + _HEAD_OVERHEAD)
        self._check_host()
        if self.parser.should_upgrade() and not self._should_upgrade():
            if method == b"CONNECT":
                raise _Refused
            return
        self._in_head = False
        self._cancel_deadline()
        self._bytes_without_progress = 0
        self._bounded_transport.coalesce()
        super().on_headers_complete()
        self._bounded_transport.has_unread_input = True

    def _check_host(self) -> None:
        """Reject a request that does not name exactly one host (RFC 9112, 3.2).

        HTTP/1.0 may omit the header.
        """
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) == 1:
            if _is_host(hosts[0].strip(b" \t")):
                return
        elif not hosts and self.parser.get_http_version() == "1.0":
            return
        self._refusal = _NO_HOST
        raise _Refused

    def on_chunk_header(self) -> None:
        self._bytes_without_progress = 0

    def on_body(self, body: bytes) -> None:
        self._bytes_without_progress = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and not self._should_upgrade():
            return
        self._in_head = True
        self._has_started = False
        self._bytes_without_progress = 0
        self._bounded_transport.has_unread_input = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            # The connection was lost before.
            return
        if not self._answering() and cycle.more_body:
            # The response was sent before the body had arrived, so the rest of the body is not needed.
            self._bounded_transport.close()
        super().on_response_complete()

    def _grow(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.limits.header_bytes:
            self._refusal = self._large
            raise _Refused

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self._seconds, self._expire)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        if self.flow.read_paused:
            # The server pauses reading while it answers an earlier request, so the client is not late.
            self._expect_head()
        elif self._has_started or self._bytes_without_progress:
            self._refuse(*self._late)
        else:
            self._bounded_transport.close()

    def _break_cycles(self) -> None:
        """Drop the references to objects that refer to this connection.

        The connection is then freed immediately, not by the garbage collector.
        """
        self.parser = cast(httptools.HttpRequestParser, None)
        self.cycle = cast(RequestResponseCycle, None)

    def _answering(self) -> bool:
        # uvicorn declares the attribute as never None.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: int, message: str) -> None:
        """Respond with an error, and close the connection.

        No error is sent while the response to another request is in progress.
        """
        if not self._answering() or self._awaits_body():
            text = f"{message}\n".encode()
            headers = [
                *self.server_state.default_headers,
                *self.limits.rejection_headers,
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"%d" % len(text)),
                (b"connection", b"close"),
            ]
            lines = b"".join(b"%s: %s\r\n" % header for header in headers)
            self._bounded_transport.write(STATUS_LINE[status] + lines + b"\r\n" + text)
        if self._answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._bounded_transport.has_unread_input = True
        self._bounded_transport.close()


@lru_cache(256)
def _is_host(value: bytes) -> bool:
    """Return whether the value is a host with an optional port (RFC 3986, 3.2.2)."""
    match = _HOST_RE.fullmatch(value)
    if match is None or match["v6"] is None:
        return match is not None
    try:
        ipaddress.IPv6Address(match["v6"].decode())
    except ValueError:
        return False
    return True


def connection_class(limits: ConnectionLimits) -> type[HttpConnection]:
    """Return the class of connections with these limits, as uvicorn needs it."""
    return type("LimitedHttpConnection", (HttpConnection,), {"limits": limits})
