"""Responsible for what one user holds open in this process: WebSockets, subscriptions, and the memory of operations.

A connection has limits of its own; these hold over all connections of a user together.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from command_center.api.parameters import Parameters
from command_center.graphql_engine.documents import PreparedOperation
from command_center.graphql_engine.limits import UserLimits

CODE: Final = "TOO_MANY_OPERATIONS"


class QuotaExceeded(Exception):
    """The user holds as much open as is allowed; the message names the number."""


@dataclass(slots=True)
class _Holdings:
    """What one user holds open. A document counts once, however many subscriptions have it."""

    sockets: int = 0
    streams: int = 0
    bytes: int = 0
    documents: Counter[PreparedOperation] = field(default_factory=Counter)

    def is_empty(self) -> bool:
        return not (self.sockets or self.streams or self.bytes)


class UserQuotas:
    """The holdings of all users who have something open."""

    def __init__(self, limits: UserLimits) -> None:
        self.limits = limits
        self._users: dict[int, _Holdings] = {}

    def __len__(self) -> int:
        return len(self._users)

    def open_socket(self, user_id: int) -> None:
        """Count one WebSocket, until `close_socket`. Raises QuotaExceeded."""
        held = self._users.get(user_id)
        if held is not None and held.sockets >= self.limits.sockets:
            raise QuotaExceeded(f"A user may have {self.limits.sockets:,} WebSockets open at once.")
        self.of(user_id).sockets += 1

    def close_socket(self, user_id: int) -> None:
        self.of(user_id).sockets -= 1
        self.forget(user_id)

    def hold(self, user_id: int, asked: Parameters) -> "Hold":
        """Count an operation's document text and variables, until `release`. Raises QuotaExceeded."""
        hold = Hold(self, user_id)
        hold.add(asked.bytes)
        return hold

    def of(self, user_id: int) -> _Holdings:
        """Return the holdings of a user, which are forgotten by `forget` when they are empty."""
        return self._users.setdefault(user_id, _Holdings())

    def forget(self, user_id: int) -> None:
        held = self._users.get(user_id)
        if held is not None and held.is_empty():
            del self._users[user_id]


class Hold:
    """What one operation counts for."""

    __slots__ = ("_bytes", "_prepared", "_quotas", "_user_id")

    def __init__(self, quotas: UserQuotas, user_id: int) -> None:
        self._quotas = quotas
        self._user_id = user_id
        self._bytes = 0
        self._prepared: PreparedOperation | None = None

    def add(self, size: int) -> None:
        """Count bytes. Raises QuotaExceeded."""
        most = self._quotas.limits.bytes
        held = self._quotas.of(self._user_id)
        if held.bytes + size > most:
            self._quotas.forget(self._user_id)
            raise QuotaExceeded(
                f"The open operations of a user may take {most:,} bytes of memory together,"
                " with their documents and variables."
            )
        held.bytes += size
        self._bytes += size

    def subscribe(self, prepared: PreparedOperation) -> None:
        """Count a subscription, and its document if the user has no other one with it. Raises QuotaExceeded."""
        held, most = self._quotas.of(self._user_id), self._quotas.limits.streams
        if held.streams >= most:
            raise QuotaExceeded(f"A user may have {most:,} subscriptions open at once.")
        if prepared not in held.documents:
            # The one that ends last gives these bytes back, whichever it is.
            self.add(prepared.bytes)
            self._bytes -= prepared.bytes
        held.documents[prepared] += 1
        held.streams += 1
        self._prepared = prepared

    def release(self) -> None:
        """Count nothing any more. Calling it again does nothing."""
        held = self._quotas.of(self._user_id)
        held.bytes -= self._bytes
        if self._prepared is not None:
            held.streams -= 1
            held.documents[self._prepared] -= 1
            if not held.documents[self._prepared]:
                del held.documents[self._prepared]
                held.bytes -= self._prepared.bytes
        self._bytes, self._prepared = 0, None
        self._quotas.forget(self._user_id)
