"""An SMTP server in a process of its own that accepts everything and stores nothing."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized

END_OF_DATA = b"\r\n.\r\n"
BUFFER_BYTES = 4_000_000
"""The longest message that the sink accepts."""


@dataclass(frozen=True, slots=True)
class MailSink:
    """A running sink."""

    port: int
    _received: "Synchronized[int]" = field(repr=False)

    @property
    def received(self) -> int:
        """How many messages were accepted so far."""
        return self._received.value

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


@contextmanager
def running() -> Iterator[MailSink]:
    """Runs a sink until the block ends. Its process is its own, so that it takes no time from who measures."""
    spawning = multiprocessing.get_context("spawn")
    received = spawning.Value("q", 0)
    here, there = spawning.Pipe()
    process = spawning.Process(target=_serve, args=(there, received), daemon=True)
    process.start()
    try:
        yield MailSink(here.recv(), received)
    finally:
        process.kill()
        process.join()


def _serve(started: Connection, received: "Synchronized[int]") -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 sink\r\n")
            while line := await reader.readline():
                command = line[:4].upper()
                if command == b"DATA":
                    writer.write(b"354 go on\r\n")
                    await reader.readuntil(END_OF_DATA)
                    with received.get_lock():
                        received.value += 1
                writer.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=BUFFER_BYTES)
        started.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())
