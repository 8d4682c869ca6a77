"""A dialogue that is ready for messages: greeting, EHLO, TLS and sign-in are done.

Everything that goes wrong here concerns the mail server as a whole and no message: it raises a `ServerTrouble`.
"""

import base64
import hmac
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qs, unquote, urlsplit

from command_center.mail.smtp_dialogue import GOODBYE, ConnectionLost, Dialogue, connect
from command_center.mail.smtp_replies import ProtocolError, Reply, readable
from models.enums import FailureCode

CONFIRM_SECONDS = 5.0
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


class BadAddress(ValueError):
    """The address of the mail server cannot be understood."""


class ServerTrouble(Exception):
    """The mail server cannot be used. `code` is what an email fails with if that lasts; `login`: it refused us."""

    def __init__(self, code: FailureCode, message: str, login: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.login = login


@dataclass(frozen=True)
class MailServer:
    """Where the mail server is, and how to sign in there.

    `encrypted`: TLS from the first byte. `clear_password`: the password may be sent without TLS.
    """

    host: str
    port: int
    encrypted: bool
    user: str | None
    password: str
    clear_password: bool

    @cached_property
    def context(self) -> ssl.SSLContext:
        """What TLS requires: a good certificate with smtps:// and where a password is sent."""
        context = ssl.create_default_context()
        if not self.encrypted and self.user is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def mail_server(url: str) -> MailServer:
    """Reads `smtp://user:password@host:port`, or `smtps://`. Raises BadAddress."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise BadAddress(f"the mail server's address is not right: {exc}") from exc
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise BadAddress("the mail server's address must begin with smtp:// or smtps:// and name a host")
    encrypted = parts.scheme == "smtps"
    clear = parse_qs(parts.query).get("clear_password", ["no"])[-1] == "yes"
    return MailServer(
        parts.hostname,
        port or (465 if encrypted else 587 if parts.username else 25),
        encrypted,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password or ""),
        clear or _LOOPBACK.fullmatch(parts.hostname) is not None,
    )


class Session:
    """One connection that takes messages, one after the other. Made by `open_session`."""

    def __init__(self, dialogue: Dialogue, server: MailServer) -> None:
        self.dialogue = dialogue
        self.messages = 0
        self._server = server
        # Asking the name service for it takes seconds where there is none.
        self._name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"
        self._verb = "EHLO"
        self._hello: tuple[str, ...] = ()
        self._secure = server.encrypted

    @property
    def extensions(self) -> frozenset[str]:
        """The keywords of what the server offers, in capitals."""
        return frozenset(line.split(" ", 1)[0].upper() for line in self._hello[1:])

    async def start(self) -> None:
        """Goes from the greeting to where messages are taken. Raises ServerTrouble and what a dialogue raises."""
        _completed(await self.dialogue.reply())
        await self._greet()
        if not self._secure and "STARTTLS" in self.extensions:
            _completed(await self.dialogue.command("STARTTLS"))
            await self.dialogue.upgrade(self._server.context, self._server.host)
            self._secure = True
            # What was offered before came unencrypted.
            await self._greet()
        if self._server.user is not None:
            await self._sign_in(self._server.user, self._server.password)
            # A server may offer something else to a user, and `resume` compares. Some greet nobody twice.
            reply = await self._say_hello()
            if reply.kind != 5:
                self._hello = _completed(reply).lines

    async def resume(self) -> bool:
        """Forgets a message that was begun, and returns whether replies are in step.

        Only the reply to EHLO can be told from every other reply. If anything else comes, or a server that offers
        nothing has no such reply, a late reply to an earlier command could be taken for one to the next message.
        """
        if not self.dialogue.in_step or len(self._hello) < 2:
            return False
        reply = await self._say_hello(CONFIRM_SECONDS)
        return self._is_hello(reply) and self.dialogue.in_step

    async def confirms(self, refusal: Reply) -> bool:
        """Returns whether a refusal can be believed: what comes next does not contradict it.

        Two replies to one command leave the client one reply behind. Then the reply to this EHLO is that to an
        earlier command, and it is unclear what was refused. A second refusal means the same.
        """
        reply = self.dialogue.unread()
        if reply is None:
            try:
                reply = await self._say_hello(CONFIRM_SECONDS)
            except (ConnectionLost, ProtocolError):
                # Servers hang up on those they refuse, and some explain it in lines that are no replies.
                return True
            if self._is_hello(reply):
                return True
        self.dialogue.close()
        return reply.code == GOODBYE or reply.kind == refusal.kind

    async def quit(self) -> None:
        """Takes leave, for a second at most."""
        try:
            await self.dialogue.command("QUIT", 1.0)
        except (ConnectionLost, ProtocolError):
            pass
        finally:
            self.dialogue.close()

    async def _say_hello(self, at_most: float | None = None) -> Reply:
        return await self.dialogue.command(f"{self._verb} {self._name}", at_most)

    def _is_hello(self, reply: Reply) -> bool:
        """Whether it is the reply to EHLO. A server may greet differently each time, but offers the same."""
        known = self._hello[1:] or self._hello
        return reply.kind == 2 and (reply.lines[1:] or reply.lines) == known

    async def _greet(self) -> None:
        reply = await self._say_hello()
        if reply.kind == 5 and self._verb == "EHLO":
            # An old server knows HELO alone, and offers nothing.
            self._verb = "HELO"
            reply = await self._say_hello()
        self._hello = _completed(reply).lines

    async def _sign_in(self, user: str, password: str) -> None:
        if not (self._secure or self._server.clear_password):
            raise ServerTrouble(
                FailureCode.CHANNEL_REFUSED,
                "The mail server offers no encryption (STARTTLS), so the password was not sent. If the network is"
                " trusted, add ?clear_password=yes to the server's address.",
                login=True,
            )
        offered = self._mechanisms()
        order = ("PLAIN", "LOGIN", "CRAM-MD5") if self._secure else ("CRAM-MD5", "PLAIN", "LOGIN")
        mechanism = next((each for each in order if each in offered), None)
        if mechanism is None:
            raise ServerTrouble(
                FailureCode.CHANNEL_REFUSED,
                "The mail server offers no way to sign in that is known here (PLAIN, LOGIN, CRAM-MD5).",
                login=True,
            )
        reply = await self._authenticate(mechanism, user.encode(), password.encode())
        if reply.kind == 3:
            raise ProtocolError(f"the server asks for more than {mechanism} has: {reply.text}")
        _completed(reply, login=True)

    def _mechanisms(self) -> frozenset[str]:
        # Old servers write AUTH=.
        lines = (re.split(r"[ =]+", line.upper()) for line in self._hello[1:])
        return frozenset(word for first, *words in lines if first == "AUTH" for word in words)

    async def _authenticate(self, mechanism: str, user: bytes, password: bytes) -> Reply:
        if mechanism == "PLAIN":
            return await self.dialogue.command(
                f"AUTH PLAIN {_base64(b'%b%b%b%b' % (bytes(1), user, bytes(1), password))}"
            )
        reply = await self.dialogue.command(f"AUTH {mechanism}")
        for answer in _answers(mechanism, reply, user, password):
            if reply.kind == 2:
                raise ProtocolError(f"the server accepted a login before it had the password: {reply.text}")
            if reply.kind != 3:
                break
            reply = await self.dialogue.command(answer)
        return reply


def _answers(mechanism: str, challenge: Reply, user: bytes, password: bytes) -> Iterator[str]:
    """The responses of a mechanism to the challenges of the server."""
    if mechanism == "LOGIN":
        yield from (_base64(user), _base64(password))
    elif challenge.kind == 3:
        try:
            asked = base64.b64decode("".join(challenge.lines), validate=True)
        except ValueError as exc:
            raise ProtocolError(f"the server's challenge is not right: {challenge.text}") from exc
        yield _base64(user + b" " + hmac.new(password, asked, "md5").hexdigest().encode())


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _completed(reply: Reply, login: bool = False) -> Reply:
    """The reply if it is a positive completion. Raises ServerTrouble and ProtocolError."""
    if reply.kind in (4, 5):
        raise ServerTrouble(FailureCode.CHANNEL_REFUSED, reply.text, login=login and reply.kind == 5)
    if reply.kind != 2:
        raise ProtocolError(f"the server replied out of turn: {reply.text}")
    return reply


async def open_session(server: MailServer, reply_seconds: float) -> Session:
    """A new session. Raises ServerTrouble, whatever goes wrong."""
    dialogue = None
    try:
        context = server.context if server.encrypted else None
        dialogue = await connect(server.host, server.port, context, reply_seconds)
        session = Session(dialogue, server)
        await session.start()
    except BaseException as exc:
        if dialogue is not None:
            dialogue.close()
        if isinstance(exc, ServerTrouble) or not isinstance(exc, Exception):
            raise
        protocol = isinstance(exc, ProtocolError)
        code = FailureCode.CHANNEL_REFUSED if protocol else FailureCode.CHANNEL_UNREACHABLE
        raise ServerTrouble(code, readable(str(exc) or type(exc).__name__)) from exc
    return session
