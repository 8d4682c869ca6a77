"""What stands in the odd requests: methods, targets, header values and JSON values that nobody sends in earnest."""

from typing import Any

from tests.fuzz.fuzz_server import WHO
from tests.support.paths import ROOT

METHODS = (
    "POST",
    "POST",
    "POST",
    "POST",
    "POST",
    "POST",
    "GET",
    "GET",
    "HEAD",
    "PUT",
    "OPTIONS",
    "DELETE",
    "PATCH",
    "TRACE",
)
NO_METHODS = ("CONNECT", "post", "P OST", "", "PRI", "\x00", "X" * 5000, "GÉT")
TARGETS = (
    *(
        "/",
        "/graphql/",
        "/graphql?",
        "/graphql?query",
        "/graphql?query=%7B&query=%7D",
        "//graphql",
        "/GRAPHQL",
        "*",
        "?",
    ),
    *(
        "/healthz",
        "/readyz",
        "/metrics",
        "/t/x",
        "/t/o/x.gif",
        "/t/c/" + "A" * 3000,
        "/t/%00",
        "/u/x",
        "/graphiql/../x",
    ),
    *(
        "/graphql#x",
        "http://x/graphql",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%ff%fe",
        "/%",
        "/a%zz",
        "/" + "a" * 70_000,
        "/é",
    ),
    *(
        "/graphiql/console.js",
        "/graphiql/%2e%2e/page.py",
        "/graphiql/",
        "/unsubscribe/x",
        "/t/unsubscribe/x",
        "/;x",
        "/\x00",
    ),
)
KINDS = (
    *(
        "application/json; charset=utf-8",
        "application/JSON;charset=UTF-8",
        "application/json; charset=utf-16",
        "text/plain",
    ),
    *(
        "",
        "/",
        "json",
        "application/json;;;=;charset",
        "multipart/form-data; boundary=x",
        "application/graphql",
        ";",
        "a" * 9000,
    ),
    *(
        "application/x-www-form-urlencoded",
        'application/json; charset="',
        "application/json, text/html",
        "application/json\x01",
    ),
)
ACCEPTS = (
    *("*/*", "application/json;q=0", "application/json;q=nan", "a/b;q=1e999", "*/*;q=-1", '";', ",,,,", ";q", "é"),
    *(
        "text/event-stream",
        "multipart/mixed;subscriptionSpec=1.0",
        "application/graphql-response+json",
        'x/y;z="\\',
        "*" * 9000,
    ),
    # Without what it is made of the page is not there.
    *(("text/html", "text/html;q=0, */*") if (ROOT / "command_center/api/graphiql/vendor").is_dir() else ()),
    *("," * 5000, "a/b;" * 3000, 'a/b;"' * 2000, "application/json;q=1.0000000000000000001;x;y=z, */*"),
)
OTHERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Authorization",
        ("", "Bearer", "Bearer ", "Bearer x.y.z", "Basic eDp5", "Bearer \x80", "Bearer " + "x." * 9000, "bearer .."),
    ),
    ("Idempotency-Key", ("", "k", '"k"', '"', "x" * 201, "é", "a b", '"\\"', "\x01", "k,k")),
    ("Content-Encoding", ("gzip", "identity", "br, gzip", "", "x" * 500, ",", "identity,identity")),
    ("Transfer-Encoding", ("gzip", "identity", "chunked, chunked", "gzip, chunked", "xchunked", "", "chunked;x=y")),
    ("Expect", ("100-continue", "200-ok", "")),
    ("Connection", ("close", "upgrade", "keep-alive, close", "x", "")),
    ("Upgrade", ("websocket", "h2c", "", "x/y z")),
    ("Host", ("", "x y", "[::1", "x:99999", "é", "x" * 3000, "a@b", "x/../")),
    ("Origin", ("null", "http://x.example", "é", "http://[", "", "file://", "x" * 5000)),
    ("Cookie", ("=", "a=b; a=b", ";;;;", 'x="\\', "é=é", "a" * 9000, "; ".join(f"c{n}={n}" for n in range(1000)))),
    (
        "Content-Length",
        ("0", "-1", "+5", "0x10", "1 1", "1,1", "", "9" * 30, "0" * 5000 + "2", "٣", "1e3", "18446744073709551616"),
    ),
    ("X-Request-Id", ("", "x" * 9000, "é", "a b", "\x07")),
    ("Access-Control-Request-Method", ("POST", "X", "")),
    ("X-Forwarded-For", ("1.2.3.4", "x", "::1, y", "'")),
    ("Range", ("bytes=0-0", "bytes=-1", "x")),
    ("Sec-WebSocket-Key", ("x",)),
    ("x" * 3000, ("y",)),
    ("é", ("é",)),
    ("Bad Name", ("y",)),
    ("", ("y",)),
)
ANYTHING: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        10**400,
        1e308,
        "",
        "x",
        "{",
        WHO,
        "\x00",
        "\ud800",
        [],
        [None],
        [[]],
        {},
        {"x": {}},
    ),
    *(
        {"": 0},
        [WHO],
        {"query": WHO},
        [{"query": WHO}] * 3,
        "{viewer{name}}#" + "x" * 50_000,
        {"persistedQuery": {"version": 1}},
    ),
)
