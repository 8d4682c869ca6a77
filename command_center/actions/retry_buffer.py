"""What readers did while the database fails: kept in memory up to a number, and tried again at growing pauses."""

import time
from collections.abc import Sequence
from typing import Generic, TypeVar

from command_center.database.errors import FailureLog, Unavailable

KEPT = 10_000
"""How many views and clicks wait. What comes beyond that is lost, counted and logged."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two attempts."""
Each = TypeVar("Each")


class RetryBuffer(Generic[Each]):
    """The oldest are kept: what they tell decides what the later ones mean."""

    def __init__(self, outage: FailureLog, room: int = KEPT) -> None:
        self.lost = 0
        self._outage = outage
        self._room = room
        self._all: list[Each] = []
        self._pause = FIRST_PAUSE
        self._again = 0.0

    def __len__(self) -> int:
        return len(self._all)

    def add(self, more: Sequence[Each]) -> None:
        left = max(0, self._room - len(self._all))
        self._all += more[:left]
        if len(more) > left:
            self.lost += len(more) - left
            self._outage.warn(Unavailable(f"{self.lost} views and clicks are lost: more than {self._room} wait"))

    def pause(self) -> float | None:
        """Seconds until the next attempt; None where nothing is kept."""
        return max(0.0, self._again - time.monotonic()) if self._all else None

    def due(self) -> list[Each]:
        """All of them, if it is time. Whoever takes them adds again what does not succeed."""
        if time.monotonic() < self._again:
            return []
        taken, self._all = self._all, []
        return taken

    def rest(self) -> None:
        """An attempt failed."""
        self._again = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def hurry(self) -> None:
        """The database is back."""
        self._pause, self._again = FIRST_PAUSE, 0.0
