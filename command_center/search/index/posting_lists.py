"""What is filed under one key: conjunctions by a threshold that an email's present counts must have reached.

A look finds by halving those whose threshold is reached, and takes those that have none: it costs what it finds,
whatever else is there.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Generic, TypeAlias, TypeVar

from command_center.search.filter_ast import Engaged

Counts: TypeAlias = Mapping[int, int]
"""Human events of an email by kind; a kind it has none of may be absent."""
Filed = TypeVar("Filed")
_Side: TypeAlias = tuple[int, bool]


def selectivity(counter: Engaged) -> tuple[bool, int, int]:
    """The greater, the fewer emails have reached it: replies before clicks, more before fewer."""
    if counter.least > 0:
        return True, counter.kind, counter.least
    return False, -counter.kind, -(counter.at_most or 0)


class PostingList(Generic[Filed]):
    """Conjunctions by threshold. Each must be taken out with the threshold it was put in with."""

    __slots__ = ("_free", "_lines")

    def __init__(self) -> None:
        self._free: list[Filed] = []
        self._lines: dict[_Side, _SortedPostings[Filed]] = {}

    def __iter__(self) -> Iterator[Filed]:
        yield from self._free
        for line in self._lines.values():
            yield from line.filed

    def only(self) -> Filed | None:
        """The last one left, where it is the last."""
        first, second = (*islice(self, 2), None, None)[:2]
        return first if second is None else None

    def add(self, filed: Filed, under: Engaged | None) -> None:
        if under is None:
            self._free.append(filed)
        else:
            side, bound = _place(under)
            line = self._lines.get(side)
            if line is None:
                line = self._lines[side] = _SortedPostings()
            line.add(bound, filed)

    def remove(self, filed: Filed, under: Engaged | None) -> None:
        if under is None:
            self._free.remove(filed)
            return
        side, bound = _place(under)
        line = self._lines[side]
        line.remove(bound, filed)
        if not line.bounds:
            del self._lines[side]

    def reached(self, counts: Counts) -> Iterator[Filed]:
        """What an email with these counts may match."""
        yield from self._free
        for (kind, rising), line in self._lines.items():
            count = counts.get(kind, 0)
            if rising:
                yield from line.filed[: bisect_right(line.bounds, count)]
            else:
                yield from line.filed[bisect_left(line.bounds, count) :]


class _SortedPostings(Generic[Filed]):
    """One kind's bounds in order, all "at least" or all "at most", and beside each the conjunction that has it."""

    __slots__ = ("bounds", "filed")

    def __init__(self) -> None:
        self.bounds: list[int] = []
        self.filed: list[Filed] = []

    def add(self, bound: int, filed: Filed) -> None:
        place = bisect_right(self.bounds, bound)
        self.bounds.insert(place, bound)
        self.filed.insert(place, filed)

    def remove(self, bound: int, filed: Filed) -> None:
        place = self.filed.index(filed, bisect_left(self.bounds, bound))
        del self.bounds[place], self.filed[place]


def _place(counter: Engaged) -> tuple[_Side, int]:
    if counter.least > 0:
        return (counter.kind, True), counter.least
    return (counter.kind, False), counter.at_most or 0
