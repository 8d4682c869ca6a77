"""The seam between the sender loop and whatever carries the mail: an envelope goes in, an outcome comes back.

Outcomes are values; what they do to an email is decided by the loop. An outcome never lies about what may have left.
"""

from dataclasses import dataclass
from typing import Protocol

from models.enums import FailureCode


@dataclass(frozen=True, slots=True)
class Envelope:
    """A finished message and the one address it goes to. `utf8`: an address needs SMTPUTF8."""

    sender: str
    recipient: str
    content: bytes
    utf8: bool = False


@dataclass(frozen=True, slots=True)
class RefusedCopy:
    """A cc or bcc that the server would not have, and why. It concerns nobody else."""

    address: str
    message: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The server took the message over, for the person in To and all copies but these."""

    refused_copies: tuple[RefusedCopy, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounced:
    """The server refused the person in To, or the message, for good."""

    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing was handed over, and trying again by itself is no use."""

    code: FailureCode
    message: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """The server has nothing of the message, and a later attempt may succeed. `code`: of the failure if none does."""

    message: str
    code: FailureCode = FailureCode.CHANNEL_REFUSED


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message was on its way when the connection broke: it may have left, and it may not."""

    message: str


Outcome = Delivered | Bounced | Failed | Deferred | Unknown


class NotHandedOver(Exception):
    """A hand-over was cancelled before anything of the message could have left."""


class MailTransport(Protocol):
    """Carries mail. Answers within `PATIENCE` seconds and raises nothing it could have foreseen.

    A hand-over that is cancelled may raise NotHandedOver; otherwise the message may have left.
    """

    async def send(self, envelope: Envelope) -> Outcome: ...

    async def close(self) -> None: ...


PATIENCE = 180.0
"""The longest a hand-over may take, in seconds."""
