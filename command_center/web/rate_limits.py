"""Rates: how often somebody may, per minute and in this process. Memory is bounded, and a look takes constant time."""

import time
from collections.abc import Callable, Hashable
from typing import Final

MINUTE: Final = 60
REMEMBERED: Final = 50_000
"""Keys of one generation; there are two."""
_SECOND: Final = 1_000_000_000
"""In whole nanoseconds, of which a thousand small shares are exactly a thousand times one."""


class RateLimiter:
    """A bucket for each key: it holds a minute's worth and is refilled steadily.

    A bucket is one number, the moment at which it is full again. One that nobody took from for a minute is full, as
    is one that never was: so a generation of buckets is kept for a minute after the last of it was touched, and then
    dropped as a whole. Where there are more keys than are remembered, generations change sooner, and who has not come
    for longest is forgiven first.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic, remembered: int = REMEMBERED
    ) -> None:
        self.per_minute = per_minute
        self._share = MINUTE * _SECOND // per_minute
        self._full = self._share * per_minute
        self._clock = clock
        self._remembered = remembered
        self._present: dict[Hashable, int] = {}
        self._past: dict[Hashable, int] = {}
        self._began = clock()

    def __len__(self) -> int:
        return len(self._present) + len(self._past)

    def take(self, key: Hashable, amount: int = 1) -> float:
        """0.0 where it is allowed; otherwise the seconds to wait, and nothing is taken.

        More than a minute's worth at once is allowed to whoever has a full bucket, and empties it.
        """
        now = self._clock()
        if now - self._began >= MINUTE or len(self._present) >= self._remembered:
            self._present, self._past = {}, self._present
            if now - self._began >= 2 * MINUTE:
                self._past = {}
            self._began = now
        at = int(now * _SECOND)
        full_at = self._present.get(key) or self._past.get(key, at)
        after = max(full_at, at) + min(amount, self.per_minute) * self._share
        if after - at > self._full:
            return (after - at - self._full) / _SECOND
        self._present[key] = after
        return 0.0
