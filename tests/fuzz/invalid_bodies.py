"""HTTP requests of which one thing or another is wrong: the line, a header, the length, the encoding, the JSON."""

import gzip
import json
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

from tests.fuzz.fuzz_server import WHO
from tests.fuzz.odd_values import ACCEPTS, ANYTHING, KINDS, METHODS, NO_METHODS, OTHERS, TARGETS


@dataclass(frozen=True)
class Request:
    """`framed`: where it ends is beyond doubt, so it has to be answered. `bodiless`: the answer has no body."""

    data: bytes
    framed: bool
    bodiless: bool


def make_invalid_request(random: Random, token: str) -> Request:
    """A request."""
    method = random.choice(METHODS if random.random() < 0.95 else NO_METHODS)
    content = body(random)
    target = "/graphql" if random.random() < 0.8 else random.choice(TARGETS)
    if method == "GET" and target == "/graphql":
        target += "?" + _parameters(random)
    headers = {
        "Host": "x",
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json" if random.random() < 0.8 else random.choice(KINDS),
        "Accept": "application/json" if random.random() < 0.8 else random.choice(ACCEPTS),
    }
    plain = (
        method in METHODS
        and target.isascii()
        and target.isprintable()
        and target.startswith("/")
        and len(target) < 9999
    )
    for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
        name, values = random.choice(OTHERS)
        headers[name] = random.choice(values)
        plain = plain and name in ("Authorization", "Idempotency-Key", "Origin", "Cookie", "Accept", "Range")
    plain = plain and all(each.isascii() and each.isprintable() for each in headers.values())
    framing, content, right = _framing(random, content)
    if headers.keys() & {"Content-Length", "Transfer-Encoding"} and random.random() < 0.7:
        framing = []
    version = "1.1" if random.random() < 0.97 else random.choice(("1.0", "0.9", "2.0", "9", "x", "1.1 "))
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items()), *framing]
    end = "\r\n" if random.random() < 0.97 else random.choice(("\n", "\r", "\r\n "))
    data = end.join([*lines, "", ""]).encode("utf-8", "surrogateescape") + content
    framed = plain and right and version == "1.1" and end == "\r\n" and len(data) < 900_000
    if random.random() < 0.1:
        data, framed = _garbled(random, data), False
    return Request(data, framed, method == "HEAD")


def body(random: Random) -> bytes:
    """A body: a request, nearly one, or nothing of the kind."""
    good = json.dumps({"query": WHO, "variables": {}}).encode()
    match random.randrange(14):
        case 0 | 1 | 2:
            members = ("query", "variables", "operationName", "extensions", "x", "", "Query")
            asked = {"query": WHO, **{random.choice(members): random.choice(ANYTHING) for _ in range(3)}}
            return json.dumps(asked).encode()
        case 3:
            return json.dumps(random.choice(ANYTHING)).encode()
        case 4:
            return good[: random.randrange(len(good))]
        case 5:
            depth = random.choice((10, 49, 50, 51, 1000, 100_000))
            opening, closing = random.choice((("[", "]"), ('{"x":', "}")))
            value = opening * depth + "1" + closing * (depth if random.random() < 0.5 else 0)
            return b'{"query":"{viewer{name}}","variables":' + value.encode() + b"}"
        case 6:
            number = random.choice(
                ("1e999", "-1e999", "9" * 5000, "0." + "0" * 5000 + "1", "01", "1.", "NaN", "Infinity", "--1")
            )
            return b'{"query":"query($v:Int){people(first:$v){nodes{id}}}","variables":{"v":' + number.encode() + b"}}"
        case 7:
            return b'{"query":"{","query":"{viewer{name}}","variables":1,"variables":{}}'
        case 8:
            wrong = random.choice(
                (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x00", b"\x1f")
            )
            place = random.randrange(len(good))
            return good[:place] + wrong + good[place:]
        case 9:
            return good.decode().encode(random.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7", "cp037")))
        case 10:
            return random.choice(
                (gzip.compress(good), random.randbytes(random.randrange(3000)), b"", b"query={viewer{name}}")
            )
        case 11:
            return good + random.choice((b"x", b"}", good, b"//", b",", b"\n" * 5000, b"\x00"))
        case 12:
            escape = random.choice(
                ("\\ud800", "\\udc00\\ud800", "\\u0000", "\\u", "\\x41", "\\ud83d\\ude00", "\\uFFFF")
            )
            return f'{{"query":"{{viewer{{name}}}}#{escape}","operationName":"{escape}","{escape}":1}}'.encode()
        case _:
            many = random.choice((1000, 19_990, 20_001, 200_000))
            return b'{"query":"{viewer{name}}","variables":{"v":[' + b",".join([b"1"] * many) + b"]}}"


def _parameters(random: Random) -> str:
    odd = (
        WHO,
        "{",
        "",
        "\x00",
        "\ud800",
        "é",
        "mutation{groupCreate(name:1){group{id}}}",
        "{}",
        "[]",
        "1",
        "null",
        "[" * 500,
    )
    names = ("query", "query", "variables", "operationName", "extensions", "x", "")
    pairs = [(random.choice(names), random.choice(odd)) for _ in range(random.randrange(5))]
    text = "&".join(f"{name}={quote(value, errors='surrogatepass')}" for name, value in [("query", WHO), *pairs])
    return (
        text
        if random.random() < 0.9
        else text + random.choice(("&&==&", "%", "%f", "&query=%ff%fe", "+" * 500, "&" * 2000))
    )


def _framing(random: Random, content: bytes) -> tuple[list[str], bytes, bool]:
    """The headers that say where a body ends, the body as it is sent, and whether they are right."""
    size = len(content)
    chunk = f"{size:x}\r\n".encode() + content + b"\r\n"
    whole = b"0\r\n\r\n" if not size else chunk + b"0\r\n\r\n"
    match random.randrange(20):
        case 0:
            return [f"Content-Length: {size + random.choice((1, 10, 2_000_000))}"], content, False
        case 1:
            return [f"Content-Length: {max(0, size - random.choice((1, 5)))}"], content, False
        case 2 | 3:
            return ["Transfer-Encoding: chunked"], whole, True
        case 4:
            broken = (
                b"x\r\n",
                b"-1\r\n",
                b"ffffffffffffffffff\r\n",
                chunk,
                chunk[:-2],
                b"5;" + b"x" * 9000,
                b"0\r\nx: y\r\n",
            )
            return ["Transfer-Encoding: chunked"], random.choice(broken), False
        case 5:
            return ["Transfer-Encoding: chunked", f"Content-Length: {size}"], whole, False
        case 6:
            return [f"Content-Length: {size}", f"Content-Length: {random.choice((size, 0))}"], content, False
        case 7:
            return [], content, False
        case _:
            return [f"Content-Length: {size}"], content, True


def _garbled(random: Random, data: bytes) -> bytes:
    for _ in range(random.choice((1, 2, 5))):
        place, length = random.randrange(len(data) + 1), random.choice((1, 1, 4, 50))
        put = random.choice(
            (b"", bytes([random.randrange(256)]), b"\r\n", b"\x00", data[place : place + length] * 2, b":" * 9)
        )
        data = data[:place] + put + data[place + length :]
    return data
