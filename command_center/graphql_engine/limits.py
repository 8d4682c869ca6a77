"""Limits on operations, their documents and their connections.

The settings provide the numbers.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """Limits on a document and its variables.

    `cost` counts the objects that the response may contain.
    """

    tokens: int = 2_000
    depth: int = 12
    aliases: int = 30
    root_fields: int = 20
    directives: int = 50
    cost: int = 20_000
    variable_values: int = 70_000


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """Limits on one response: its errors, and the time of a query or mutation.

    The limit on errors applies to change messages too.
    """

    errors: int = 20
    time: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Limits of one WebSocket.

    They concern its concurrent operations, and the time until `connection_init` must arrive.
    """

    operations: int = 100
    init: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class UserLimits:
    """Limits on what one user has open in one process, over all connections."""

    sockets: int = 2_000
    streams: int = 2_000
    bytes: int = 64_000_000
