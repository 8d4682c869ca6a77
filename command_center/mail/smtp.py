"""Hands messages over to one mail server by SMTP, on connections that are kept for a short while.

What matters is the moment the end of the data is sent: before it nothing has left, after it only the server's reply
tells. Each reply is interpreted for the command it answers, and a connection whose replies are out of step is closed.
"""

import asyncio
import logging
import time
from dataclasses import dataclass

from command_center.mail.smtp_dialogue import GOODBYE, ConnectionLost
from command_center.mail.smtp_health import ServerHealth
from command_center.mail.smtp_replies import ProtocolError, Reply, readable
from command_center.mail.smtp_session import BadAddress, ServerTrouble, Session, mail_server, open_session
from command_center.mail.transport import (
    PATIENCE,
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
"""Replies to MAIL that refuse the login, not the sender's address (RFC 4954, section 6)."""
MAX_MESSAGES_PER_SESSION = 50
"""Servers refuse what is too much for one connection."""
REPLY_SECONDS = 60.0
_logger = logging.getLogger("command_center.mail")


@dataclass(slots=True)
class _Progress:
    """How far the hand-over of one message has come."""

    may_have_left: bool = False
    outcome: Outcome | None = None


class SmtpTransport:
    """Mail by way of one server: `smtp://user:password@host:port`, or `smtps://` for TLS from the first byte.

    With smtp:// the connection is encrypted if the server offers it. A password is sent only encrypted, to a server
    whose certificate is good; or to this machine.
    """

    def __init__(self, url: str, reply_seconds: float = REPLY_SECONDS, patience: float = PATIENCE) -> None:
        self._server = mail_server(url)
        self._reply_seconds = reply_seconds
        self._patience = patience
        self._idle: list[tuple[Session, float]] = []
        self._in_use = 0
        self._health = ServerHealth(self.name, self._probe)

    @property
    def name(self) -> str:
        """The server's host and port."""
        return f"{self._server.host}:{self._server.port}"

    async def send(self, envelope: Envelope) -> Outcome:
        """Hands one message over. Returns an outcome, whatever goes wrong; cancelled early, raises NotHandedOver."""
        progress = _Progress()
        try:
            async with asyncio.timeout(self._patience):
                return await self._attempt(envelope, progress)
        except asyncio.CancelledError:
            if progress.may_have_left:
                raise
            raise NotHandedOver from None
        except Exception as exc:
            return _broken(exc, progress)

    async def check(self) -> str | None:
        """Signs in and leaves again. Returns what is wrong with the server, or None."""
        try:
            session = await open_session(self._server, self._reply_seconds)
        except ServerTrouble as exc:
            return exc.message
        await session.quit()
        return None

    async def close(self) -> None:
        """Takes leave of the server on every idle connection."""
        await self._health.close()
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.quit() for session, _ in idle))

    async def _attempt(self, envelope: Envelope, progress: _Progress) -> Outcome:
        session = await self._resumed()
        if session is not None:
            reused = session.messages > 0
            try:
                return await self._converse(session, envelope, progress)
            except ConnectionLost:
                # A server may end a connection that has served for long. Nothing has left, so a new one will do.
                if progress.may_have_left or not reused:
                    raise
        return await self._converse(await self._opened(), envelope, progress)

    async def _converse(self, session: Session, envelope: Envelope, progress: _Progress) -> Outcome:
        """Hands one message over on a session, which is kept unless something went wrong on it."""
        self._in_use += 1
        session.messages += 1
        try:
            outcome = await _transact(session, envelope, progress)
        except BaseException:
            session.dialogue.close()
            raise
        finally:
            self._in_use -= 1
        self._keep(session)
        return outcome

    async def _opened(self) -> Session:
        await self._health.check()
        try:
            return await open_session(self._server, self._reply_seconds)
        except ServerTrouble as exc:
            # While another connection works, it is this one alone that the server would not have.
            if not self._in_use:
                self._health.failed(exc)
            raise

    async def _probe(self) -> None:
        self._keep(await open_session(self._server, self._reply_seconds))

    async def _resumed(self) -> Session | None:
        """An idle session on which replies are in step."""
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

    def _keep(self, session: Session) -> None:
        if not session.dialogue.in_step:
            session.dialogue.close()
            return
        self._idle.append((session, time.monotonic()))
        asyncio.get_running_loop().call_later(IDLE_SECONDS, self._drop_old)

    def _drop_old(self) -> None:
        limit = time.monotonic() - IDLE_SECONDS
        for session, _ in (each for each in self._idle if each[1] <= limit):
            session.dialogue.close()
        self._idle = [each for each in self._idle if each[1] > limit]


async def _transact(session: Session, envelope: Envelope, progress: _Progress) -> Outcome:
    """The commands of one message, each sent after the reply to the one before."""
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
        sender = Failed(FailureCode.CHANNEL_REFUSED, reply.text)
        return await _refused(session, reply, Deferred(reply.text) if reply.code in LOGIN_REFUSED else sender, progress)
    reply = await dialogue.command(f"RCPT TO:<{envelope.recipient}>")
    if reply.kind != 2:
        return await _refused(session, reply, Bounced(reply.text), progress)
    reply = await dialogue.command("DATA")
    if reply.kind != 3:
        return await _refused(session, reply, Bounced(reply.text), progress)
    await dialogue.send(envelope.content)
    progress.may_have_left = True
    reply = await dialogue.finish()
    if reply.kind == 2:
        return Delivered()
    return await _refused(session, reply, Bounced(reply.text), progress)


async def _refused(session: Session, reply: Reply, permanent: Outcome, progress: _Progress) -> Outcome:
    """The outcome of a message whose command was not completed: `permanent`, unless the reply says otherwise."""
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
    """The server closes the connection with a 421."""


def _broken(exc: Exception, progress: _Progress) -> Outcome:
    """What an exception means: nothing is known once the message was complete, and before that nothing has left."""
    reason = readable(str(exc) or ("no reply in time" if isinstance(exc, TimeoutError) else type(exc).__name__))
    if progress.outcome is not None:
        return progress.outcome
    if progress.may_have_left:
        return Unknown(f"The server did not say whether it took the message: {reason}")
    match exc:
        case ServerTrouble():
            return Deferred(exc.message, exc.code)
        case _Goodbye() | ProtocolError():
            return Deferred(reason, FailureCode.CHANNEL_REFUSED)
        case ConnectionLost() | OSError():
            return Deferred(reason, FailureCode.CHANNEL_UNREACHABLE)
        case ValueError():
            return Failed(FailureCode.CHANNEL_REFUSED, f"The message cannot be sent: {reason}")
    _logger.error("a hand-over failed in an unforeseen way", exc_info=exc)
    return Deferred(reason, FailureCode.CHANNEL_UNREACHABLE)
