"""An SMTP server in a thread that stores each message as a file.

A parser finds the links and pixels of a message.
"""

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

from aiosmtpd.smtp import SMTP, Envelope, Session

START_SECONDS = 5.0
HOSTNAME = "mail.demo.example"


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as the recipient's mail program reads it.

    The program fetches the pixel and shows the links.

    The links do not include the unsubscribe link, which no recipient of the demo follows.
    """

    address: str
    message_id: str
    pixel: str
    links: tuple[str, ...]


class DemoMailServer:
    """Accepts all messages.

    Calls `on_arrival` in the server's thread with the path of each stored file.
    """

    def __init__(self, folder: Path, on_arrival: Callable[[Path], None]) -> None:
        self._folder = folder
        self._on_arrival = on_arrival
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._message_count = 0
        self._started = threading.Event()
        self._sessions: list[SMTP] = []
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._listener.getsockname()[1]}"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Store one message, and only then accept it.

        The SMTP library calls this method by its name.
        """
        self._message_count += 1
        name = re.sub(r"[^\w.@+-]", "_", envelope.rcpt_tos[0] if envelope.rcpt_tos else "nobody")
        content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        path = self._folder / f"{self._message_count:04}-{name}.eml"
        # The file is renamed when it is complete, so that readers of the folder never see a partial message.
        partial_path = path.with_suffix(".part")
        partial_path.write_bytes(content)
        partial_path.rename(path)
        self._on_arrival(path)
        return "250 OK"

    @contextmanager
    def running(self) -> Iterator["DemoMailServer"]:
        """Run the server in a thread. Raises: RuntimeError if it does not start in time."""
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


def read_mail(path: Path) -> Mail:
    """Parse the message in a file.

    Raises: ValueError if it contains no HTML or no picture.
    """
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    body = message.get_body(("html",))
    page = _Page()
    page.feed(body.get_content() if body is not None else "")
    if not page.images:
        raise ValueError(f"{path.name} holds no picture")
    unsubscribe_url = str(message["List-Unsubscribe"] or "").strip("<>")
    links = tuple(link for link in page.links if link != unsubscribe_url)
    return Mail(parseaddr(str(message["To"]))[1], str(message["Message-ID"]), page.images[-1], links)


class _Page(HTMLParser):
    """Collects the URLs of the images and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "img" and attributes.get("src"):
            self.images.append(str(attributes["src"]))
        elif tag == "a" and attributes.get("href"):
            self.links.append(str(attributes["href"]))
