"""Defines the interface between the outbox and a mail transport.

It consists of envelopes and outcomes.

Outcomes are values; the outbox decides what an outcome changes in an email. An outcome never claims that a message has
left, or has not left, unless that is certain.
"""

from dataclasses import dataclass
from typing import Protocol

from models.enums import FailureCode


@dataclass(frozen=True, slots=True)
class Envelope:
    """Holds a complete message and its one recipient.

    `utf8` is true if an address needs SMTPUTF8.
    """

    sender: str
    recipient: str
    content: bytes
    utf8: bool = False


@dataclass(frozen=True, slots=True)
class RefusedCopy:
    """Describes a cc or bcc that did not leave, and why.

    No other recipient is affected.
    """

    address: str
    message: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The server accepted the message for the person in To.

    It also accepted every copy except those in `refused_copies`.
    """

    refused_copies: tuple[RefusedCopy, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounced:
    """The server permanently refused the person in To, or the message."""

    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing was handed over, and an automatic retry cannot succeed."""

    code: FailureCode
    message: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """The server did not accept the message, and a later attempt may succeed.

    `code` is the failure code of the email if no attempt succeeds.
    """

    message: str
    code: FailureCode = FailureCode.CHANNEL_REFUSED


@dataclass(frozen=True, slots=True)
class Unknown:
    """The connection broke during the hand-over.

    So it is unknown whether the message has been sent.
    """

    message: str


Outcome = Delivered | Bounced | Failed | Deferred | Unknown


class NotHandedOver(Exception):
    """A hand-over was cancelled before any part of the message could have left."""


class MailTransport(Protocol):
    """Hands messages over to a mail server.

    `send` returns an outcome within `HAND_OVER_TIMEOUT_SECONDS` and raises no foreseeable error. If it is cancelled,
    it may raise NotHandedOver; if it raises anything else, the message may have left.
    """

    async def send(self, envelope: Envelope) -> Outcome: ...

    async def close(self) -> None: ...


HAND_OVER_TIMEOUT_SECONDS = 180.0
"""A hand-over takes at most this number of seconds."""
