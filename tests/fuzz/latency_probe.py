"""A client of its own process that asks one thing again and again, and tells how long each answer took.

python -m tests.fuzz.latency_probe PORT PATH TOKEN SECONDS: sends a request every SECONDS until its input ends. Then it
prints the duration of each answer in seconds as JSON, and null for each request without an answer.
"""

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.paths import ROOT

PATIENCE = 30.0


@dataclass
class Found:
    """What a probe has found once it is over."""

    seconds: list[float | None] = field(default_factory=list)

    @property
    def unanswered(self) -> int:
        return self.seconds.count(None)

    @property
    def worst(self) -> float:
        """In milliseconds."""
        return 1000 * max((each for each in self.seconds if each is not None), default=0.0)


@contextmanager
def run_probe(port: int, path: str, token: str, every: float) -> Iterator[Found]:
    """Probes while the block runs."""
    command = [sys.executable, "-m", "tests.fuzz.latency_probe", str(port), path, token, str(every)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        found = Found()
        try:
            yield found
        finally:
            process.stdin.close()
            found.seconds = json.loads(process.stdout.read())


def _asked(port: int, request: bytes, kept: socket.socket | None) -> socket.socket:
    """Asks once, on a connection that is kept where there is one. Raises OSError."""
    line = kept or socket.create_connection(("127.0.0.1", port), PATIENCE)
    line.sendall(request)
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += line.recv(65536) or _gone()
    head, _, body = heard.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise OSError(head)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += line.recv(65536) or _gone()
    return line


def _gone() -> bytes:
    raise ConnectionResetError


def main(port: int, path: str, token: str, every: float) -> None:
    content = b'{"query":"{viewer{name}}"}' if path == "/graphql" else b""
    head = f"{'POST' if content else 'GET'} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    request = f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
    seconds: list[float | None] = []
    line = _asked(port, request, None)
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], every)[0]:
        began = time.monotonic()
        try:
            line = _asked(port, request, line)
            seconds.append(time.monotonic() - began)
        except OSError:
            seconds.append(None)
            line.close()
            line = socket.create_connection(("127.0.0.1", port), PATIENCE)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))
