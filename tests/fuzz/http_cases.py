"""HTTP connections for thousands of requests, right and wrong, and what must hold of every answer."""

import asyncio
import json
import math
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.fuzz.fuzz_server import SEED, FuzzServer, make_random

WORKERS = 8
PATIENCE = 30.0
SLOW = 2.0
"""Seconds that a case may take, of the server's processor time as well as by the clock."""
_TOLD = 5
_CODE = re.compile(r"[A-Z][A-Z_]+")
# What only our inside says: traces, paths, modules, statements, Python's own sentences, and names of the schema that
# the client did not give. That its own field needs a selection, "'x { ... }'", is no such name.
_INSIDE = re.compile(
    r"Traceback|\bFile \"|\.py\b|site-packages|/work/|/tmp/|\b(SELECT|INSERT INTO|DELETE FROM|UPDATE) \w+|sqlite"
    r"|asyncpg|tortoise|strawberry|starlette|uvicorn|orjson|httptools|graphql[._-]core|object at 0x|<class|<function"
    r"|Did you mean (?!'\w+ \{ \.\.\. \}')|has no attribute|not subscriptable|unhashable|invalid literal|codec can't"
    r"|NoneType|\b(Type|Value|Key|Index|Attribute|Runtime|Recursion|Unicode\w+|OS|Operational|Integrity)Error\b"
    r"|unexpected keyword"
)


@dataclass
class Answer:
    """`seconds`: from the last byte of the request to the last of the answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float = 0.0


class Closed(Exception):
    """The server hung up without an answer."""


class Wire:
    """One connection after the other: where the server has closed one, the next request opens another."""

    def __init__(self, ground: FuzzServer) -> None:
        self._address = ground.address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, ends: bool = False, bodiless: bool = False) -> Answer:
        """The answer to a request. With `ends` no more is sent after it; `bodiless`: its answer is all head.

        Raises Closed.
        """
        if self._streams is not None and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=2**24)
        reader, writer = self._streams
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(request)
                if ends:
                    writer.write_eof()
                with suppress(ConnectionError):
                    await writer.drain()
                answer = await read(reader, bodiless)
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            self.close()
            raise Closed from exc
        answer.seconds = time.monotonic() - began
        if ends or answer.headers.get("connection") == "close":
            self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def read(reader: asyncio.StreamReader, bodiless: bool = False) -> Answer:
    """One answer. Of a stream, what comes until its first frame."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    answer = Answer(int(first.split()[1]), headers, b"")
    if answer.status == 100:
        return await read(reader, bodiless)
    if bodiless or answer.status in (101, 204, 304):
        return answer
    if headers.get("transfer-encoding") == "chunked":
        streams = headers.get("content-type", "").startswith(("text/event-stream", "multipart/"))
        while size := int(await reader.readuntil(b"\r\n"), 16):
            answer.body += (await reader.readexactly(size + 2))[:-2]
            if streams and b"data" in answer.body:
                # The rest may take for ever: hang up, as readers do.
                answer.headers["connection"] = "close"
                return answer
        await reader.readuntil(b"\r\n")
    else:
        answer.body = await reader.readexactly(int(headers["content-length"]))
    return answer


def request(body: Any, token: str, accept: str = "application/json") -> bytes:
    """A POST of a JSON value, or of bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Accept: {accept}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def faults(answer: Answer, sent: str) -> Iterator[str]:
    """What is wrong with an answer, whatever was asked."""
    if answer.status >= 500 or not answer.status >= 200:
        yield f"status {answer.status}"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind.endswith("json") and answer.body:
        try:
            found = json.loads(answer.body)
        except ValueError:
            yield "the body is no JSON"
        else:
            yield from misses(found, sent)
    elif kind == "text/event-stream":
        for line in re.findall(rb"(?m)^data: ?(.+)$", answer.body):
            yield from misses(json.loads(line), sent)
    elif kind != "text/html":
        yield from leaks(answer.body.decode("utf-8", "replace"), sent)


def misses(found: Any, sent: str) -> Iterator[str]:
    """What is wrong with the errors of a decoded answer, or with the messages in its data."""
    if not isinstance(found, dict):
        yield "the answer is no object"
        return
    if not found.get("errors") and "data" not in found and "status" not in found:
        yield "neither data nor errors"
    yield from miscoded(found.get("errors", []), sent)
    yield from leaks(json.dumps(list(_messages(found.get("data"))), ensure_ascii=False), sent)


def miscoded(errors: Any, sent: str) -> Iterator[str]:
    """What is wrong with errors: a code is missing or is that of a mistake of ours, or they tell too much."""
    for error in errors:
        code = error.get("extensions", {}).get("code")
        if not isinstance(code, str) or not _CODE.fullmatch(code) or code == "INTERNAL":
            yield f"an error has the code {code}: {error}"
        if not isinstance(error.get("message"), str) or not error["message"]:
            yield f"an error says nothing: {error}"
        yield from leaks(json.dumps(error, ensure_ascii=False), sent)


def leaks(text: str, sent: str) -> Iterator[str]:
    """What of our inside is told that the client did not say itself."""
    for found in _INSIDE.finditer(text):
        if found[0] not in sent:
            yield f"it tells {found[0]!r}: {text[:2000]}"


def _messages(value: Any) -> Iterator[str]:
    """What is said to people in the data: the messages of userErrors and failures."""
    if isinstance(value, dict):
        if isinstance(value.get("message"), str):
            yield value["message"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _messages(each)


@dataclass
class Case:
    """One case: `sent` is what a report shows of it, `found` what is wrong."""

    number: int
    random: Random
    wire: Wire
    sent: str = ""
    seconds: float = 0.0
    found: list[str] = field(default_factory=list)

    async def ask(
        self, ground: FuzzServer, request: bytes, sent: str, ends: bool = False, bodiless: bool = False
    ) -> Answer:
        """Asks, and looks at the answer."""
        self.sent = sent
        answer = await self.wire.ask(request, ends, bodiless)
        self.seconds = max(self.seconds, answer.seconds)
        self.found += faults(answer, sent)
        ground.learn(answer.body)
        return answer


async def cases(
    ground: FuzzServer,
    name: str,
    number: int,
    one: Callable[[Case], Awaitable[None]],
    full: bool,
    workers: int = WORKERS,
) -> None:
    """Tries so many cases, several at once. Raises AssertionError with what was wrong and how to see it again."""
    wrong: list[str] = []
    longest = Case(0, Random(), Wire(ground))
    waiting = iter(range(number))

    async def work() -> None:
        nonlocal longest
        wire = Wire(ground)
        for place in waiting:
            case = Case(place, make_random(name, place), wire)
            used_before = ground.processor_seconds()
            try:
                await one(case)
            except Exception:
                case.found.append(traceback.format_exc())
                wire.close()
            # A busy machine makes a case longer, but does not make the server compute more.
            if math.isfinite(used_before):
                case.seconds = min(case.seconds, ground.processor_seconds() - used_before)
            if full and case.seconds > SLOW:
                case.found.append(f"it took {case.seconds:.1f} s")
            if case.found:
                wrong.append(f"case {place}: {'; '.join(case.found[:3])}\nsent: {case.sent[:3000]}")
            longest = max(longest, case, key=lambda each: each.seconds)
            if len(wrong) >= _TOLD:
                break
        wire.close()

    began = time.monotonic()
    await asyncio.gather(*(work() for _ in range(workers)))
    spent = time.monotonic() - began
    print(
        f"\n{name}: {number:,} cases in {spent:.0f} s, seed {SEED}; the longest took {longest.seconds * 1000:.0f} ms:"
        f" {longest.sent[:300]!r}"
    )
    wrong += ground.complaints()
    assert not wrong, f"{name}, FUZZ_SEED={SEED}\n" + "\n\n".join(wrong)
