"""`command-center healthcheck`: what the image asks, for a server on any port and for a worker."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.commands import COMMAND, CommandResult, command_environment, run_command
from tests.support.paths import ROOT
from tests.support.server import SECRET


@asynccontextmanager
async def process(url: str, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command that goes on until the block ends."""
    started = await asyncio.create_subprocess_exec(
        *(*COMMAND, *words),
        cwd=ROOT,
        env=command_environment(DATABASE_URL=url, SECRET=SECRET),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGCONT)
            started.terminate()
            await asyncio.wait_for(started.wait(), 20)


async def until(wanted: int, about: asyncio.subprocess.Process) -> list[str]:
    """Asks until the answer concerns this process as wanted (others may run beside the test); what was said."""
    async with asyncio.timeout(30):
        while True:
            said = await run_command("healthcheck")
            lines = [line for line in said.out.splitlines() if f"process {about.pid} " in line]
            listed = f"@command-center/{about.pid}" in Path("/proc/net/unix").read_text()
            if (wanted == 0 and listed and not lines) or (wanted == 1 and lines):
                return lines
            await asyncio.sleep(0.1)


async def test_a_server_on_any_port_and_a_worker_are_asked(postgres_url: str) -> None:
    async with process(postgres_url, "serve", "--port", "0") as server, process(postgres_url, "worker") as worker:
        await until(0, server)
        await until(0, worker)
        for each in (server, worker):
            os.kill(each.pid, signal.SIGSTOP)
            (line,) = await until(1, each)
            assert line == f"process {each.pid} did not answer within 2 s"
            os.kill(each.pid, signal.SIGCONT)
            await until(0, each)
        assert server.stdout is not None
        port = (await server.stdout.readline()).decode().split(":")[-1].split("/")[0]
        assert await run_command("healthcheck", "--port", port) == CommandResult(0, "ok\n", "")
        server.kill()
        await server.wait()
        refused = await run_command("healthcheck", "--port", port)
        assert (refused.code, refused.err) == (1, "")
        assert refused.out.startswith(f"http://127.0.0.1:{port}/healthz did not answer: ")


def test_the_image_asks_it() -> None:
    image = (ROOT / "Dockerfile").read_text()
    assert 'CMD ["command-center", "healthcheck"]' in image
