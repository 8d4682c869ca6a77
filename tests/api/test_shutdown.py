"""A server that stops: what does not end by itself is given up, and none of it is logged as an error of ours."""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from command_center.api.streaming import StreamedResponse
from command_center.server.serving import bind_socket, create_server
from command_center.web.middleware import RequestLimitsMiddleware
from command_center.web.negotiation import Form
from command_center.web.shutdown import Shutdown
from tests.support.raw_http import open_raw_connection
from tests.support.server import serving, settings

END = 4.0
"""Seconds that stopping may take."""


async def _endless() -> AsyncGenerator[bytes, None]:
    while True:
        yield b"x" * 100_000
        await asyncio.sleep(0)


async def _stuck(_: Request) -> Response:
    """A request that does not end within the grace period."""
    await asyncio.sleep(60)
    return Response()


async def test_stalled_clients_and_endless_requests_are_closed_quietly(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    given = settings(f"sqlite:///{tmp_path / 'x.db'}")
    stopping = Shutdown()
    routes = [
        Route("/endless", StreamedResponse(Form.EVENTS, _endless(), math.inf, stopping)),
        Route("/stuck", _stuck),
    ]
    app = Starlette(
        routes=routes, middleware=[Middleware(RequestLimitsMiddleware, given.edge_limits(), shutdown=stopping)]
    )
    app.state.shutdown = stopping
    listener = bind_socket("127.0.0.1", 0)
    running = create_server(app, given)
    running.config.timeout_graceful_shutdown = 1
    serving = asyncio.create_task(running.serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    while not running.started:
        await asyncio.sleep(0.005)
    async with open_raw_connection(url) as unread, open_raw_connection(url) as stuck:
        for raw, path in ((unread, "/endless"), (stuck, "/stuck")):
            await raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
        # The client's side stops reading by itself once its buffer is full; then the server has to wait.
        await asyncio.sleep(0.3)
        running.should_exit = True
        async with asyncio.timeout(END):
            await serving
    # Only the request is left by then: the stream's connection was aborted before.
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == [
        "Cancel 1 running task(s), timeout graceful shutdown exceeded"
    ]


@pytest.mark.slow
async def test_a_request_without_its_body_is_refused_at_shutdown(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    bodies = ["Content-Length: 9\r\n\r\nab", "Transfer-Encoding: chunked\r\n\r\n5\r\nab", "Content-Length: 9\r\n\r\n"]
    async with AsyncExitStack() as stack:
        async with serving(f"sqlite:///{tmp_path / 'x.db'}") as made:
            raws = [await stack.enter_async_context(open_raw_connection(made.url)) for _ in bodies]
            for raw, body in zip(raws, bodies, strict=True):
                await raw.send(f"POST /graphql HTTP/1.1\r\nHost: x\r\n{body}")
            # The server has read them once it answers another client.
            async with open_raw_connection(made.url) as other:
                await other.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await other.answer()).status == 200
        for raw in raws:
            answer = await raw.answer()
            assert (answer.status, answer.headers["connection"]) == (503, "close")
            assert answer.body.startswith(b"The server is stopping.")
    assert "graceful shutdown exceeded" not in caplog.text


async def test_a_stream_that_begins_during_shutdown_ends_at_once() -> None:
    stopping = Shutdown()
    stopping.start()
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(END):
        await StreamedResponse(Form.PARTS, _endless(), math.inf, stopping)({"type": "http"}, receive, send)
    assert sent[0]["status"] == 200
    assert b"".join(each["body"] for each in sent[1:]).endswith(b"\r\n--graphql--\r\n")
    assert not sent[-1]["more_body"]
