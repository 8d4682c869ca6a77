"""What was found out and may be asked for again, as much as fits; what was not asked for longest goes first."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Bounded by the number of entries and by what they weigh together."""

    def __init__(self, entries: int, weight: int = 0) -> None:
        self._entries = entries
        self._most = weight
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def add(self, key: K, value: V, weight: int = 0) -> None:
        """A key that is not there yet."""
        self._values[key] = value, weight
        self.weight += weight
        while len(self._values) > self._entries or self.weight > self._most:
            _, (_, gone) = self._values.popitem(last=False)
            self.weight -= gone
