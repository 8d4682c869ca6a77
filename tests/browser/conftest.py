"""The product itself, started as one starts it: its command line, a throw-away SQLite file, a port of its own."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

COMMAND = Path(sys.executable).with_name("command-center")
START = 30.0
END = 10.0


@dataclass(frozen=True)
class Product:
    """A server that runs, and the token of its one user."""

    address: str
    token: str

    @property
    def link(self) -> str:
        return f"{self.address}/graphiql#token={self.token}"

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self.address, timeout=10) as client:
            answer = await client.post(
                "/graphql",
                json={"query": document, "variables": variables},
                headers={"authorization": f"Bearer {self.token}"},
            )
        body = answer.json()
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("product")
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "COMMAND_CENTER_SECRET": "a secret for the tests of the page only",
        "COMMAND_CENTER_DATABASE_URL": f"sqlite:///{folder / 'page.sqlite3'}",
        "COMMAND_CENTER_BASE_URL": address,
    }
    _command(environment, "migrate")
    _command(environment, "user", "add", "--team", "Acme", "--name", "Ada Seller", "--address", "ada@acme.example")
    said = _command(environment, "token", "ada@acme.example", "--scope", "engagement:write")
    token = re.search(r"[\w-]+\.[\w-]+\.[\w-]+\s*$", said)
    assert token, f"no token in {said!r}"

    log = folder / "server.log"
    with log.open("wb") as file:
        words = [str(COMMAND), "serve", "--port", str(port)]
        server = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        _wait_for(f"{address}/healthz", server, log)
        yield Product(address, token.group().strip())
    finally:
        _stop(server)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _command(environment: Mapping[str, str], *words: str) -> str:
    done = subprocess.run(
        [COMMAND, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"command-center {' '.join(words)}: {done.stderr}"
    return done.stdout


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until:
        assert server.poll() is None, f"the server ended: {log.read_text()}"
        with suppress(httpx.TransportError):
            if httpx.get(address).status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    raise AssertionError(f"{address} did not answer within {START:g} s: {log.read_text()}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Ask it to end; one that does not, fails the test and is ended by force."""
    server.terminate()
    try:
        server.wait(END)
    finally:
        server.kill()
        server.wait()
