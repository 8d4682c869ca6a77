"""gzip for clients that accept it: what is compressed, what is not, and that the bytes are the same."""

import asyncio
import gzip
import json
from typing import Any

import httpx
import pytest

from command_center.web.compression import MIN_BYTES, THREAD_MIN_BYTES, accepts_gzip, is_compressible
from tests.support.http_streams import MULTIPART_TYPE
from tests.support.raw_http import RawResponse, open_raw_connection
from tests.support.server import PATIENCE, Client, Server

SMALL = "{viewer{id}}"
LARGE = "{" + "".join(f"a{number}:groups(first:200){{nodes{{id name}}}}" for number in range(8)) + "}"
MAKE = "mutation{" + "".join(f'a{number}:groupCreate(name:"{number}"){{group{{id}}}}' for number in range(20)) + "}"
LISTS = "subscription{allSavedSearchChanges{__typename}}"


async def ask(client: Client, query: str, method: str = "POST", **headers: str) -> RawResponse:
    """A response as it is on the wire."""
    body = json.dumps({"query": query}) if method == "POST" else ""
    path = "/graphql" if method == "POST" else str(httpx.URL("/graphql", params={"query": query}))
    given = {"Host": "x", "Authorization": f"Bearer {client.token}", "Content-Type": "application/json", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    async with open_raw_connection(client.url) as raw:
        await raw.send(f"{method} {path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}")
        if method == "HEAD":
            head = (await raw.reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")[1:]
            return RawResponse(
                200, {name.lower(): value for name, value in (line.split(": ", 1) for line in head)}, b""
            )
        return await raw.answer()


@pytest.mark.slow
async def test_large_responses_are_compressed_if_the_client_accepts_it(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    for _ in range(10):
        await ann(MAKE)
    plain = await ask(ann, LARGE)
    assert len(plain.body) > THREAD_MIN_BYTES
    for accept in ("gzip", "gzip, deflate, br", "*", "br;q=1.0, gzip;q=0.8, *;q=0.1", "GZIP", "identity;q=0.5, gzip"):
        for method in ("POST", "GET"):
            answer = await ask(ann, LARGE, method, Accept_Encoding=accept)
            assert answer.headers["content-encoding"] == "gzip", accept
            assert len(answer.body) < len(plain.body) / 3
            assert json.loads(gzip.decompress(answer.body))["data"] == json.loads(plain.body)["data"]
            assert answer.headers["vary"] == "Accept-Encoding"
    got, head = [await ask(ann, LARGE, method, Accept_Encoding="gzip") for method in ("GET", "HEAD")]
    for name in ("content-encoding", "content-length", "vary", "content-type"):
        assert head.headers[name] == got.headers[name]
    for accept in (
        "",
        "gzip;q=0",
        "identity",
        "br",
        "gzip;q=0.000",
        "*;q=0",
        "gzip;q=x",
        "gzip;q=0, *",
        "gzip;q=0.5, identity",
    ):
        answer = await ask(ann, LARGE, Accept_Encoding=accept)
        assert "content-encoding" not in answer.headers, accept
        assert json.loads(answer.body)["data"] == json.loads(plain.body)["data"]
        # A cache must not give it to a client that would have had another.
        assert answer.headers["vary"] == "Accept-Encoding"


async def test_small_responses_and_errors_keep_their_bytes(sqlite_server: Server) -> None:
    ann = await sqlite_server.client("Ann")
    for query in (SMALL, "{nothing}"):
        answer = await ask(ann, query, Accept_Encoding="gzip")
        assert not answer.headers.keys() & {"content-encoding", "vary"}
        assert json.loads(answer.body)
    refused = await ask(ann, "{" + " ".join(f"nothing{number}" for number in range(20)) + "}", Accept_Encoding="gzip")
    assert json.loads(gzip.decompress(refused.body))["errors"]


async def test_metrics_are_compressed_too(sqlite_server: Server) -> None:
    async with httpx.AsyncClient(base_url=sqlite_server.url) as http:
        answer = await http.get("/metrics")
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) < len(answer.content)


@pytest.mark.parametrize("accept", ["text/event-stream", MULTIPART_TYPE])
async def test_streams_are_not_delayed_by_it(sqlite_server: Server, accept: str) -> None:
    ann = await sqlite_server.client("Ann")
    headers = {"authorization": f"Bearer {ann.token}", "accept": accept, "accept-encoding": "gzip"}
    async with (
        asyncio.timeout(PATIENCE / 4),
        ann.http.stream("POST", f"{ann.url}/graphql", json={"query": LISTS}, headers=headers) as response,
    ):
        assert "content-encoding" not in response.headers
        text = ""
        async for piece in response.aiter_text():
            text += piece
            if "CaughtUp" in text:
                break


@pytest.mark.parametrize(
    "headers, compressible",
    [
        ([(b"content-length", b"%d" % MIN_BYTES), (b"content-type", b"application/json")], True),
        ([(b"content-length", b"%d" % (MIN_BYTES - 1)), (b"content-type", b"application/json")], False),
        ([(b"Content-Length", b"5000"), (b"Content-Type", b"text/html; charset=utf-8")], True),
        ([(b"content-length", b"5000"), (b"content-type", b"text/event-stream")], False),
        ([(b"content-length", b"5000"), (b"content-type", b"image/gif")], False),
        ([(b"content-length", b"5000")], False),
        ([(b"content-type", b"application/json")], False),
        ([(b"content-length", b"5000"), (b"content-type", b"text/css"), (b"content-encoding", b"br")], False),
        ([(b"content-length", b"5000"), (b"content-type", b"text/css"), (b"content-range", b"bytes 0-1/2")], False),
    ],
)
def test_only_compressible_types_are_compressed(headers: Any, compressible: bool) -> None:
    assert is_compressible(headers) is compressible


def test_the_weights_of_several_headers_count_together() -> None:
    assert accepts_gzip([(b"accept-encoding", b"br"), (b"accept-encoding", b"gzip;q=0.5")])
    assert not accepts_gzip([(b"accept-encoding", b"gzip;q=0"), (b"accept-encoding", b"*")])
    assert not accepts_gzip([])
