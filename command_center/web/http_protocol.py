"""uvicorn's HTTP connections within bounds: the bytes and the time of a request's head, and a refusal that can be read.

Whatever is wrong below the level of ASGI is answered here in one line; nothing of it is worth a line in the log.
Bodies and rates are the borders', which know which request they belong to.
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
"""How long a client that goes on sending such a body may take to read that it is refused."""
# What stands in a request line beside the method and the address, and the empty line after the headers.
_FRAME: Final = len("  HTTP/1.1\r\n\r\n")


_HOST: Final = re.compile(rb"(\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?")
_NO_HOST: Final = (400, "A request must have one Host header, which names a host and optionally a port.")
_STOPPING: Final = (503, "The server is stopping. Nothing was done; send the request again.")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`guards` are sent with refusals; within `patience` a client must take a step of what is written to it."""

    header_bytes: int
    header_time: timedelta
    guards: Headers = ()
    patience: timedelta = timedelta(seconds=30)


class _Refused(Exception):
    """Stops the parser; `_refusal` says why."""


class HttpConnection(HttpToolsProtocol):
    """One connection. Made by `limited`, which gives it its limits."""

    limits: ConnectionLimits

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        seconds = self.limits.header_time.total_seconds()
        self._seconds = seconds
        self._late = (408, f"The headers of a request must arrive within {seconds:,g} seconds.")
        self._large = (431, f"The headers of a request may have {self.limits.header_bytes:,} bytes.")
        self._refusal = self._malformed = (400, "This is no HTTP request.")
        self._deadline: asyncio.TimerHandle | None = None
        # Between requests and in the head of one; and whether it has begun.
        self._in_head = True
        self._begun = False
        self._head = 0
        # Bytes since the parser last came to anything: the end of a head or of a request, a chunk, a piece of a body.
        # A head that goes on and on, trailers, and the size of a chunk with all that may follow it are such bytes.
        self._fed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line = BoundedTransport(cast(asyncio.Transport, transport), self.limits.patience.total_seconds())
        super().connection_made(self._line)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.lost()
        self._head_came()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._drop_cycles()

    def shutdown(self) -> None:
        super().shutdown()
        if not self._answering():
            return
        if self.cycle.chunked_encoding:
            # The stream ends by itself, unless the client does not read.
            self.loop.call_later(STREAM_END_SECONDS, self._abort_stream)
        elif self._awaits_body():
            self.loop.call_later(BODY_END_SECONDS, self._refuse_body)

    def _abort_stream(self) -> None:
        if self._answering():
            self._line.abort()

    def _awaits_body(self) -> bool:
        """Whether the request that is served next has not arrived completely, so that nothing was done for it."""
        return not (self._in_head or self.pipeline or self.cycle.response_started)

    def _refuse_body(self) -> None:
        if self._answering() and self._awaits_body():
            self._refuse(*_STOPPING)
            self.loop.call_later(REFUSAL_SECONDS, self._line.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._line.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._line.unwatch()

    def data_received(self, data: bytes) -> None:
        if self._line.parting:
            return
        self._unset_keepalive_if_required()
        self._fed += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(*self._refusal)
            return
        if self._fed > self.limits.header_bytes:
            self._refuse(*self._large)
        elif self._deadline is None and self._in_head and (self._begun or self._fed):
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
        """Serves a request as if it had not offered another protocol: Java's client offers HTTP/2 each time.

        The parser believes that such a request has no body, so it is given once more without the offer.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(b"\r\n".join([*lines, b"", rest]))

    def handle_websocket_upgrade(self) -> None:
        if self._answering():
            # Sent before the answer to the request before it, which now cannot be told from the socket's frames.
            self._line.close()
        elif not self.url.isascii():
            self._refuse(*self._malformed)
        else:
            super().handle_websocket_upgrade()
            self._drop_cycles()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True
        self._head = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head it is a trailer: nobody reads them, and they must not look like headers.
        if self._in_head:
            super().on_header(name, value)
            self._grow(len(name) + len(value) + len(": \r\n"))

    def on_headers_complete(self) -> None:
        method = self.parser.get_method()
        self._grow(len(method) + _FRAME)
        self._check_host()
        if self.parser.should_upgrade() and not self._should_upgrade():
            if method == b"CONNECT":
                raise _Refused
            return
        self._in_head = False
        self._head_came()
        self._fed = 0
        self._line.coalesce()
        super().on_headers_complete()
        self._line.unread = True

    def _check_host(self) -> None:
        """Refuses a request that does not name one host (RFC 9112, 3.2). HTTP/1.0 may leave it out."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) == 1:
            if _is_host(hosts[0].strip(b" \t")):
                return
        elif not hosts and self.parser.get_http_version() == "1.0":
            return
        self._refusal = _NO_HOST
        raise _Refused

    def on_chunk_header(self) -> None:
        self._fed = 0

    def on_body(self, body: bytes) -> None:
        self._fed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and not self._should_upgrade():
            return
        self._in_head = True
        self._begun = False
        self._fed = 0
        self._line.unread = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            # The connection was lost before.
            return
        if not self._answering() and cycle.more_body:
            # Answered before its body was there: whether the rest ever comes is nobody's business any more.
            self._line.close()
        super().on_response_complete()

    def _grow(self, size: int) -> None:
        self._head += size
        if self._head > self.limits.header_bytes:
            self._refusal = self._large
            raise _Refused

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self._seconds, self._expire)

    def _head_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        if self.flow.read_paused:
            # It is we who do not read, as long as a request before this one is being answered.
            self._expect_head()
        elif self._begun or self._fed:
            self._refuse(*self._late)
        else:
            self._line.close()

    def _drop_cycles(self) -> None:
        """Lets this object be freed as soon as nobody needs it, and not only when the garbage collector comes."""
        self.parser = cast(httptools.HttpRequestParser, None)
        self.cycle = cast(RequestResponseCycle, None)

    def _answering(self) -> bool:
        # uvicorn says that there is always one.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: int, message: str) -> None:
        """Answers, unless an answer to another request is under way, and has done with the connection."""
        if not self._answering() or self._awaits_body():
            text = f"{message}\n".encode()
            headers = [
                *self.server_state.default_headers,
                *self.limits.guards,
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"%d" % len(text)),
                (b"connection", b"close"),
            ]
            lines = b"".join(b"%s: %s\r\n" % header for header in headers)
            self._line.write(STATUS_LINE[status] + lines + b"\r\n" + text)
        if self._answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._line.unread = True
        self._line.close()


@lru_cache(256)
def _is_host(value: bytes) -> bool:
    """Whether it is a host and optionally a port, as a URL writes them (RFC 3986, 3.2.2)."""
    found = _HOST.fullmatch(value)
    if found is None or found["v6"] is None:
        return found is not None
    try:
        ipaddress.IPv6Address(found["v6"].decode())
    except ValueError:
        return False
    return True


def limited(limits: ConnectionLimits) -> type[HttpConnection]:
    """The class of connections within these limits, as uvicorn takes it."""
    return type("LimitedHttpConnection", (HttpConnection,), {"limits": limits})
