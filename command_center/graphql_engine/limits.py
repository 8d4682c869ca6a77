"""The numbers within which an operation is carried out; the settings give them."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """What a document and its variables may hold. `cost` counts objects of the answer."""

    tokens: int = 2_000
    depth: int = 12
    aliases: int = 30
    root_fields: int = 20
    directives: int = 50
    cost: int = 20_000
    variable_values: int = 70_000


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """How many errors one answer or frame tells, and how long a query or mutation may take."""

    errors: int = 20
    time: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What one WebSocket may do: operations at once, and how long `connection_init` may be waited for."""

    operations: int = 100
    init: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class UserLimits:
    """What one user may hold open in one process, over all connections together."""

    sockets: int = 2_000
    streams: int = 2_000
    bytes: int = 64_000_000
