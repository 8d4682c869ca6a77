"""Limits the connections and operations that one user has open in this process.

The limits concern WebSockets, subscriptions, and the memory of their operations. They apply to all connections of a
user together. Each connection has its own limits in addition.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from command_center.api.parameters import Parameters
from command_center.graphql_engine.documents import PreparedOperation
from command_center.graphql_engine.limits import UserLimits

CODE: Final = "TOO_MANY_OPERATIONS"


class QuotaExceeded(Exception):
    """The user already has as many connections or operations open as is allowed.

    The message names the limit.
    """


@dataclass(slots=True)
class _Holdings:
    """The WebSockets, subscriptions and bytes of operations that one user has open.

    A document counts once, however many subscriptions use it.
    """

    sockets: int = 0
    streams: int = 0
    bytes: int = 0
    documents: Counter[PreparedOperation] = field(default_factory=Counter)

    def is_empty(self) -> bool:
        return not (self.sockets or self.streams or self.bytes)


class UserQuotas:
    """Counts the open WebSockets, subscriptions and bytes of operations of each user."""

    def __init__(self, limits: UserLimits) -> None:
        self.limits = limits
        self._users: dict[int, _Holdings] = {}

    def __len__(self) -> int:
        return len(self._users)

    def open_socket(self, user_id: int) -> None:
        """Count one WebSocket of a user until `close_socket` is called.

        Raises: QuotaExceeded if the user has too many.
        """
        holdings = self._users.get(user_id)
        if holdings is not None and holdings.sockets >= self.limits.sockets:
            raise QuotaExceeded(f"A user may have {self.limits.sockets:,} WebSockets open at once.")
        self.find_holdings(user_id).sockets += 1

    def close_socket(self, user_id: int) -> None:
        """Count one WebSocket of a user less, because it was closed."""
        self.find_holdings(user_id).sockets -= 1
        self.forget(user_id)

    def hold(self, user_id: int, parameters: Parameters) -> "Hold":
        """Count the bytes of an operation's text and variables for a user.

        They count until `release` of the result is called.

        Raises: QuotaExceeded if they are too large.
        """
        hold = Hold(self, user_id)
        hold.add(parameters.bytes)
        return hold

    def find_holdings(self, user_id: int) -> _Holdings:
        """Return the counts of what a user has open, created if necessary.

        The caller calls `forget` if they may be empty.
        """
        return self._users.setdefault(user_id, _Holdings())

    def forget(self, user_id: int) -> None:
        """Remove the counts of a user who has nothing open."""
        holdings = self._users.get(user_id)
        if holdings is not None and holdings.is_empty():
            del self._users[user_id]


class Hold:
    """What one operation adds to the counts of its user, until it is released."""

    __slots__ = ("_bytes", "_prepared", "_quotas", "_user_id")

    def __init__(self, quotas: UserQuotas, user_id: int) -> None:
        self._quotas = quotas
        self._user_id = user_id
        self._bytes = 0
        self._prepared: PreparedOperation | None = None

    def add(self, size: int) -> None:
        """Count further bytes for this operation.

        Raises: QuotaExceeded if the user's operations would exceed the limit.
        """
        limit = self._quotas.limits.bytes
        holdings = self._quotas.find_holdings(self._user_id)
        if holdings.bytes + size > limit:
            self._quotas.forget(self._user_id)
            raise QuotaExceeded(
                f"The open operations of a user may take {limit:,} bytes of memory together,"
                " with their documents and variables."
            )
        holdings.bytes += size
        self._bytes += size

    def subscribe(self, prepared: PreparedOperation) -> None:
        """Count a subscription, and its document if it is the user's first with it.

        Raises: QuotaExceeded if the user has too many subscriptions, or too many bytes.
        """
        holdings, limit = self._quotas.find_holdings(self._user_id), self._quotas.limits.streams
        if holdings.streams >= limit:
            raise QuotaExceeded(f"A user may have {limit:,} subscriptions open at once.")
        if prepared not in holdings.documents:
            # The document belongs to all subscriptions that use it. The last one that ends releases its bytes.
            self.add(prepared.bytes)
            self._bytes -= prepared.bytes
        holdings.documents[prepared] += 1
        holdings.streams += 1
        self._prepared = prepared

    def release(self) -> None:
        """Subtract everything that was counted for this operation.

        Calling it again has no effect.
        """
        holdings = self._quotas.find_holdings(self._user_id)
        holdings.bytes -= self._bytes
        if self._prepared is not None:
            holdings.streams -= 1
            holdings.documents[self._prepared] -= 1
            if not holdings.documents[self._prepared]:
                del holdings.documents[self._prepared]
                holdings.bytes -= self._prepared.bytes
        self._bytes, self._prepared = 0, None
        self._quotas.forget(self._user_id)
