"""Redirects name a path, never a host: the Host header is the client's, and a proxy may have changed it."""

import pytest

from tests.support.raw_http import open_raw_connection
from tests.support.server import Server


@pytest.mark.parametrize(
    "path, location",
    [
        ("/", "/graphql"),
        ("/?utm_source=mail", "/graphql?utm_source=mail"),
        ("/graphql/", "/graphql"),
        ("/graphql/?query=%7Bviewer%7Bname%7D%7D&x=//y", "/graphql?query=%7Bviewer%7Bname%7D%7D&x=//y"),
        ("/healthz/", "/healthz"),
        ("/graphiql/x%20y/graphiql.js/", "/graphiql/x%20y/graphiql.js"),
        ("/nowhere/", None),
        ("/nowhere", None),
        ("//evil.example/", None),
        ("//evil.example", None),
        ("//graphql/", None),
        ("/graphql%2F", None),
        ("/%5Cevil.example/", None),
    ],
)
async def test_a_redirect_is_a_path(sqlite_server: Server, path: str, location: str | None) -> None:
    for method in ("GET", "HEAD", "POST"):
        if path.partition("?")[0] == "/" and method == "POST":
            continue
        async with open_raw_connection(sqlite_server.url) as raw:
            await raw.send(
                f"{method} {path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            text = (await raw.rest()).decode()
        status, found = int(text.split()[1]), [line for line in text.split("\r\n") if line.startswith("location: ")]
        assert (status, found) == (404, []) if location is None else (307, [f"location: {location}"]), text
