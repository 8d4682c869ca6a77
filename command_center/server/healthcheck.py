"""Health checks of the processes on this machine.

`command-center healthcheck` asks each process whether it still works.

A process listens on a socket in Linux's abstract namespace. Such a socket needs no file, disappears with the process
even after kill -9, and answers only while the event loop runs. Other systems have no such sockets; there `healthcheck
--port` asks over HTTP.
"""

import asyncio
import os
import re
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

SUPPORTED = sys.platform == "linux"
TIMEOUT_SECONDS = 2.0
_PREFIX = "command-center/"
_LISTED = re.compile(rf" @({_PREFIX}\d+)$", re.MULTILINE)
_LIMIT_BYTES = 300


@asynccontextmanager
async def answer_health_checks(address: str = "") -> AsyncIterator[None]:
    """Answer health checks until the block ends.

    `address` is the `host:port` where this process serves HTTP, if it does.
    """
    if not SUPPORTED:
        yield
        return

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(address.encode())
            await writer.drain()
        writer.close()

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"\0{_PREFIX}{os.getpid()}")
    server = await asyncio.start_unix_server(answer, sock=listener)
    try:
        yield
    finally:
        server.close()


def local_address(host: str, port: int) -> str:
    """Return the address at which this machine reaches a listening socket.

    A socket that listens on all addresses is reached on the loopback address. The result has the form `host:port`.
    """
    reachable_host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{reachable_host}]:{port}" if ":" in reachable_host else f"{reachable_host}:{port}"


def find_problems(ports: Iterable[int] = ()) -> list[str]:
    """Check the processes of this product on this machine, and return their problems.

    Each problem is one sentence. With `ports`, each port must answer over HTTP. Otherwise all processes of this user
    must work, and at least one must run.
    """
    if addresses := [f"127.0.0.1:{port}" for port in ports]:
        return [problem for address in addresses if (problem := _ask_http(address))]
    names = [name for name in _process_names() if _is_ours(name)]
    if not names:
        return ["no `serve` or `worker` of this user runs here"]
    return [problem for name in names if (problem := _ask(name))]


def _process_names() -> list[str]:
    """Return the socket names of all processes of this product on this machine."""
    with suppress(OSError):
        return sorted(set(_LISTED.findall(Path("/proc/net/unix").read_text())))
    return []


def _is_ours(name: str) -> bool:
    """Return whether the process with this socket name belongs to the current user.

    The name can be that of another user's process, because the list of sockets covers the whole machine.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(TIMEOUT_SECONDS)
            client.connect(f"\0{name}")
            peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return False
    return bool(struct.unpack("3i", peer)[1] == os.getuid())


def _ask(name: str) -> str | None:
    process = f"process {name.removeprefix(_PREFIX)}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(TIMEOUT_SECONDS)
            client.connect(f"\0{name}")
            answer = b"".join(iter(lambda: client.recv(_LIMIT_BYTES), b""))
    except TimeoutError:
        return f"{process} did not answer within {TIMEOUT_SECONDS:g} s"
    except OSError as exc:
        return f"{process} did not answer: {exc.strerror or exc}"
    return _ask_http(answer.decode()) if answer else None


def _ask_http(address: str) -> str | None:
    connection = HTTPConnection(address, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, HTTPException) as exc:
        return f"http://{address}/healthz did not answer: {str(exc) or type(exc).__name__}"
    finally:
        connection.close()
    return None if status == 200 else f"http://{address}/healthz answered {status}"
