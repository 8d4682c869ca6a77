"""Servers in processes of their own, as they are deployed, and what they take of the processor.

PROFILE=folder runs each under cProfile and leaves its figures there; they slow it down by half or more.
"""

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from command_center.server.settings import PREFIX
from tests.support.server import SECRET

ROOT = Path(__file__).parent.parent
START_SECONDS = 60.0
UNBOUNDED = {
    "USER_REQUESTS": "100000000",
    "ADDRESS_REQUESTS": "100000000",
    "USER_SOCKETS": "100000",
    "USER_SUBSCRIPTIONS": "100000",
    "USER_OPERATION_BYTES": "10000000000",
}
"""One user stands for a whole team here, so what one user may do is no limit."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    port: int
    process: asyncio.subprocess.Process

    def cpu(self) -> float:
        """Seconds of the processor since it began, all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> int:
        """Bytes in memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def own_cpu() -> float:
    """Seconds of the processor that this process took: the client's part."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def port() -> int:
    """One that is free."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def product(database_url: str, **settings: str) -> AsyncIterator[Served]:
    """`command-center serve`, without bounds of one user but otherwise as it comes."""
    given = {"DATABASE_URL": database_url, "SECRET": SECRET, "SMTP_URL": "smtp://127.0.0.1:1", "LOG_LEVEL": "warning"}
    given |= UNBOUNDED | settings
    number = port()
    command = str(Path(sys.executable).with_name("command-center")), "serve", "--port", str(number)
    environment = {PREFIX + name: value for name, value in given.items()}
    async with started(command, number, environment) as served:
        yield served


@asynccontextmanager
async def started(
    script: Sequence[str], number: int, environment: dict[str, str] | None = None
) -> AsyncIterator[Served]:
    """A script of Python's that serves on a port, until the block ends."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    command = [sys.executable, *script]
    if folder := os.environ.get("PROFILE"):
        command[1:1] = ["-m", "cProfile", "-o", str(Path(folder) / f"{number}.prof")]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=plain | (environment or {}), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await _listening(process, number)
        yield Served(number, process)
    finally:
        if process.returncode is None:
            # Not SIGTERM: that leaves Python no time to write a profile down.
            process.send_signal(signal.SIGINT)
        await process.wait()


async def _listening(process: asyncio.subprocess.Process, number: int) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            if process.returncode is not None:
                raise RuntimeError("the server ended before it started")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", number)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.05)
