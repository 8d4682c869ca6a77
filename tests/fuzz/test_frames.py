"""WebSockets at their edges: none is dropped without a close frame, none ends as a mistake of ours."""

import asyncio
import json
import os
import struct
import time
from collections.abc import AsyncIterator

import pytest

from tests.fuzz.fuzz_server import FuzzServer, count
from tests.fuzz.http_cases import PATIENCE, Case, cases, faults, leaks, miscoded, misses, read
from tests.fuzz.websocket_scripts import CLOSE, PING, PONG, TEXT, frame, message, script
from tests.support.raw_http import UPGRADE

FRAMES = count("FUZZ_FRAMES", 300)
BREACHES = (1002, 1007, 1009)
OURS = (1006, 1011, 1012, 1013)
_ODD_LINES = (
    *(
        "Sec-WebSocket-Version: 12",
        "Sec-WebSocket-Version: x",
        "Sec-WebSocket-Key: x",
        "Sec-WebSocket-Key: é",
        "Upgrade: x",
    ),
    *(
        "Sec-WebSocket-Protocol: ,",
        "Sec-WebSocket-Protocol: graphql-ws",
        "Sec-WebSocket-Protocol: \x80",
        "Origin: null",
    ),
    *(
        "Sec-WebSocket-Extensions: permessage-deflate; x",
        "Sec-WebSocket-Extensions: ;;,",
        "Content-Length: 5",
        "X: " + "y" * 9000,
    ),
    *(
        "Sec-WebSocket-Protocol: " + "a," * 5000,
        "Transfer-Encoding: chunked",
        "Connection: close",
        "Sec-WebSocket-Key: AAAA",
    ),
)


@pytest.mark.timeout(120 + FRAMES)
async def test_every_socket_ends_with_a_close_frame(ground: FuzzServer) -> None:
    async def one(case: Case) -> None:
        reader, writer = await asyncio.open_connection(*ground.address, limit=2**24)
        try:
            async with asyncio.timeout(PATIENCE):
                await _talk(ground, case, reader, writer)
        except ConnectionError:
            case.found.append("the connection was reset")
        finally:
            writer.close()

    await cases(ground, "frames", FRAMES, one, "FUZZ_FRAMES" in os.environ, workers=32)


async def _talk(ground: FuzzServer, case: Case, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    random = case.random
    steps = list(script(random, random.choice(ground.tokens), list(ground.known)))
    case.sent = repr([step.data[:500] for step in steps]) + b"".join(step.data for step in steps).decode(
        errors="replace"
    )
    lines = UPGRADE
    if random.random() < 0.1:
        odd = random.choice(_ODD_LINES)
        lines = random.choice((f"{UPGRADE}{odd}\r\n", UPGRADE.replace(random.choice(UPGRADE.split("\r\n")[:-1]), odd)))
        case.sent = odd + case.sent
    writer.write(f"GET /graphql HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    try:
        answer = await read(reader)
    except asyncio.IncompleteReadError:
        if lines is UPGRADE:
            case.found.append("the handshake was hung up on")
        return
    if answer.status != 101:
        case.found += list(faults(answer, case.sent))
        return
    broken = False
    for step in steps:
        writer.write(step.data)
        broken = broken or step.breaks
        if random.random() < 0.3:
            await asyncio.sleep(0)
    if random.random() < 0.05:
        # It goes without a word; nobody can be told anything.
        writer.transport.abort()
        return
    if not broken:
        writer.write(message({"type": "ping", "payload": {"last": True}}).data)
    await _hear(ground, case, reader, writer, broken)


async def _hear(
    ground: FuzzServer, case: Case, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, broken: bool
) -> None:
    """Until the end: after the answers to all that was said we close, where it was not closed before."""
    began, parting = time.monotonic(), False
    async for opcode, payload in _frames(reader):
        if opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big") if payload else 1005
            case.found += list(_wrong_ends(code, payload[2:].decode(), broken, parting, case.sent))
            if not parting:
                writer.write(frame(CLOSE, payload[:2]))
            async with asyncio.timeout(10):
                # A ping that came before our answer may still be answered.
                if any(after != PONG for after in [after async for after, _ in _frames(reader)]):
                    case.found.append("something came after the close frame")
            return
        if opcode == TEXT:
            said = json.loads(payload)
            ground.learn(payload)
            case.found += list(_wrong(said, case.sent))
            if said["type"] == "pong" and not broken and not parting:
                case.seconds = time.monotonic() - began
                # What is under way may still be answered, or not.
                await asyncio.sleep(case.random.choice((0, 0.05, 0.2)))
                writer.write(frame(CLOSE, struct.pack("!H", case.random.choice((1000, 1001, 3000, 4999)))))
                parting = True
    if not parting:
        case.found.append("1006: no close frame came")


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    while True:
        try:
            first, size = await reader.readexactly(2)
        except asyncio.IncompleteReadError:
            return
        assert size < 128, "a server's frames have no mask"
        if size == 126:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await reader.readexactly(8))
        payload = await reader.readexactly(size)
        if first & 0x0F != PING:
            yield first & 0x0F, payload


def _wrong_ends(code: int, reason: str, broken: bool, parting: bool, sent: str) -> list[str]:
    found = list(leaks(reason, sent))
    fine = code >= 4000 or (broken and code in BREACHES) or (parting and code in (1000, 1001, 3000))
    return found if fine and code not in OURS else [*found, f"it ended with {code}: {reason}"]


def _wrong(said: dict[str, object], sent: str) -> list[str]:
    """What is wrong with a message of the server's."""
    if said["type"] == "next":
        return list(misses(said["payload"], sent))
    if said["type"] == "error":
        return list(miscoded(said["payload"], sent))
    return [] if said["type"] in ("connection_ack", "pong", "complete") else [f"it says {said}"]
