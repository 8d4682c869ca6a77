"""Bodies, rates, origins, headers and mistakes of ours, as a stranger meets them on the product's own socket."""

import asyncio
import json
import logging
import re
import resource
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from command_center.database.connections import database
from command_center.server.app import create_app
from command_center.web.middleware import RequestLimitsMiddleware
from tests.support.raw_http import UPGRADE, RawResponse, open_raw_connection, open_raw_socket
from tests.support.server import Client, Server, serving, settings

pytestmark = pytest.mark.slow

BODY = 1_000_000
VIEWER = '{"query":"{viewer{id}}"}'
SUBPROTOCOL = websockets.Subprotocol("graphql-transport-ws")
APP = "https://app.example.com"


def post(client: Client, more: str = "", path: str = "/graphql") -> str:
    """The head of a POST, without an end."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(client.url).netloc}\r\nAuthorization: Bearer {client.token}\r\n"
        f"Content-Type: application/json\r\n{more}"
    )


def code(answer: RawResponse | httpx.Response) -> str:
    """What an error of /graphql is called."""
    content = answer.body if isinstance(answer, RawResponse) else answer.content
    found: str = json.loads(content)["errors"][0]["extensions"]["code"]
    return found


def long(size: int) -> str:
    """A query of exactly so many bytes."""
    return VIEWER[:-1] + ',"extensions":{"x":"' + "x" * (size - len(VIEWER) - 22) + '"}}'


async def test_a_body_of_the_allowed_bytes_is_read_and_one_more_is_not(sqlite_url: str) -> None:
    async with serving(sqlite_url, works=False, looks=False) as server:
        ann = await server.client("Ann")
        for size, status in ((BODY, 200), (BODY + 1, 413)):
            text = long(size)
            assert len(text) == size
            chunks = "".join(f"{len(part):x}\r\n{part}\r\n" for part in (text[:700_000], text[700_000:]))
            for head, body in (
                (f"Content-Length: {size}\r\n\r\n", text),
                ("Transfer-Encoding: chunked\r\n\r\n", f"{chunks}0\r\n\r\n"),
            ):
                async with open_raw_connection(server.url) as raw:
                    await raw.send(post(ann, head) + body)
                    answer = await raw.answer()
                    assert answer.status == status, answer
                    if status == 413:
                        assert code(answer) == "PAYLOAD_TOO_LARGE"
                        assert b"1,000,000 bytes" in answer.body
                        assert await raw.rest() == b""


async def test_a_length_may_have_any_number_of_zeros_before_it(sqlite_url: str) -> None:
    async with serving(sqlite_url, works=False, looks=False) as server:
        ann = await server.client("Ann")
        for number, body, status in (("2", "{}", 404), ("", "", 404), (BODY + 1, "", 413)):
            async with open_raw_connection(server.url) as raw:
                await raw.send(post(ann, f"Content-Length: {'0' * 5000}{number}\r\n\r\n", "/nowhere") + body)
                assert (await raw.answer()).status == status


async def test_a_declared_length_over_the_limit_is_refused_unread(sqlite_url: str) -> None:
    async with serving(sqlite_url, works=False, looks=False, BODY_BYTES="100") as server:
        for path in ("/graphql", "/t/u/x", "/nowhere", "/healthz"):
            for method in ("POST", "GET", "HEAD", "DELETE"):
                async with open_raw_connection(server.url) as raw:
                    await raw.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n")
                    assert (await raw.rest()).startswith(b"HTTP/1.1 413 ")


async def test_expect_100_continue_is_answered(sqlite_url: str) -> None:
    async with serving(sqlite_url, works=False, looks=False) as server:
        ann = await server.client("Ann")
        for size, first in ((BODY + 1, b"HTTP/1.1 413 "), (len(VIEWER), b"HTTP/1.1 100 ")):
            async with open_raw_connection(server.url) as raw:
                await raw.send(post(ann, f"Expect: 100-continue\r\nContent-Length: {size}\r\n\r\n"))
                assert (await raw.reader.readline()).startswith(first)


async def test_a_large_upload_can_read_why_it_was_refused(server: Server) -> None:
    ann = await server.client("Ann")
    for content in (b"x" * 20_000_000, _endless(b"x" * 65536, 300)):
        answer = await ann.http.post(f"{ann.url}/graphql", content=content)
        assert (answer.status_code, code(answer)) == (413, "PAYLOAD_TOO_LARGE")
    assert await ann("{viewer{id}}")


async def _endless(part: bytes, times: int) -> AsyncIterator[bytes]:
    for _ in range(times):
        yield part


async def test_a_slow_body_times_out_on_every_route(sqlite_url: str) -> None:
    async with serving(sqlite_url, works=False, looks=False, BODY_TIME="PT1S") as server:
        ann = await server.client("Ann")
        for path in ("/graphql", "/t/u/x", "/nowhere"):
            async with open_raw_connection(server.url) as raw:
                await raw.send(post(ann, "Content-Length: 1000\r\n\r\n", path))
                dribbling = asyncio.create_task(raw.dribble())
                answer = await raw.answer()
                assert answer.status == 408
                assert b"1 seconds" in answer.body
                assert path != "/graphql" or code(answer) == "REQUEST_TIMEOUT"
                assert await raw.rest() == b""
                await dribbling


@pytest.mark.parametrize("coding", ["gzip", "identity, br", "x"])
async def test_a_packed_body_is_refused_and_a_plain_one_is_not(sqlite_url: str, coding: str) -> None:
    async with serving(sqlite_url, works=False, looks=False) as server:
        ann = await server.client("Ann")
        headers = {"Authorization": f"Bearer {ann.token}", "Content-Type": "application/json"}
        for given, status in ((coding, 415), ("identity", 200)):
            answer = await ann.http.post(
                f"{ann.url}/graphql", content=VIEWER, headers={**headers, "Content-Encoding": given}
            )
            assert answer.status_code == status
            assert status == 200 or code(answer) == "UNSUPPORTED_MEDIA_TYPE"


async def test_a_client_lost_within_its_body_changes_nothing(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(sqlite_url, works=False, looks=False) as server:
        ann = await server.client("Ann")
        async with open_raw_connection(server.url) as raw:
            await raw.send(post(ann, "Content-Length: 1000\r\n\r\n") + VIEWER)
        await ann("{viewer{id}}")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_route_notices_a_client_lost_after_its_body() -> None:
    heard = asyncio.Event()

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.request", "body": b"abc", "more_body": False}
        assert (await receive())["type"] == "http.disconnect"
        heard.set()

    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": part != b"c"} for part in (b"ab", b"c")
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    async def send(_: object) -> None:
        raise AssertionError

    scope = {"type": "http", "path": "/", "client": None, "headers": [(b"content-length", b"3")]}
    await RequestLimitsMiddleware(route, settings("sqlite://").edge_limits())(scope, receive, send)
    assert heard.is_set()


async def test_requests_of_an_address_are_limited_with_retry_after(sqlite_url: str) -> None:
    async with serving(sqlite_url, works=False, looks=False, ADDRESS_REQUESTS="5") as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            for _ in range(5):
                assert (await http.get("/nowhere")).status_code == 404
            answer = await http.post("/graphql", content=VIEWER)
            assert (answer.status_code, code(answer)) == (429, "RATE_LIMITED")
            assert "5 requests a minute" in answer.text
            assert 1 <= int(answer.headers["retry-after"]) <= 12
            assert (await http.get("/nowhere")).status_code == 429
            for path, status in (("/healthz", 200), ("/readyz", 200), ("/t/o/x.gif", 200), ("/t/c/x", 404)):
                assert (await http.get(path)).status_code == status
            # Who comes through a proxy of ours is told apart from its other clients.
            assert (await http.get("/nowhere", headers={"X-Forwarded-For": "192.0.2.1"})).status_code == 404
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(server.url.replace("http", "ws") + "/graphql", subprotocols=[SUBPROTOCOL])
        assert refused.value.response.status_code == 429
        assert "Retry-After" in refused.value.response.headers
        assert b"RATE_LIMITED" in refused.value.response.body


async def test_a_socket_that_is_refused_is_no_error_in_the_log(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(sqlite_url, works=False, looks=False) as server:
        logging.getLogger("uvicorn.error").addHandler(caplog.handler)
        try:
            async with open_raw_connection(server.url) as raw:
                await raw.send(handshake(server.url, "https://evil.example"))
                assert code(await raw.answer()) == "FORBIDDEN_ORIGIN"
        finally:
            logging.getLogger("uvicorn.error").removeHandler(caplog.handler)
    assert caplog.records == []


async def test_addresses_of_one_ipv6_network_are_one(sqlite_url: str) -> None:
    async with serving(sqlite_url, works=False, looks=False, ADDRESS_REQUESTS="1") as server:

        async def ask(address: str) -> int:
            async with httpx.AsyncClient() as http:
                return (await http.get(f"{server.url}/nowhere", headers={"X-Forwarded-For": address})).status_code

        assert [await ask(f"2001:db8:0:1::{host:x}") for host in (1, 2)] == [404, 429]
        assert await ask("2001:db8:0:1:ffff::") == 429
        assert await ask("2001:db8:0:2::1") == 404
        assert [await ask(address) for address in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2")] == [404, 429, 404]
        assert [await ask("no: address"), await ask("x" * 200)] == [404, 404]


async def open_to_all(websocket: WebSocket) -> None:
    await websocket.accept()


def handshake(url: str, *origins: str, host: str = "") -> str:
    lines = "".join(f"Origin: {origin}\r\n" for origin in origins)
    return f"GET /graphql HTTP/1.1\r\nHost: {host or urlsplit(url).netloc}\r\n{lines}{UPGRADE}\r\n"


async def test_sockets_are_for_allowed_origins_and_non_browsers(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    serve_first(monkeypatch, WebSocketRoute("/graphql", open_to_all))
    base = "https://mail.example.com"
    async with serving(sqlite_url, works=False, looks=False, ALLOWED_ORIGINS=APP, BASE_URL=base) as server:

        async def opened(*origins: str, host: str = "") -> int:
            async with open_raw_connection(server.url) as raw:
                await raw.send(handshake(server.url, *origins, host=host))
                answer = await raw.answer()
                assert answer.status == 101 or code(answer) == "FORBIDDEN_ORIGIN"
                return answer.status

        mine = urlsplit(server.url).netloc
        for fine in ([], [server.url], [f"https://{mine}"], [base], [APP], [APP.upper()], [f"{base}:443"]):
            assert await opened(*fine) == 101, fine
        assert await opened("https://crm.example.org", host="crm.example.org:443") == 101
        for foreign in (
            ["null"],
            ["https://evil.example"],
            [f"{APP}.evil.example"],
            ["http://app.example.com"],
            [f"{APP}:8443"],
            [f"chrome-extension://{mine}"],
            ["http://127.0.0.1"],
            ["https://"],
            [""],
        ):
            assert await opened(*foreign) == 403, foreign
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


def allows(answer: httpx.Response) -> str | None:
    found: str | None = answer.headers.get("access-control-allow-origin")
    return found


async def test_only_pages_of_allowed_origins_can_read_responses(sqlite_url: str) -> None:
    async with serving(sqlite_url, works=False, looks=False, ALLOWED_ORIGINS=APP, BODY_BYTES="100") as server:
        ann = await server.client("Ann")
        signed = {"Authorization": f"Bearer {ann.token}", "Content-Type": "application/json"}
        async with httpx.AsyncClient(base_url=server.url) as http:
            asked = await http.options("/graphql", headers={"Origin": APP, **PREFLIGHT})
            assert (asked.status_code, allows(asked)) == (200, APP)
            assert asked.headers["access-control-allow-credentials"] == "true"
            assert "Idempotency-Key" in asked.headers["access-control-allow-headers"]
            for content, status in ((VIEWER, 200), ("x" * 101, 413)):
                answer = await http.post("/graphql", content=content, headers={"Origin": APP, **signed})
                assert (answer.status_code, allows(answer)) == (status, APP)
                assert answer.headers["access-control-expose-headers"] == "Retry-After, Idempotency-Replayed"
                answer = await http.post("/graphql", content=content, headers={"Origin": "https://evil.example"})
                assert allows(answer) is None
            assert allows(await http.options("/graphql", headers={"Origin": "null", **PREFLIGHT})) is None
            assert allows(await http.get("/healthz", headers={"Origin": APP})) is None


def _preflight(*headers: str) -> dict[str, str]:
    return {"Origin": APP, **PREFLIGHT, "Access-Control-Request-Headers": ",".join(headers)}


async def test_pages_may_send_the_headers_that_the_settings_allow(sqlite_url: str) -> None:
    needed = ("authorization", "content-type", "accept")
    usual = (
        *("traceparent", "tracestate", "baggage", "sentry-trace", "X-Request-ID", "Idempotency-Key", "last-event-id"),
        *("apollographql-client-name", "apollographql-client-version", "graphql-client-name", "graphql-client-version"),
        "Apollo-Require-Preflight",
    )
    for given, allowed, others in (
        ({}, (*needed, *usual), ("x-other",)),
        ({"ALLOWED_HEADERS": "X-Other"}, (*needed, "x-other"), usual),
    ):
        async with (
            serving(sqlite_url, None, False, False, ALLOWED_ORIGINS=APP, **given) as server,
            httpx.AsyncClient(base_url=server.url) as http,
        ):
            assert (await http.options("/graphql", headers=_preflight(*allowed))).status_code == 200
            for other in others:
                assert (await http.options("/graphql", headers=_preflight(*needed, other))).status_code == 400, other


async def test_no_origin_is_allowed_unless_the_settings_name_it(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        for answer in (
            await http.options("/graphql", headers={"Origin": APP, **PREFLIGHT}),
            await http.post("/graphql", content=VIEWER, headers={"Origin": APP}),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control")]


ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


async def test_every_response_has_each_security_header_once(sqlite_url: str) -> None:
    async with serving(sqlite_url, works=False, looks=False, BASE_URL="https://mail.example.com") as server:
        page = {"Accept": "text/html"}
        for method, path, headers in (
            ("GET", "/graphql", {}),
            ("POST", "/graphql", {}),
            ("GET", "/graphql", page),
            ("GET", "/graphiql", {}),
            ("GET", "/graphiql/x/none.js", {}),
            ("GET", "/healthz", {}),
            ("GET", "/nowhere", {}),
            ("PUT", "/healthz", {}),
            ("GET", "/healthz/", {}),
            ("GET", "/t/o/x.gif", {}),
            ("GET", "/t/c/x", {}),
            ("POST", "/t/u/x", {}),
            ("POST", "/graphql", {"Content-Encoding": "gzip"}),
        ):
            answer = await ask(server, method, path, headers)
            for name, value in {**ALWAYS, "strict-transport-security": "max-age=31536000"}.items():
                assert answer.headers[name] == value, (path, name)
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            # Webmail shows the pixel on its own page.
            reach = "cross-origin" if path.startswith("/t/") else "same-origin"
            assert answer.headers["cross-origin-resource-policy"] == reach
            assert path != "/graphql" or answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers
            assert "x" not in path or "/x" not in answer.body.decode("latin-1")
        async with open_raw_connection(server.url) as raw:
            await raw.send("nonsense\r\n\r\n")
            assert ALWAYS.items() <= (await raw.answer()).headers.items()


async def ask(server: Server, method: str, path: str, headers: Mapping[str, str]) -> RawResponse:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    async with open_raw_connection(server.url) as raw:
        await raw.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 2\r\n\r\n{{}}")
        return await raw.answer()


async def test_without_tls_no_header_claims_tls(server: Server) -> None:
    assert "strict-transport-security" not in (await ask(server, "GET", "/healthz", {})).headers


def serve_first(monkeypatch: pytest.MonkeyPatch, *routes: BaseRoute) -> None:
    """Puts routes of the test before those of the product."""

    def made(*given: Any) -> Starlette:
        app = create_app(*given)
        app.router.routes[:0] = routes
        return app

    monkeypatch.setattr("tests.support.server.create_app", made)


async def broken(_: Request) -> Response:
    raise ValueError("the inside of it")


async def broken_socket(websocket: WebSocket) -> None:
    if not websocket.url.query:
        await websocket.accept()
    raise ValueError("the inside of it")


def reference(text: str) -> str:
    found = re.search(r"reference ([0-9a-f]{12})", text)
    assert found is not None, text
    return found[1]


async def test_an_internal_error_has_a_reference_and_is_logged_once(
    sqlite_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_ones = Route("/broken", broken), Route("/graphql", broken, methods=["DELETE"])
    serve_first(monkeypatch, *broken_ones, WebSocketRoute("/broken", broken_socket))
    async with serving(sqlite_url, works=False, looks=False) as server:
        answers = [await ask(server, "GET", "/broken", {}), await ask(server, "DELETE", "/graphql", {})]
        assert [answer.status for answer in answers] == [500, 500]
        assert code(answers[1]) == "INTERNAL"
        told = [reference(answer.body.decode()) for answer in answers]
        address = server.url.replace("http", "ws") + "/broken"
        async with websockets.connect(address) as opened:
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await opened.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1011
            told.append(reference(closed.value.rcvd.reason))
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"{address}?early")
        assert refused.value.response.status_code == 500
        told.append(reference((refused.value.response.body or b"").decode()))
        assert not [answer for answer in answers if b"inside" in answer.body or b"Trace" in answer.body]
    logged = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [reference(record.getMessage()) for record in logged] == told
    assert all(record.exc_info for record in logged)


async def test_a_path_that_leads_nowhere_is_not_repeated(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        for path, status in (("/<script>alert(1)</script>", 404), ("/healthz", 405)):
            answer = await http.request("DELETE", path)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
            assert len(answer.text) < 30
            assert "script" not in answer.text


HEADS, BODIES, SOCKETS = 300, 200, 300


@pytest.fixture
def _many_files() -> Iterator[None]:
    """Room for both ends of all those connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_files")
async def test_many_slow_senders_are_cut_and_other_clients_are_served(sqlite_url: str) -> None:
    times = ("PT2S", "PT3S", "PT2S")
    more = dict(zip(("HEADER_TIME", "BODY_TIME", "SOCKET_INIT_TIME"), times, strict=True))
    async with serving(sqlite_url, None, False, False, **more) as server:
        ann = await server.client("Ann")
        starts = (
            *["GET /graphql HTTP/1.1\r\nHost: x\r\nX: "] * HEADS,
            *[post(ann, "Content-Length: 1000\r\n\r\n")] * BODIES,
            *[handshake(server.url)[:-4]] * SOCKETS,
        )
        cut = [asyncio.create_task(send_slowly(server.url, start)) for start in starts]
        cut += [asyncio.create_task(say_nothing(server.url)) for _ in range(SOCKETS)]
        answers = 0
        while not all(task.done() for task in cut):
            assert await ann("{viewer{id}}")
            answers += 1
            await asyncio.sleep(0.01)
        statuses = [task.result() for task in cut]
        assert statuses == [408] * len(starts) + [4408] * SOCKETS
        assert answers > 10
        assert await database().fetch_one("SELECT 1 AS one") == {"one": 1}


async def say_nothing(url: str) -> int:
    async with open_raw_socket(url) as raw:
        return await raw.close_code()


async def send_slowly(url: str, start: str) -> int:
    async with open_raw_connection(url) as raw:
        await raw.send(start)
        dribbling = asyncio.create_task(raw.dribble(0.2))
        answer = await raw.answer()
        assert await raw.rest() == b""
        await dribbling
        return answer.status
