"""Hands messages over to one mail server by SMTP.

It has a pool of short-lived connections.

The decisive moment is the end of the data. Before it is sent, nothing has left; after it, only the server's reply tells
whether the message has left. Each reply is interpreted for the command it answers. A connection on which commands and
replies are out of step is closed.
"""

import asyncio
import logging
import time
from dataclasses import dataclass

from command_center.mail.smtp_dialogue import GOODBYE, ConnectionLost
from command_center.mail.smtp_health import ServerHealth
from command_center.mail.smtp_replies import ProtocolError, Reply, make_readable
from command_center.mail.smtp_session import BadAddress, ServerTrouble, Session, mail_server, open_session
from command_center.mail.transport import (
    HAND_OVER_TIMEOUT_SECONDS,
    Bounced,
    Deferred,
    Delivered,
    Envelope,
    Failed,
    NotHandedOver,
    Outcome,
    Unknown,
)
from models.enums import FailureCode

__all__ = ["BadAddress", "SmtpTransport"]

IDLE_SECONDS = 10.0
LOGIN_REFUSED = frozenset({530, 534, 535, 538})
"""These replies to MAIL refuse the login, not the sender's address (RFC 4954, section 6)."""
MAX_MESSAGES_PER_SESSION = 50
"""Servers limit the number of messages per connection, so a session ends after this number."""
REPLY_SECONDS = 60.0
_logger = logging.getLogger("command_center.mail")


@dataclass(slots=True)
class _Progress:
    """Records how far the hand-over of one message has come.

    `outcome` is set when the server has refused the message, and holds even if the connection breaks afterwards.
    """

    may_have_left: bool = False
    outcome: Outcome | None = None


class SmtpTransport:
    """Sends mail through one server.

    Its URL is `smtp://user:password@host:port`, or `smtps://` for TLS from the first byte.

    With smtp:// the connection is encrypted if the server offers STARTTLS. A password is sent only over an encrypted
    connection to a server with a valid certificate. The exceptions are servers on this machine, and addresses with
    `?clear_password=yes`.
    """

    def __init__(
        self, url: str, reply_seconds: float = REPLY_SECONDS, timeout_seconds: float = HAND_OVER_TIMEOUT_SECONDS
    ) -> None:
        self._server = mail_server(url)
        self._reply_seconds = reply_seconds
        self._timeout = timeout_seconds
        self._idle: list[tuple[Session, float]] = []
        self._in_use = 0
        self._health = ServerHealth(self.name, self._probe)

    @property
    def name(self) -> str:
        """Return the server's host and port."""
        return f"{self._server.host}:{self._server.port}"

    async def send(self, envelope: Envelope) -> Outcome:
        """Hand one message over and return an outcome, whatever goes wrong.

        Raises: NotHandedOver if it is cancelled before any part of the message could have left.
        """
        progress = _Progress()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._send_on_any_session(envelope, progress)
        except asyncio.CancelledError:
            if progress.may_have_left:
                raise
            raise NotHandedOver from None
        except Exception as exc:
            return _outcome_of(exc, progress)

    async def check(self) -> str | None:
        """Open a session and quit.

        Return the error as text, or None if the server can be used.
        """
        try:
            session = await open_session(self._server, self._reply_seconds)
        except ServerTrouble as exc:
            return exc.message
        await session.quit()
        return None

    async def close(self) -> None:
        """Quit every idle session."""
        await self._health.close()
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.quit() for session, _ in idle))

    async def _send_on_any_session(self, envelope: Envelope, progress: _Progress) -> Outcome:
        session = await self._idle_session()
        if session is not None:
            reused = session.messages > 0
            try:
                return await self._send_on(session, envelope, progress)
            except ConnectionLost:
                # Servers end old connections. Nothing has left, so a new connection can be tried.
                if progress.may_have_left or not reused:
                    raise
        return await self._send_on(await self._open_session(), envelope, progress)

    async def _send_on(self, session: Session, envelope: Envelope, progress: _Progress) -> Outcome:
        """Hand one message over on a session.

        The session returns to the pool unless an error occurred.
        """
        self._in_use += 1
        session.messages += 1
        try:
            outcome = await _run_commands(session, envelope, progress)
        except BaseException:
            session.dialogue.close()
            raise
        finally:
            self._in_use -= 1
        self._return_to_pool(session)
        return outcome

    async def _open_session(self) -> Session:
        await self._health.check()
        try:
            return await open_session(self._server, self._reply_seconds)
        except ServerTrouble as exc:
            # While another connection works, only this one was refused, so it is no outage.
            if not self._in_use:
                self._health.failed(exc)
            raise

    async def _probe(self) -> None:
        self._return_to_pool(await open_session(self._server, self._reply_seconds))

    async def _idle_session(self) -> Session | None:
        """Return an idle session whose commands and replies are in step, or None."""
        while self._idle:
            session, since = self._idle.pop()
            fresh = time.monotonic() - since < IDLE_SECONDS and session.messages < MAX_MESSAGES_PER_SESSION
            try:
                if fresh and await session.resume():
                    return session
            except (ConnectionLost, ProtocolError):
                pass
            except BaseException:
                session.dialogue.close()
                raise
            session.dialogue.close()
        return None

    def _return_to_pool(self, session: Session) -> None:
        if not session.dialogue.in_step:
            session.dialogue.close()
            return
        self._idle.append((session, time.monotonic()))
        asyncio.get_running_loop().call_later(IDLE_SECONDS, self._close_expired)

    def _close_expired(self) -> None:
        limit = time.monotonic() - IDLE_SECONDS
        for session, _ in (entry for entry in self._idle if entry[1] <= limit):
            session.dialogue.close()
        self._idle = [entry for entry in self._idle if entry[1] > limit]


async def _run_commands(session: Session, envelope: Envelope, progress: _Progress) -> Outcome:
    """Send the commands of one message, each after the reply to the previous one."""
    options = ""
    if envelope.utf8:
        if "SMTPUTF8" not in session.extensions:
            return Failed(
                FailureCode.CHANNEL_REFUSED, "The mail server takes no addresses with letters outside ASCII (SMTPUTF8)."
            )
        options = " SMTPUTF8 BODY=8BITMIME"
    dialogue = session.dialogue
    reply = await dialogue.command(f"MAIL FROM:<{envelope.sender}>{options}")
    if reply.kind != 2:
        login_refused = reply.code in LOGIN_REFUSED
        permanent = Deferred(reply.text) if login_refused else Failed(FailureCode.CHANNEL_REFUSED, reply.text)
        return await _refusal_outcome(session, reply, permanent, progress)
    reply = await dialogue.command(f"RCPT TO:<{envelope.recipient}>")
    if reply.kind != 2:
        return await _refusal_outcome(session, reply, Bounced(reply.text), progress)
    reply = await dialogue.command("DATA")
    if reply.kind != 3:
        return await _refusal_outcome(session, reply, Bounced(reply.text), progress)
    await dialogue.send(envelope.content)
    progress.may_have_left = True
    reply = await dialogue.finish()
    if reply.kind == 2:
        return Delivered()
    return await _refusal_outcome(session, reply, Bounced(reply.text), progress)


async def _refusal_outcome(session: Session, reply: Reply, permanent: Outcome, progress: _Progress) -> Outcome:
    """Return the outcome of a message after the server refused a command.

    `reply` is the refusal. `permanent` is the outcome of a 5xx reply. Raises: ProtocolError if the reply is neither 4xx
    nor 5xx, and _Goodbye if it is a 421 before the end of the data.
    """
    if reply.kind not in (4, 5):
        raise ProtocolError(f"the server replied out of turn: {reply.text}")
    if not progress.may_have_left and reply.code == GOODBYE:
        raise _Goodbye(reply.text)
    if not progress.may_have_left and reply.kind == 4:
        return Deferred(reply.text)
    progress.outcome = permanent if reply.kind == 5 else Deferred(reply.text)
    confirmed = await session.confirms(reply)
    if reply.code == GOODBYE or not confirmed:
        session.dialogue.close()
    if confirmed:
        return progress.outcome
    contradicted = f"The mail server contradicted its reply: {reply.text}"
    return Unknown(contradicted) if progress.may_have_left else Deferred(contradicted)


class _Goodbye(ConnectionLost):
    """The server closes the connection with a 421 reply."""


def _outcome_of(exc: Exception, progress: _Progress) -> Outcome:
    """Return the outcome of a hand-over that ended in an exception.

    After the end of the data it is Unknown, unless the server has refused the message. Before that, nothing has left.
    """
    reason = make_readable(str(exc) or ("no reply in time" if isinstance(exc, TimeoutError) else type(exc).__name__))
    if progress.outcome is not None:
        return progress.outcome
    if progress.may_have_left:
        return Unknown(f"It is unknown whether the server accepted the message: {reason}")
    match exc:
        case ServerTrouble():
            return Deferred(exc.message, exc.code)
        case _Goodbye() | ProtocolError():
            return Deferred(reason, FailureCode.CHANNEL_REFUSED)
        case ConnectionLost() | OSError():
            return Deferred(reason, FailureCode.CHANNEL_UNREACHABLE)
        case ValueError():
            return Failed(FailureCode.CHANNEL_REFUSED, f"The message cannot be sent: {reason}")
    _logger.error("a hand-over failed with an unexpected error", exc_info=exc)
    return Deferred(reason, FailureCode.CHANNEL_UNREACHABLE)
