"""A real mail server in a thread of its own that keeps each message as a file, and what a mail program reads in one."""

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.utils import parseaddr
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

START_SECONDS = 5.0
HOSTNAME = "mail.demo.example"


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as its reader's program sees it: the picture it fetches and the links it offers.

    The way out stands apart from the links: programs make a button of it that nobody presses here.
    """

    address: str
    message_id: str
    pixel: str
    links: tuple[str, ...]


class MailServer:
    """Takes in whatever it is given. `arrived` is called in the server's thread with each file."""

    def __init__(self, folder: Path, arrived: Callable[[Path], None]) -> None:
        self._folder = folder
        self._arrived = arrived
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._taken = 0
        self._started = threading.Event()
        self._sessions: list[SMTP] = []
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._listener.getsockname()[1]}"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keeps one message; only then is the sender told that it was taken."""
        self._taken += 1
        name = re.sub(r"[^\w.@+-]", "_", envelope.rcpt_tos[0] if envelope.rcpt_tos else "nobody")
        content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        path = self._folder / f"{self._taken:04}-{name}.eml"
        # Another process may be reading in the folder: it never sees half a message.
        begun = path.with_suffix(".part")
        begun.write_bytes(content)
        begun.rename(path)
        self._arrived(path)
        return "250 Taken"

    @contextmanager
    def running(self) -> Iterator["MailServer"]:
        thread = threading.Thread(target=self._run, name="mail server", daemon=True)
        thread.start()
        try:
            if not self._started.wait(START_SECONDS):
                raise RuntimeError("the demo's mail server did not start")
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(START_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await self._loop.create_server(self._session, sock=self._listener)
        self._started.set()
        await self._stop.wait()
        server.close()
        for session in self._sessions:
            if session.transport is not None:
                session.transport.close()
        await asyncio.sleep(0)

    def _session(self) -> SMTP:
        self._sessions.append(SMTP(self, hostname=HOSTNAME, loop=self._loop, enable_SMTPUTF8=True))
        return self._sessions[-1]


def read(path: Path) -> Mail:
    """The mail in a file. Raises ValueError where it has no HTML or no picture."""
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    body = message.get_body(("html",))
    page = _Page()
    page.feed(body.get_content() if body is not None else "")
    if not page.images:
        raise ValueError(f"{path.name} holds no picture")
    way_out = str(message["List-Unsubscribe"] or "").strip("<>")
    links = tuple(link for link in page.links if link != way_out)
    return Mail(parseaddr(str(message["To"]))[1], str(message["Message-ID"]), page.images[-1], links)


class _Page(HTMLParser):
    """The addresses of the pictures and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "img" and found.get("src"):
            self.images.append(str(found["src"]))
        elif tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
