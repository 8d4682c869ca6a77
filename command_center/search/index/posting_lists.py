"""Implements posting lists: the index entries under one index key.

They are sorted by a threshold on the email's event counts.

A lookup finds the entries whose threshold is reached by binary search, and takes all entries without a threshold. Its
cost depends on what it finds, not on the length of the list.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Generic, TypeAlias, TypeVar

from command_center.search.filter_ast import EngagementCondition

Counts: TypeAlias = Mapping[int, int]
"""Human events of an email by kind. A kind without events may be absent."""
Posting = TypeVar("Posting")
_Side: TypeAlias = tuple[int, bool]
"""An event kind, and True for lower bounds or False for upper bounds."""


def selectivity(counter: EngagementCondition) -> tuple[bool, int, int]:
    """Return a sort key that is greater if fewer emails have enough events.

    It consists of whether the condition has a lower bound, the kind of event, and the bound. Rarer kinds and higher
    lower bounds are more selective. Without a lower bound, the kind and the upper bound count in reverse.
    """
    if counter.least > 0:
        return True, counter.kind, counter.least
    return False, -counter.kind, -(counter.at_most or 0)


class PostingList(Generic[Posting]):
    """The index entries under one index key, sorted by threshold.

    A threshold is a bound on the number of an email's human events of one kind. `remove` must be called with the
    threshold that `add` was called with.
    """

    __slots__ = ("_by_side", "_without_threshold")

    def __init__(self) -> None:
        self._without_threshold: list[Posting] = []
        self._by_side: dict[_Side, _SortedPostings[Posting]] = {}

    def __iter__(self) -> Iterator[Posting]:
        yield from self._without_threshold
        for line in self._by_side.values():
            yield from line.entries

    def single_entry(self) -> Posting | None:
        """Return the only entry of the list, or None if it has several."""
        first, second = (*islice(self, 2), None, None)[:2]
        return first if second is None else None

    def add(self, entry: Posting, threshold: EngagementCondition | None) -> None:
        if threshold is None:
            self._without_threshold.append(entry)
        else:
            side, bound = _side_and_bound(threshold)
            line = self._by_side.get(side)
            if line is None:
                line = self._by_side[side] = _SortedPostings()
            line.add(bound, entry)

    def remove(self, entry: Posting, threshold: EngagementCondition | None) -> None:
        if threshold is None:
            self._without_threshold.remove(entry)
            return
        side, bound = _side_and_bound(threshold)
        line = self._by_side[side]
        line.remove(bound, entry)
        if not line.bounds:
            del self._by_side[side]

    def may_match(self, counts: Counts) -> Iterator[Posting]:
        """Yield the entries that an email with these counts may match."""
        yield from self._without_threshold
        for (kind, rising), line in self._by_side.items():
            count = counts.get(kind, 0)
            if rising:
                yield from line.entries[: bisect_right(line.bounds, count)]
            else:
                yield from line.entries[bisect_left(line.bounds, count) :]


class _SortedPostings(Generic[Posting]):
    """Index entries, sorted by a bound on the number of events of one kind.

    `bounds` is in ascending order, and `entries` has the entry of each bound at the same place. All bounds are lower
    bounds (at least), or all are upper bounds (at most).
    """

    __slots__ = ("bounds", "entries")

    def __init__(self) -> None:
        self.bounds: list[int] = []
        self.entries: list[Posting] = []

    def add(self, bound: int, entry: Posting) -> None:
        position = bisect_right(self.bounds, bound)
        self.bounds.insert(position, bound)
        self.entries.insert(position, entry)

    def remove(self, bound: int, entry: Posting) -> None:
        position = self.entries.index(entry, bisect_left(self.bounds, bound))
        del self.bounds[position], self.entries[position]


def _side_and_bound(counter: EngagementCondition) -> tuple[_Side, int]:
    if counter.least > 0:
        return (counter.kind, True), counter.least
    return (counter.kind, False), counter.at_most or 0
