"""A bounded buffer in memory for items that are retried.

The pauses grow until the database is available.
"""

import time
from collections.abc import Sequence
from typing import Generic, TypeVar

from command_center.database.errors import FailureLog, Unavailable

MAX_ITEMS = 10_000
"""The most items in a buffer. Further ones are lost, counted and logged."""
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 10.0
"""The pause between two attempts doubles from the first value to the second."""
Item = TypeVar("Item")


class RetryBuffer(Generic[Item]):
    """Holds items until they are stored.

    If it is full, it drops new items, because verdicts depend on older events.
    """

    def __init__(self, outage: FailureLog, capacity: int = MAX_ITEMS) -> None:
        self.lost_count = 0
        self._outage = outage
        self._room = capacity
        self._items: list[Item] = []
        self._pause = FIRST_PAUSE_SECONDS
        self._retry_at = 0.0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, items: Sequence[Item]) -> None:
        """Add as many of the items as there is room for.

        Counts and logs the others as lost.
        """
        free_slots = max(0, self._room - len(self._items))
        self._items += items[:free_slots]
        if len(items) > free_slots:
            self.lost_count += len(items) - free_slots
            self._outage.warn(Unavailable(f"{self.lost_count} views and clicks are lost: more than {self._room} wait"))

    def seconds_until_retry(self) -> float | None:
        """Return the seconds until the next attempt, or None if the buffer is empty."""
        return max(0.0, self._retry_at - time.monotonic()) if self._items else None

    def take_due(self) -> list[Item]:
        """Remove and return all items if the pause is over.

        The caller adds those that fail again.
        """
        if time.monotonic() < self._retry_at:
            return []
        taken, self._items = self._items, []
        return taken

    def back_off(self) -> None:
        """Start the next pause after a failed attempt."""
        self._retry_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS)

    def reset(self) -> None:
        """Reset the pauses after a successful attempt."""
        self._pause, self._retry_at = FIRST_PAUSE_SECONDS, 0.0
