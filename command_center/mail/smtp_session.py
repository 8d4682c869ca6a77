"""Opens SMTP sessions.

Greeting, EHLO, TLS and sign-in come before messages are accepted.

Every error here concerns the mail server as a whole, not a message, and is raised as a `ServerTrouble`.
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
from command_center.mail.smtp_replies import ProtocolError, Reply, make_readable
from models.enums import FailureCode

CONFIRM_SECONDS = 5.0
"""An EHLO that checks whether replies are in step is answered within this time, or counts as unanswered."""
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


class BadAddress(ValueError):
    """The URL of the mail server is invalid."""


class ServerTrouble(Exception):
    """The mail server cannot be used.

    `code` is the failure code of an email that could not be sent for a day because of this. `login` is true if signing
    in failed.
    """

    def __init__(self, code: FailureCode, message: str, login: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.login = login


@dataclass(frozen=True)
class MailServer:
    """Holds the address of the mail server and the credentials.

    `encrypted` means TLS from the first byte. `clear_password` allows sending the password without TLS.
    """

    host: str
    port: int
    encrypted: bool
    user: str | None
    password: str
    clear_password: bool

    @cached_property
    def context(self) -> ssl.SSLContext:
        """Return the TLS context.

        It requires a valid certificate with smtps://, and if there is a user to sign in.
        """
        context = ssl.create_default_context()
        if not self.encrypted and self.user is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def mail_server(url: str) -> MailServer:
    """Parse `smtp://user:password@host:port`, or `smtps://`. Raises: BadAddress."""
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
    """Carries messages over one connection, one after the other.

    Create it with `open_session`.
    """

    def __init__(self, dialogue: Dialogue, server: MailServer) -> None:
        self.dialogue = dialogue
        self.messages = 0
        self._server = server
        # A look-up of the full name would take seconds if there is no name service.
        self._name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"
        self._verb = "EHLO"
        self._hello: tuple[str, ...] = ()
        self._secure = server.encrypted

    @property
    def extensions(self) -> frozenset[str]:
        """Return the keywords of the server's extensions, in upper case."""
        return frozenset(line.split(" ", 1)[0].upper() for line in self._hello[1:])

    async def start(self) -> None:
        """Read the greeting, start TLS and sign in.

        Raises: ServerTrouble, and the errors of `Dialogue`.
        """
        _require_completion(await self.dialogue.reply())
        await self._greet()
        if not self._secure and "STARTTLS" in self.extensions:
            _require_completion(await self.dialogue.command("STARTTLS"))
            await self.dialogue.upgrade(self._server.context, self._server.host)
            self._secure = True
            # The extensions listed before were not encrypted, so somebody may have changed them.
            await self._greet()
        if self._server.user is not None:
            await self._sign_in(self._server.user, self._server.password)
            # Servers may offer other extensions after the sign-in, which `resume` compares. Some refuse a second EHLO.
            reply = await self._send_hello()
            if reply.kind != 5:
                self._hello = _require_completion(reply).lines

    async def resume(self) -> bool:
        """Reset the session with EHLO.

        Returns whether commands and replies are in step.

        Only the reply to EHLO differs from every other reply, because it lists the extensions. If another reply comes,
        a late reply to an earlier command could be taken for a reply about the next message. The same holds if the
        server lists no extensions, so such a session is not reused.
        """
        if not self.dialogue.in_step or len(self._hello) < 2:
            return False
        reply = await self._send_hello(CONFIRM_SECONDS)
        return self._is_hello(reply) and self.dialogue.in_step

    async def confirms(self, refusal: Reply) -> bool:
        """Return whether the next reply of the server agrees with a refusal.

        If a server sends two replies to one command, the client is one reply behind. The reply to the EHLO that this
        method sends is then the reply to an earlier command, and it is unclear what was refused. A second refusal of
        the same kind confirms the first.
        """
        reply = self.dialogue.unread()
        if reply is None:
            try:
                reply = await self._send_hello(CONFIRM_SECONDS)
            except (ConnectionLost, ProtocolError):
                # Servers close the connection after a refusal, and some first send lines that are no replies.
                return True
            if self._is_hello(reply):
                return True
        self.dialogue.close()
        return reply.code == GOODBYE or reply.kind == refusal.kind

    async def quit(self) -> None:
        """Send QUIT, wait at most one second for the reply, and close the connection."""
        try:
            await self.dialogue.command("QUIT", 1.0)
        except (ConnectionLost, ProtocolError):
            pass
        finally:
            self.dialogue.close()

    async def _send_hello(self, max_seconds: float | None = None) -> Reply:
        return await self.dialogue.command(f"{self._verb} {self._name}", max_seconds)

    def _is_hello(self, reply: Reply) -> bool:
        """Return whether this is the reply to EHLO.

        The first line may differ each time, but the extensions stay the same.
        """
        expected = self._hello[1:] or self._hello
        return reply.kind == 2 and (reply.lines[1:] or reply.lines) == expected

    async def _greet(self) -> None:
        reply = await self._send_hello()
        if reply.kind == 5 and self._verb == "EHLO":
            # Old servers know only HELO, which lists no extensions.
            self._verb = "HELO"
            reply = await self._send_hello()
        self._hello = _require_completion(reply).lines

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
        _require_completion(reply, login=True)

    def _mechanisms(self) -> frozenset[str]:
        # Old servers write `AUTH=`.
        lines = (re.split(r"[ =]+", line.upper()) for line in self._hello[1:])
        return frozenset(word for first, *words in lines if first == "AUTH" for word in words)

    async def _authenticate(self, mechanism: str, user: bytes, password: bytes) -> Reply:
        if mechanism == "PLAIN":
            return await self.dialogue.command(
                f"AUTH PLAIN {_base64(b'%b%b%b%b' % (bytes(1), user, bytes(1), password))}"
            )
        reply = await self.dialogue.command(f"AUTH {mechanism}")
        for response in _auth_responses(mechanism, reply, user, password):
            if reply.kind == 2:
                raise ProtocolError(f"the server accepted a login before it had the password: {reply.text}")
            if reply.kind != 3:
                break
            reply = await self.dialogue.command(response)
        return reply


def _auth_responses(mechanism: str, challenge: Reply, user: bytes, password: bytes) -> Iterator[str]:
    """Yield the responses of an authentication mechanism to the server's challenges."""
    if mechanism == "LOGIN":
        yield from (_base64(user), _base64(password))
    elif challenge.kind == 3:
        try:
            decoded_challenge = base64.b64decode("".join(challenge.lines), validate=True)
        except ValueError as exc:
            raise ProtocolError(f"the server's challenge is not right: {challenge.text}") from exc
        yield _base64(user + b" " + hmac.new(password, decoded_challenge, "md5").hexdigest().encode())


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _require_completion(reply: Reply, login: bool = False) -> Reply:
    """Return the reply if it is 2xx.

    Raises: ServerTrouble if it is a refusal, and ProtocolError if it is anything else.
    """
    if reply.kind in (4, 5):
        raise ServerTrouble(FailureCode.CHANNEL_REFUSED, reply.text, login=login and reply.kind == 5)
    if reply.kind != 2:
        raise ProtocolError(f"the server replied out of turn: {reply.text}")
    return reply


async def open_session(server: MailServer, reply_seconds: float) -> Session:
    """Open a new session. Raises: ServerTrouble on every error."""
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
        raise ServerTrouble(code, make_readable(str(exc) or type(exc).__name__)) from exc
    return session
