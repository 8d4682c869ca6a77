"""Real mail servers for the tests, each on a real socket: one that behaves as told, and one that follows a script."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Mailbox:
    """A server's answers, and what it took in. An answer is given to the first word it is keyed by."""

    answers: dict[str, str] = field(default_factory=dict)
    taken: list[Envelope] = field(default_factory=list)
    sessions: set[Any] = field(default_factory=set)
    port: int = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        self.sessions.add(session.peer)
        answer = self.answers.get("MAIL", "250 OK")
        if answer.startswith("2"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.answers.get("DATA", "250 OK")
        if answer.startswith("2"):
            self.taken.append(envelope)
        return answer


@asynccontextmanager
async def run_mail_server(mailbox: Mailbox, **settings: Any) -> AsyncIterator[Mailbox]:
    """A mail server on a free port."""
    loop = asyncio.get_running_loop()
    open_ones: list[SMTP] = []

    def session() -> SMTP:
        with warnings.catch_warnings():
            # It warns of sign-in without TLS, which is what is tried here.
            warnings.simplefilter("ignore")
            open_ones.append(SMTP(mailbox, hostname="localhost", loop=loop, enable_SMTPUTF8=True, **settings))
        return open_ones[-1]

    server = await loop.create_server(session, "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        for each in open_ones:
            if each.transport is not None:
                each.transport.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)


def accounts(user: str, password: str) -> Callable[..., AuthResult]:
    """One account; any other is refused."""

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=right, handled=False)

    return check


@asynccontextmanager
async def run_scripted_server(*answers: str | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives these answers, one to each line (the message counts as one), and hangs up at None.

    Yields its address and what it heard. "…" is silence: it stays on the line and says nothing.
    """
    heard: list[bytes] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in answers:
                if answer is None:
                    break
                if answer == "…":
                    await reader.read()
                    break
                writer.write(answer.encode() + b"\r\n")
                await writer.drain()
                end = b"\r\n.\r\n" if answer.startswith("354") else b"\r\n"
                heard.append(await reader.readuntil(end))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)
