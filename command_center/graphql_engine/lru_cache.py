"""A least-recently-used cache.

When it is full, the value that was read longest ago is removed first.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Maps keys to values, up to a number of entries and a total weight.

    A value's `weight` is what the caller says it costs, for example in bytes.
    """

    def __init__(self, max_entries: int, max_weight: int = 0) -> None:
        self._max_entries = max_entries
        self._max_weight = max_weight
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return the value, which counts as read now; None if there is none."""
        entry = self._values.get(key)
        if entry is None:
            return None
        self._values.move_to_end(key)
        return entry[0]

    def add(self, key: K, value: V, weight: int = 0) -> None:
        """Insert a value. The key must not be in the cache yet."""
        self._values[key] = value, weight
        self.weight += weight
        while len(self._values) > self._max_entries or self.weight > self._max_weight:
            _, (_, evicted_weight) = self._values.popitem(last=False)
            self.weight -= evicted_weight
