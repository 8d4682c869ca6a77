"""The README is short, and its commands for a first start work as written. Its examples run in test_docs."""

import asyncio
import os
import re
import signal
from pathlib import Path

import httpx

from tests.support.commands import command_environment
from tests.support.documentation import Page
from tests.support.paths import ROOT
from tests.support.server import Client

MAX_LINES = 150


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= MAX_LINES


async def test_its_commands_start_a_server_that_keeps_its_secret(tmp_path: Path) -> None:
    start, ask = [block for block in Page.read("README.md").blocks("sh") if "make demo" not in block]
    folder = tmp_path / "command-center"
    secrets = []
    for _ in range(2):
        process = await _bash(start.replace("command-center serve", "command-center serve --port 0"), tmp_path)
        try:
            url = await _first_address(process)
            client = Client(url, (folder / "token").read_text().strip())
            viewer = await client.one("{viewer{name timeZone}}")
            await client.http.aclose()
            assert viewer == {"name": "Sam Seller", "timeZone": "Europe/Vienna"}
            assert (folder / "settings.env").stat().st_mode & 0o777 == 0o600
            secrets.append((folder / "settings.env").read_text())
            activated = f"source .venv/bin/activate\n{ask}"
            asked = await _bash(activated, tmp_path)
            out, _ = await asyncio.wait_for(asked.communicate(), 60)
            # Other servers may run on this machine and be stopped meanwhile; this one is not among the problems.
            assert out == b"ok\n" or f"127.0.0.1:{httpx.URL(url).port}/".encode() not in out
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            await asyncio.wait_for(process.communicate(), 30)
    assert secrets[0] == secrets[1]
    assert re.search(r"^COMMAND_CENTER_SECRET=[0-9a-f]{64}$", secrets[0], re.MULTILINE)


async def _bash(script: str, home: Path) -> asyncio.subprocess.Process:
    """A script in the checkout, with a home folder of its own."""
    environment = command_environment() | {"HOME": str(home)}
    return await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


async def _first_address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(120):
        while line := (await process.stdout.readline()).decode().strip():
            if line.startswith("http"):
                url = line.removesuffix("/graphql")
                await _until_ready(url)
                return url
            await asyncio.sleep(0)
    raise AssertionError("the server did not start")


async def _until_ready(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            try:
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
