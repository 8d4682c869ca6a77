"""The only module that speaks SMTP. Hands over one message at a time on connections that are kept for a short while.

What matters is the line between before and after the data: before it nothing has left, after it one cannot know until
the server has answered. So the commands are given one by one here, not through the client's `sendmail`.
"""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTP, SMTPResponse

from mail.channel import PATIENCE, Bounced, Deferred, Delivered, Envelope, Failed, Outcome, Unknown
from models.enums import FailureCode

KEPT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
_ENDS = re.compile(rb"\r\n|\r|\n")
_DOT = re.compile(rb"(?m)^\.")


class BadAddress(ValueError):
    """The address of the mail server cannot be understood."""


class SmtpChannel:
    """Mail by way of one server: `smtp://user:password@host:port`, or `smtps://` for TLS from the first byte.

    With smtp:// the connection is encrypted where the server offers it; its certificate must be good where a password
    is sent, or with smtps://.
    """

    def __init__(self, url: str, answer_seconds: float = ANSWER_SECONDS, patience: float = PATIENCE) -> None:
        self._settings = _settings(url, answer_seconds)
        self._patience = patience
        self._idle: list[tuple[SMTP, float]] = []

    async def hand_over(self, envelope: Envelope) -> Outcome:
        """Hands one message over, within the patience given."""
        progress = _Progress()
        try:
            async with asyncio.timeout(self._patience):
                return await self._attempt(envelope, progress)
        except (aiosmtplib.SMTPException, ssl.SSLError, OSError, ValueError) as exc:
            return _broken(exc, progress)

    async def close(self) -> None:
        """Takes leave of the server on every connection kept."""
        idle, self._idle = self._idle, []
        for client, _ in idle:
            await _quit(client)

    async def _attempt(self, envelope: Envelope, progress: "_Progress") -> Outcome:
        kept = self._kept()
        if kept is not None:
            try:
                outcome = await self._converse(kept, envelope, progress)
                if kept.is_connected or progress.data_begun or not isinstance(outcome, Deferred):
                    return outcome
            except (aiosmtplib.SMTPException, OSError):
                if progress.data_begun:
                    raise
            # A server may hang up on an idle connection at any time: nothing has left, so a new one may do.
        client = SMTP(**self._settings)
        await client.connect()
        return await self._converse(client, envelope, progress)

    async def _converse(self, client: SMTP, envelope: Envelope, progress: "_Progress") -> Outcome:
        async with self._lent(client):
            return await _transact(client, envelope, progress)

    def _kept(self) -> SMTP | None:
        while self._idle:
            client, since = self._idle.pop()
            if client.is_connected and time.monotonic() - since < KEPT_SECONDS:
                return client
            client.close()
        return None

    @asynccontextmanager
    async def _lent(self, client: SMTP) -> AsyncIterator[None]:
        """Keeps the connection for the next message, unless something went wrong on it."""
        try:
            yield
        except BaseException:
            client.close()
            raise
        if client.is_connected:
            self._idle.append((client, time.monotonic()))
            asyncio.get_running_loop().call_later(KEPT_SECONDS, self._drop_old)

    def _drop_old(self) -> None:
        limit = time.monotonic() - KEPT_SECONDS
        for client, _ in (each for each in self._idle if each[1] <= limit):
            client.close()
        self._idle = [each for each in self._idle if each[1] > limit]


class _Progress:
    """How far a conversation came."""

    def __init__(self) -> None:
        self.data_begun = False


async def _transact(client: SMTP, envelope: Envelope, progress: _Progress) -> Outcome:
    if client.is_ehlo_or_helo_needed:
        await client.ehlo()
    options: list[str] = []
    if envelope.utf8:
        if not client.supports_extension("smtputf8"):
            return Failed(
                FailureCode.CHANNEL_REFUSED, "The mail server takes no addresses with letters outside ASCII (SMTPUTF8)."
            )
        options = ["SMTPUTF8", "BODY=8BITMIME"]
    answer = await _command(client, f"MAIL FROM:<{envelope.sender}>", *options)
    if answer.code >= 400:
        return await _reset(client, _refused(answer, Failed(FailureCode.CHANNEL_REFUSED, _said(answer))))
    for recipient in (envelope.recipient, *envelope.others):
        answer = await _command(client, f"RCPT TO:<{recipient}>")
        # A copy that is refused for good does not keep the message from the person it is for.
        if 400 <= answer.code < 500 or (answer.code >= 500 and recipient == envelope.recipient):
            return await _reset(client, _refused(answer, Bounced(_said(answer))))
    answer = await _data(client, envelope.content, progress)
    return Delivered() if answer.code < 400 else _refused(answer, Bounced(_said(answer)))


async def _command(client: SMTP, *words: str) -> SMTPResponse:
    return await client.execute_command(*(word.encode() for word in words))


async def _data(client: SMTP, content: bytes, progress: _Progress) -> SMTPResponse:
    answer = await client.execute_command(b"DATA")
    if answer.code != 354 or client.protocol is None:
        return answer
    progress.data_begun = True
    client.protocol.write(_DOT.sub(b"..", _ENDS.sub(b"\r\n", content)) + b".\r\n")
    return await client.protocol.read_response(timeout=client.timeout)


async def _reset(client: SMTP, outcome: Outcome) -> Outcome:
    """Takes the begun message back, so that the connection may be used again. The outcome stands either way."""
    try:
        if client.is_connected:
            await client.rset()
    except (aiosmtplib.SMTPException, OSError):
        client.close()
    return outcome


def _refused(answer: SMTPResponse, for_good: Outcome) -> Outcome:
    return Deferred(_said(answer)) if answer.code < 500 else for_good


def _said(answer: Any) -> str:
    return f"{answer.code} {answer.message}".strip()


def _broken(exc: Exception, progress: _Progress) -> Outcome:
    """What an exception means: nothing is known once the data was on its way, nothing has left before."""
    if progress.data_begun:
        return Unknown(f"The connection broke before the server had answered: {_reason(exc)}")
    if isinstance(exc, aiosmtplib.SMTPResponseException) and 400 <= exc.code < 500:
        return Deferred(_said(exc))
    if isinstance(exc, aiosmtplib.SMTPResponseException):
        return Failed(FailureCode.CHANNEL_REFUSED, _said(exc))
    if isinstance(exc, OSError):
        return Failed(FailureCode.CHANNEL_UNREACHABLE, _reason(exc))
    return Failed(FailureCode.CHANNEL_REFUSED, _reason(exc))


def _reason(exc: Exception) -> str:
    return str(exc) or ("no answer in time" if isinstance(exc, TimeoutError) else type(exc).__name__)


async def _quit(client: SMTP) -> None:
    try:
        async with asyncio.timeout(1):
            await client.quit()
    except (aiosmtplib.SMTPException, OSError):
        client.close()


def _settings(url: str, answer_seconds: float) -> dict[str, Any]:
    """The client's settings from the server's address. Raises BadAddress."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise BadAddress(f"the mail server's address is not right: {exc}") from exc
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise BadAddress("the mail server's address must begin with smtp:// or smtps:// and name a host")
    implicit = parts.scheme == "smtps"
    return {
        "hostname": parts.hostname,
        "port": port or (465 if implicit else 587 if parts.username else 25),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "use_tls": implicit,
        "start_tls": False if implicit else None,
        "validate_certs": implicit or bool(parts.username),
        # Asking the name service for it, as the client would, takes seconds where there is none.
        "local_hostname": re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost",
        "timeout": answer_seconds,
    }
