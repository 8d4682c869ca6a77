"""A socket in front of PostgreSQL's, behind which a client does not hear that its session has ended.

So it is when the network is cut or a firewall forgets a connection: the server has ended the session, and the client
learns of that only when it asks and nobody answers.
"""

import asyncio
import re
import shutil
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SOCKET = ".s.PGSQL.5432"
KEY_DATA = re.compile(rb"K\x00\x00\x00\x0c(.{4})", re.DOTALL)
"""Names the process of a session; PostgreSQL sends it once, when the session begins."""
CHUNK = 65536


@dataclass
class PostgresProxy:
    """Passes all traffic on, except the answers of sessions in `silent`, which are named by their process."""

    url: str
    target: str
    silent: set[int] = field(default_factory=set)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asking = await asyncio.open_unix_connection(self.target)
        down = asyncio.create_task(self._answer(answers, writer))
        try:
            with suppress(OSError):
                while data := await reader.read(CHUNK):
                    # Nobody is there any more to read what the client of a session that was ended says.
                    with suppress(OSError):
                        asking.write(data)
                        await asking.drain()
        finally:
            down.cancel()
            asking.close()
            writer.close()

    async def _answer(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = None
        with suppress(OSError):
            while data := await answers.read(CHUNK):
                if session is None and (found := KEY_DATA.search(data)):
                    (session,) = struct.unpack("!i", found[1])
                if session not in self.silent:
                    writer.write(data)
                    await writer.drain()
        if session not in self.silent:
            writer.close()


@asynccontextmanager
async def run_proxy(url: str) -> AsyncIterator[PostgresProxy]:
    """A gateway to a server that listens on a socket in a folder."""
    address = urlsplit(url)
    # A socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="cc-"))
    (host,) = parse_qs(address.query)["host"]
    made = PostgresProxy(address._replace(query=f"host={folder}").geturl(), f"{host}/{SOCKET}")
    server = await asyncio.start_unix_server(made.connect, folder / SOCKET)
    try:
        yield made
    finally:
        server.close()
        shutil.rmtree(folder)
