"""Limits request rates per minute, in this process.

Memory is bounded, and a check takes constant time.
"""

import time
from collections.abc import Callable, Hashable
from typing import Final

MINUTE: Final = 60
MAX_KEYS: Final = 50_000
"""The most keys of one generation. There are two generations."""
_NANOSECONDS: Final = 1_000_000_000
"""Rates are computed in whole nanoseconds, so that a thousand small intervals are exactly a thousand times one."""


class RateLimiter:
    """A token bucket for each key.

    It holds the requests of one minute, and is refilled continuously. A bucket is stored as one number: the time at
    which it is full again. A bucket that was not used for a minute is full, like one that does not exist.

    Buckets therefore belong to a generation that is kept for a minute after its last use, and then dropped as a whole.
    If there are more keys than `max_keys`, generations change sooner. The buckets that were not used for the longest
    time are dropped first, so that they count as full.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic, max_keys: int = MAX_KEYS) -> None:
        self.per_minute = per_minute
        self._interval = MINUTE * _NANOSECONDS // per_minute
        self._capacity = self._interval * per_minute
        self._clock = clock
        self._max_keys = max_keys
        self._current: dict[Hashable, int] = {}
        self._previous: dict[Hashable, int] = {}
        self._started_at = clock()

    def __len__(self) -> int:
        return len(self._current) + len(self._previous)

    def take(self, key: Hashable, amount: int = 1) -> float:
        """Take tokens from a key's bucket and return 0.0.

        If it has too few, none are taken, and the result is the seconds to wait. An amount of more than one minute's
        requests is allowed if the bucket is full, and empties it.
        """
        now = self._clock()
        if now - self._started_at >= MINUTE or len(self._current) >= self._max_keys:
            self._current, self._previous = {}, self._current
            if now - self._started_at >= 2 * MINUTE:
                self._previous = {}
            self._started_at = now
        at = int(now * _NANOSECONDS)
        full_at = self._current.get(key) or self._previous.get(key, at)
        full_after = max(full_at, at) + min(amount, self.per_minute) * self._interval
        if full_after - at > self._capacity:
            return (full_after - at - self._capacity) / _NANOSECONDS
        self._current[key] = full_after
        return 0.0
