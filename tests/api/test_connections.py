"""Heads that never end, requests that are none, frames that break the protocol, and clients that take nothing."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from command_center.server.serving import bind_socket
from command_center.web import http_protocol
from command_center.web.http_protocol import ConnectionLimits
from command_center.web.websocket_protocol import MAX_FRAGMENTS, SocketConnection
from tests.support.raw_http import UPGRADE, RawConnection, open_raw_connection, open_raw_socket
from tests.support.server import serving

pytestmark = pytest.mark.slow

GUARDS = ((b"x-content-type-options", b"nosniff"),)
LIMITS = ConnectionLimits(2000, timedelta(seconds=0.4), GUARDS, timedelta(seconds=0.4))
FRAME = 1000
LARGE = 30_000_000
EVER = 0.02


async def told(request: Request) -> Response:
    """What arrived."""
    try:
        body = await request.body()
    except ClientDisconnect:
        return Response()
    return JSONResponse({"body": body.decode(), "trailer": request.headers.get("x-trailer")})


async def large(_: Request) -> Response:
    return PlainTextResponse(b"x" * LARGE)


async def refused(_: Request) -> Response:
    """Answers before the body is there."""
    return PlainTextResponse("no", status_code=403)


async def slow(_: Request) -> Response:
    await asyncio.sleep(1)
    return PlainTextResponse("slow")


async def echo(websocket: WebSocket) -> None:
    await asyncio.sleep(0.1 if websocket.url.query else 0)
    await websocket.accept("graphql-transport-ws")
    # As the borders do: who is gone is no mistake.
    with contextlib.suppress(WebSocketDisconnect):
        async for text in websocket.iter_text():
            await asyncio.sleep(0.2 if text == "slowly" else 0)
            await websocket.send_text(text * 100)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Connections within small limits, and a few routes behind them."""
    async with standing() as found:
        yield found


@asynccontextmanager
async def standing() -> AsyncIterator[str]:
    routes = [
        Route("/", told, methods=["GET", "POST"]),
        Route("/large", large),
        Route("/refused", refused, methods=["POST"]),
        Route("/slow", slow),
        WebSocketRoute("/graphql", echo),
    ]
    listener = bind_socket("127.0.0.1", 0)
    config = uvicorn.Config(
        Starlette(routes=routes),
        log_level="warning",
        access_log=False,
        http=http_protocol.connection_class(LIMITS),
        ws=SocketConnection,
        ws_max_size=FRAME,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await task
    listener.close()


def head(size: int) -> str:
    """A request whose head has exactly so many bytes."""
    start = "GET / HTTP/1.1\r\nHost: x\r\nX-Long: "
    return start + "x" * (size - len(start) - 4) + "\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 7])
async def test_request_heads_are_limited_to_the_allowed_bytes(url: str, pieces: int) -> None:
    for size, status in ((LIMITS.header_bytes, 200), (LIMITS.header_bytes + 1, 431)):
        async with open_raw_connection(url) as raw:
            text = head(size)
            step = len(text) // pieces
            for start in range(0, len(text), step):
                await raw.send(text[start : start + step])
                await asyncio.sleep(EVER)
            answer = await raw.answer()
            assert answer.status == status
            if status == 431:
                assert b"2,000 bytes" in answer.body
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert await raw.rest() == b""


@pytest.mark.parametrize("endless", ["GET /" + "x" * 3000, "GET / HTTP/1.1\r\nX: " + "x" * 3000, "x: y\r\n" * 500])
async def test_a_head_without_end_is_refused_at_its_limit(url: str, endless: str) -> None:
    async with open_raw_connection(url) as raw:
        start = "" if endless.startswith("GET") else "GET / HTTP/1.1\r\n"
        await raw.send(start + endless)
        await asyncio.sleep(EVER)
        await raw.send("x")
        assert (await raw.answer()).status == 431
        assert await raw.rest() == b""


@pytest.mark.parametrize(
    "start", ["G", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", f"GET /graphql HTTP/1.1\r\n{UPGRADE}X: "]
)
async def test_a_slow_request_head_times_out(url: str, start: str) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send(start)
        began = asyncio.get_running_loop().time()
        # A letter that a method, a header and its value may begin or go on with.
        dribbling = asyncio.create_task(raw.dribble(byte=b"E" if start == "G" else b"x"))
        answer = await raw.answer()
        assert answer.status in ((400,) if start == "G" else (408,))
        assert start == "G" or b"0.4 seconds" in answer.body
        assert await raw.rest() == b""
        assert asyncio.get_running_loop().time() - began < 5
        await dribbling


@pytest.mark.parametrize(
    "version, hosts, allowed",
    [
        ("1.1", ["x"], True),
        ("1.1", ["app.example.com:8000"], True),
        ("1.1", ["[::1]:8000"], True),
        ("1.1", [""], True),
        ("1.1", [" \tx\t "], True),
        ("1.1", ["%C3%A4.example"], True),
        ("1.0", ["x"], True),
        ("1.0", [], True),
        ("1.1", [], False),
        ("1.1", ["x", "x"], False),
        ("1.1", ["x", "y"], False),
        ("1.0", ["x", "y"], False),
        ("1.1", ["x, y"], False),
        ("1.1", ["x/graphql"], False),
        ("1.1", ["user@x"], False),
        ("1.1", ["x:port"], False),
        ("1.1", ["%zz"], False),
        ("1.1", ["[:::::]"], False),
        ("1.1", ["x\\y"], False),
    ],
)
async def test_a_request_names_one_host(url: str, version: str, hosts: list[str], allowed: bool) -> None:
    lines = "".join(f"Host: {each}\r\n" for each in hosts)
    for start, served in ((f"GET / HTTP/{version}\r\n", 200), (f"GET /graphql HTTP/{version}\r\n{UPGRADE}", 101)):
        if version == "1.0" and served == 101:
            continue
        async with open_raw_connection(url) as raw:
            await raw.send(f"{start}{lines}\r\n")
            answer = await raw.answer()
            assert answer.status == (served if allowed else 400)
            if not allowed:
                assert b"one Host header" in answer.body
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert await raw.rest() == b""


async def test_a_second_request_of_a_connection_needs_its_host_too(url: str) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await raw.answer()).status == 200
        await raw.send("GET / HTTP/1.1\r\n\r\n")
        assert (await raw.answer()).status == 400


async def test_a_silent_connection_is_closed_without_a_response(url: str) -> None:
    async with open_raw_connection(url) as raw:
        assert await raw.rest() == b""


async def test_connection_may_idle_between_requests_but_not_within_one(url: str) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await raw.answer()).status == 200
        await asyncio.sleep(LIMITS.header_time.total_seconds() * 2)
        await raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await raw.answer()).status == 200
        await raw.send("GET / HT")
        assert (await raw.answer()).status == 408
        assert await raw.rest() == b""


async def test_empty_lines_between_requests_do_not_keep_a_connection(url: str) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await raw.answer()).status == 200
        dribbling = asyncio.create_task(raw.dribble(byte=b"\r\n"))
        assert (await raw.answer()).status == 408
        await dribbling


async def test_a_request_behind_a_slow_one_is_not_late(url: str) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        assert [(await raw.answer()).status for _ in range(2)] == [200, 200]
        await raw.send("TP/1.1\r\nHost: x\r\n\r\n")
        assert (await raw.answer()).status == 200


async def test_a_slow_second_head_does_not_corrupt_the_first_response(url: str) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        assert await raw.rest() == b""


async def test_trailers_are_bounded_and_never_look_like_headers(url: str) -> None:
    chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    async with open_raw_connection(url) as raw:
        await raw.send(f"{chunked}X-Trailer: yes\r\n\r\n")
        assert (await raw.answer()).body == b'{"body":"abc","trailer":null}'
        await raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await raw.answer()).body == b'{"body":"","trailer":null}'
        await raw.send(chunked)
        await asyncio.sleep(EVER)
        for _ in range(30):
            await raw.send("X-Trailer: " + "x" * 100 + "\r\n")
            await asyncio.sleep(0.001)
        assert (await raw.answer()).status == 431
        assert await raw.rest() == b""


async def test_chunk_extensions_are_limited(url: str) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;")
        for _ in range(30):
            await raw.send("x" * 100)
            await asyncio.sleep(0.001)
        assert (await raw.answer()).status == 431
        assert await raw.rest() == b""


MALFORMED = (
    "\x16\x03\x01\x02\x00\x01\x00",
    "hello\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "GET  HTTP/1.1\r\n\r\n",
    "GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    f"GET /\xff HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n",
    "GET ?x HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    f"GET /graphql HTTP/1.1\r\nHost: x\r\n{UPGRADE.replace('AAA==', '')}\r\n",
)


@pytest.mark.parametrize("text", MALFORMED)
async def test_malformed_requests_get_400_and_are_not_logged(
    url: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with open_raw_connection(url) as raw:
            await raw.send(text.encode("latin-1"))
            assert (await raw.answer()).status == 400
            assert await raw.rest() == b""
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_an_unknown_upgrade_is_ignored_and_its_body_is_read(url: str) -> None:
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    async with open_raw_connection(url) as raw:
        for _ in range(2):
            await raw.send(f"POST / HTTP/1.1\r\nHost: x\r\n{offer}Content-Length: 3\r\n\r\nab")
            await asyncio.sleep(EVER)
            await raw.send("c")
            answer = await raw.answer()
            assert (answer.status, answer.body) == (200, b'{"body":"abc","trailer":null}')


@pytest.mark.parametrize("length", ["Content-Length: 50000000", "Transfer-Encoding: chunked"])
async def test_an_early_response_drains_the_body_and_then_disconnects(url: str, length: str) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send(f"POST /refused HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n")
        pushing = asyncio.create_task(raw.dribble(0.0, b"8000\r\n" + b"x" * 32768 + b"\r\n"))
        assert (await raw.answer()).status == 403
        assert await raw.rest() == b""
        async with asyncio.timeout(10):
            await pushing


async def test_client_that_reads_nothing_is_closed_but_not_a_slow_one(url: str) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(LIMITS.write_timeout.total_seconds() * 3)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await raw.reader.readexactly(LARGE)
    async with open_raw_connection(url) as raw:
        await raw.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        taken = 0
        while part := await raw.reader.read(500_000):
            taken += len(part)
            await asyncio.sleep(0.01)
        assert taken > LARGE


async def test_a_socket_that_reads_nothing_is_closed(url: str) -> None:
    async with open_raw_socket(url) as raw:
        # Each answer is a hundred times as long, and there is room in the system for some of them.
        for _ in range(500):
            await raw.frame(1, b"x" * FRAME)
        await asyncio.sleep(LIMITS.write_timeout.total_seconds() * 3)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await raw.reader.readexactly(100 * FRAME * 500)


async def test_a_message_over_the_allowed_bytes_closes_with_1009(url: str) -> None:
    async with open_raw_socket(url) as raw:
        await raw.frame(1, b"x" * FRAME)
        assert await raw.reader.readexactly(4 + 6) is not None
    for parts in ([FRAME + 1], [FRAME, 1], [3_000_000], [600, 600]):
        async with open_raw_socket(url) as raw:
            for place, size in enumerate(parts):
                await raw.frame(0 if place else 1, b"x" * size, fin=place == len(parts) - 1)
            assert await raw.close_code() == 1009


async def test_a_message_in_endlessly_many_pieces_closes_with_1009(url: str) -> None:
    async with open_raw_socket(url) as raw:
        await raw.frame(1, b"", fin=False)
        for _ in range(MAX_FRAGMENTS):
            await raw.frame(0, b"", fin=False)
        assert await raw.close_code() == 1009


async def breach(raw: RawConnection, kind: str) -> None:
    match kind:
        case "no such opcode":
            await raw.frame(3)
        case "not masked":
            await raw.frame(1, b"{}", masked=False)
        case "reserved bit":
            await raw.frame(0x41, b"{}")
        case "goes on with nothing":
            await raw.frame(0, b"x")
        case "two at once":
            await raw.frame(1, b"x", fin=False)
            await raw.frame(1, b"x")
        case "ping in pieces":
            await raw.frame(9, b"x", fin=False)
        case "long ping":
            await raw.frame(9, b"x" * 126)
        case "close of one byte":
            await raw.frame(8, b"x")
        case "close with no such code":
            await raw.frame(8, b"\x00\x01")
        case "text that is no UTF-8":
            await raw.frame(1, b"\xff")
        case "text in pieces that is no UTF-8":
            await raw.frame(1, b"\xc3", fin=False)
            await raw.frame(0, b"x")
        case "reason that is no UTF-8":
            await raw.frame(8, b"\x03\xe8\xff")


BREACHES = {
    1002: (
        "no such opcode",
        "not masked",
        "reserved bit",
        "goes on with nothing",
        "two at once",
        "ping in pieces",
        "long ping",
        "close of one byte",
        "close with no such code",
    ),
    1007: ("text that is no UTF-8", "text in pieces that is no UTF-8", "reason that is no UTF-8"),
}


@pytest.mark.parametrize("code, kind", [(code, kind) for code, kinds in BREACHES.items() for kind in kinds])
async def test_a_protocol_error_closes_with_its_code_and_logs_nothing(
    url: str, code: int, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_raw_socket(url) as raw:
        await breach(raw, kind)
        assert await raw.close_code() == code
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_response_after_a_protocol_error_logs_nothing(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_raw_socket(url) as raw:
        await raw.frame(1, b"slowly")
        await asyncio.sleep(EVER)
        await raw.frame(3)
        assert await raw.close_code() == 1002
        await asyncio.sleep(0.4)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_protocol_errors_before_the_handshake_leave_no_trace(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send(f"GET /graphql?late HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n")
        await asyncio.sleep(EVER)
        await raw.send(b"\xff" * 100)
        await raw.rest()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("more", ["X-Long: " + "x" * 9000 + "\r\n", "x: y\r\n" * 130])
async def test_a_handshake_that_websockets_cannot_read_is_answered(sqlite_url: str, more: str) -> None:
    async with serving(sqlite_url, works=False, looks=False) as server, open_raw_connection(server.url) as raw:
        await raw.send(f"GET /graphql HTTP/1.1\r\nHost: x\r\n{UPGRADE}{more}\r\n")
        assert (await raw.answer()).status == 431
        assert await raw.rest() == b""


async def test_pings_are_answered_and_many_use_little_memory(url: str) -> None:
    async with open_raw_socket(url) as raw:
        await raw.frame(9, b"still there?")
        assert await raw.reader.readexactly(2 + 12) == b"\x8a\x0cstill there?"


async def test_unknown_upgrade_behind_a_request_closes_the_connection(url: str) -> None:
    async with open_raw_connection(url) as raw:
        await raw.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await raw.send(f"GET /graphql HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n{UPGRADE}\r\n")
        assert await raw.rest() == b""
