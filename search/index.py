"""The index of standing searches: from an email's facts to the few searches it may match.

Buckets are keyed by range first (a sender, or a whole team), then by one necessary equality. Whatever `add` puts in,
`remove` takes out. The predicate, not the index, decides.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from search.clock import TimeKey, time_keys
from search.facts import Facts
from search.predicate import Predicate, compile_predicate
from search.routing import RoutingKey, keys_of, routing_keys
from search.scope import Scope, without_range
from search.tree import Filter, Ids, leaves

Range: TypeAlias = tuple[str, int]
Bucket: TypeAlias = tuple[Range, RoutingKey]
Key = TypeVar("Key", int, TimeKey)

# The key of searches that no equality narrows within their range.
_UNNARROWED: RoutingKey = ("", 0)
# A search over many senders with many ids each would fill more buckets than it could ever save visits.
_MOST_BUCKETS = 4_096


@dataclass(slots=True)
class _Standing:
    """One search of the index. It is compiled when it is first judged: most never are."""

    scope: Scope
    filter: Filter
    buckets: tuple[Bucket, ...]
    groups: frozenset[int]
    time_keys: frozenset[TimeKey]
    predicate: Predicate | None = None

    def matches(self, facts: Facts, now: int) -> bool:
        if not self.scope.covers(facts.team_id, facts.sender_id):
            return False
        if self.predicate is None:
            self.predicate = compile_predicate(self.filter)
        return self.predicate(facts, now)


class Index:
    """Standing searches by id. Not safe to change from two threads at once."""

    def __init__(self) -> None:
        self._standing: dict[int, _Standing] = {}
        self._buckets: dict[Bucket, set[int]] = {}
        self._groups: Counter[int] = Counter()
        self._time_keys: Counter[TimeKey] = Counter()

    def __len__(self) -> int:
        return len(self._standing)

    def __contains__(self, search_id: object) -> bool:
        return search_id in self._standing

    def __iter__(self) -> Iterator[int]:
        return iter(self._standing)

    def add(self, search_id: int, scope: Scope, filter: Filter) -> None:
        """Puts a search in, in place of what stood under its id."""
        self.remove(search_id)
        standing = _Standing(scope, filter, _buckets(scope, filter), _groups(filter), time_keys(filter))
        self._standing[search_id] = standing
        for bucket in standing.buckets:
            self._buckets.setdefault(bucket, set()).add(search_id)
        self._groups.update(standing.groups)
        self._time_keys.update(standing.time_keys)

    def remove(self, search_id: int) -> None:
        """Takes a search out, if it is there, and leaves no trace of it."""
        standing = self._standing.pop(search_id, None)
        if standing is None:
            return
        for bucket in standing.buckets:
            self._buckets[bucket].discard(search_id)
            if not self._buckets[bucket]:
                del self._buckets[bucket]
        _discount(self._groups, standing.groups)
        _discount(self._time_keys, standing.time_keys)

    def candidates(self, facts: Facts) -> set[int]:
        """Every search the email may match: all that do match, and as few others as the keys allow."""
        keys = [_UNNARROWED, *keys_of(facts)]
        ranges: tuple[Range, ...] = (("sender", facts.sender_id), ("team", facts.team_id))
        found = (self._buckets.get((range, key)) for range in ranges for key in keys)
        return set().union(*(searches for searches in found if searches))

    def matches(self, search_id: int, facts: Facts, now: int) -> bool:
        """Whether a search matches, range included. An unknown search matches nothing."""
        standing = self._standing.get(search_id)
        return standing is not None and standing.matches(facts, now)

    def mentions_group(self, group_id: int) -> bool:
        """Whether any search asks for this group anywhere: if none does, its people may come and go unnoticed."""
        return group_id in self._groups

    def time_keys(self) -> Iterable[TimeKey]:
        """The moving boundaries in use, each once."""
        return self._time_keys.keys()


def _buckets(scope: Scope, filter: Filter) -> tuple[Bucket, ...]:
    ranges: list[Range] = [("team", scope.team_id)]
    if scope.senders is not None:
        ranges = [("sender", sender) for sender in scope.senders]
    keys = routing_keys(without_range(filter))
    if keys is None or (len(ranges) > 1 and len(ranges) * len(keys) > _MOST_BUCKETS):
        keys = frozenset({_UNNARROWED})
    return tuple((range, key) for range in ranges for key in keys)


def _groups(filter: Filter) -> frozenset[int]:
    lists = (leaf.keys for leaf in leaves(filter) if isinstance(leaf, Ids) and leaf.field == "personGroup")
    return frozenset[int]().union(*lists)


def _discount(counts: Counter[Key], keys: Iterable[Key]) -> None:
    for key in keys:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
