"""The index of standing searches: from an email's facts to the few searches it may match, and to those it does.

A search is a few conjunctions, and equal ones of one range are one. Each is filed by range (a sender, or a whole
team), then one necessary equality, then a threshold. Whatever `add` puts in, `remove` takes out.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from typing import TypeAlias, TypeVar

from command_center.search.event_counts import Unfinished
from command_center.search.facts import Facts
from command_center.search.filter_ast import Engaged, Filter, Ids
from command_center.search.index.dnf import Conjunction, conjunctions
from command_center.search.index.entries import Condition, Conditions, Evaluation, IndexEntry, counts_of
from command_center.search.index.keys import IndexKey, RoutingKeys, keys_of
from command_center.search.index.posting_lists import Counts, PostingList
from command_center.search.index.time_boundaries import TimeKey
from command_center.search.scope import Scope, without_range

Range: TypeAlias = tuple[int, int | None]
"""A team, and a sender of it or None for all."""
Bucket: TypeAlias = tuple[Range, IndexKey]
T = TypeVar("T")

# The key of conjunctions that no equality narrows within their range.
_UNNARROWED: IndexKey = ("", 0)
# A search over many senders with many ids each would fill more buckets than it could ever save visits.
_MOST_BUCKETS = 4_096
STEP_CONJUNCTIONS = 8
"""Evaluated in one step of `matching_in_steps`."""


class Index:
    """Standing searches by id. Not safe to change from two threads at once."""

    def __init__(self) -> None:
        self._standing: dict[int, IndexEntry | tuple[IndexEntry, ...]] = {}
        self._filed: dict[Scope, dict[tuple[Condition, ...], IndexEntry]] = {}
        self._conditions = Conditions()
        # Where a key has one conjunction only, it needs no shelf.
        self._ranges: dict[Range, dict[IndexKey, IndexEntry | PostingList[IndexEntry]]] = {}
        self._always = 0

    def __len__(self) -> int:
        return len(self._standing)

    def __contains__(self, search_id: object) -> bool:
        return search_id in self._standing

    def __iter__(self) -> Iterator[int]:
        return iter(self._standing)

    @property
    def unindexed(self) -> int:
        """Conjunctions that neither a key nor a threshold narrows: each email in their range looks at them."""
        return self._always

    @property
    def conjunctions(self) -> int:
        """Different conjunctions; how many there are less than searches is what sharing saves."""
        return sum(map(len, self._filed.values()))

    @property
    def conditions(self) -> int:
        """Different conditions, over all ranges."""
        return len(self._conditions)

    def add(self, search_id: int, scope: Scope, filter: Filter) -> None:
        """Puts a search in, in place of what stood under its id."""
        if search_id in self._standing:
            self.remove(search_id)
        filed = tuple([self._file(scope, each) for each in conjunctions(_less_its_range(filter, scope))])
        for each in filed:
            each.add(search_id)
        self._standing[search_id] = filed[0] if len(filed) == 1 else filed

    def remove(self, search_id: int) -> None:
        """Takes a search out, if it is there, and leaves no trace of it."""
        for filed in _several(self._standing.pop(search_id, ())):
            filed.remove(search_id)
            if not filed.searches:
                self._unfile(filed)

    def candidates(self, facts: Facts) -> set[int]:
        """Every search the email may match: all that do match, and as few others as keys and thresholds allow."""
        return set[int]().union(*(filed.searches for filed in self._reached(facts, counts_of(facts))))

    def matching(self, facts: Facts, now: int) -> set[int]:
        """Every search that matches. A conjunction is judged once, however many searches share it."""
        return finish(self.matching_in_steps(facts, now))

    def matching_in_steps(self, facts: Facts, now: int) -> Generator[None, None, set[int]]:
        """Like `matching`, in steps that each take a few milliseconds at most. The index must not change in between."""
        look, found = Evaluation(facts, now), set[int]()
        for place, filed in enumerate(self._reached(facts, look.counts), 1):
            while True:
                try:
                    if look.all_hold(filed.residual):
                        found.update(filed.searches)
                    break
                except Unfinished:
                    facts.renew_allowance()
                    yield
            if not place % STEP_CONJUNCTIONS:
                yield
        return found

    def matches(self, search_id: int, facts: Facts, now: int) -> bool:
        """Whether a search matches, range included, without regard to how it is filed. An unknown one does not."""
        return any(
            filed.scope.covers(facts.team_id, facts.sender_id)
            and all(condition.holds(facts, now) for condition in filed.conditions)
            for filed in _several(self._standing.get(search_id, ()))
        )

    def matches_in_steps(self, search_id: int, facts: Facts, now: int) -> Generator[None, None, bool]:
        """Like `matches`, in steps that each take a few milliseconds at most."""
        while True:
            with suppress(Unfinished):
                return self.matches(search_id, facts, now)
            facts.renew_allowance()
            yield

    def mentions_group(self, group_id: int) -> bool:
        """Whether any search asks for this group anywhere: if none does, its people may come and go unnoticed."""
        return group_id in self._conditions.groups

    def time_keys(self) -> Iterable[TimeKey]:
        """The moving boundaries in use, each once."""
        return self._conditions.time_keys.keys()

    def _reached(self, facts: Facts, counts: Counts) -> Iterator[IndexEntry]:
        keys = [_UNNARROWED, *keys_of(facts)]
        for sender in (facts.sender_id, None):
            buckets = self._ranges.get((facts.team_id, sender))
            if buckets is None:
                continue
            for key in keys:
                found = buckets.get(key)
                if found is None:
                    continue
                if isinstance(found, PostingList):
                    yield from found.reached(counts)
                else:
                    yield found

    def _file(self, scope: Scope, conjunction: Conjunction) -> IndexEntry:
        conditions = self._conditions.of(conjunction)
        in_range = self._filed.setdefault(scope, {})
        filed = in_range.get(conditions)
        if filed is None:
            known = next(iter(in_range.values()), None)
            narrow = _narrowest(scope, conditions)
            filed = IndexEntry(scope if known is None else known.scope, conditions, _rest(conditions, narrow))
            in_range[conditions] = filed
            self._conditions.hold(conditions)
            self._put(filed, narrow)
        return filed

    def _unfile(self, filed: IndexEntry) -> None:
        del self._filed[filed.scope][filed.conditions]
        if not self._filed[filed.scope]:
            del self._filed[filed.scope]
        self._take(filed)
        self._conditions.release(filed.conditions)

    def _put(self, filed: IndexEntry, narrow: Condition | None) -> None:
        under, buckets = _threshold(filed), _buckets(filed.scope, narrow)
        for range_, key in buckets:
            in_range = self._ranges.setdefault(range_, {})
            there = in_range.setdefault(key, filed)
            if isinstance(there, PostingList):
                there.add(filed, under)
            elif there is not filed:
                shelf = in_range[key] = PostingList[IndexEntry]()
                shelf.add(there, _threshold(there))
                shelf.add(filed, under)
        self._always += _is_always(buckets, under)

    def _take(self, filed: IndexEntry) -> None:
        under, buckets = _threshold(filed), _buckets(filed.scope, _narrowest(filed.scope, filed.conditions))
        for range_, key in buckets:
            in_range = self._ranges[range_]
            there = in_range[key]
            if isinstance(there, PostingList):
                there.remove(filed, under)
                if (last := there.only()) is not None:
                    in_range[key] = last
            else:
                del in_range[key]
                if not in_range:
                    del self._ranges[range_]
        self._always -= _is_always(buckets, under)


def finish(steps: Generator[None, None, T]) -> T:
    """Takes all steps at once. Returns what they result in."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def _several(standing: IndexEntry | tuple[IndexEntry, ...]) -> tuple[IndexEntry, ...]:
    return (standing,) if isinstance(standing, IndexEntry) else standing


def _less_its_range(filter: Filter, scope: Scope) -> Filter:
    """The filter without the senders it ranges over, where the range says as much."""
    rest = without_range(filter)
    if rest is filter:
        return filter
    named = (part for part in filter.parts if isinstance(part, Ids) and part.field == "sender")
    said = scope.senders is not None and all(scope.senders <= part.keys for part in named)
    return rest if said else filter


def _rest(conditions: tuple[Condition, ...], narrow: Condition | None) -> tuple[Condition, ...]:
    """What is still to be judged of an email that has the key."""
    if narrow is None or not narrow.settles:
        return conditions
    return tuple([each for each in conditions if each is not narrow])


def _narrowest(scope: Scope, conditions: tuple[Condition, ...]) -> Condition | None:
    """The condition whose keys a conjunction is filed under, if it has one that says enough."""
    best: Condition | None = None
    for each in conditions:
        if each.breadth is not None and (best is None or _says_more(each, best)):
            best = each
    return best if best is not None and _affordable(scope, best.keys) else None


def _says_more(one: Condition, other: Condition) -> bool:
    if one.breadth != other.breadth:
        return one.breadth is not None and (other.breadth is None or one.breadth < other.breadth)
    # Whatever stood before, the same conjunction goes under the same key; and of what was done to an email the kinds
    # that come later are the rarer ones.
    return bool(one.keys and other.keys) and max(one.keys or ()) > max(other.keys or ())


def _affordable(scope: Scope, keys: RoutingKeys) -> bool:
    senders = 1 if scope.senders is None else len(scope.senders)
    return keys is not None and (senders < 2 or senders * len(keys) <= _MOST_BUCKETS)


def _buckets(scope: Scope, narrow: Condition | None) -> list[Bucket]:
    keys = None if narrow is None else narrow.keys
    senders = (None,) if scope.senders is None else scope.senders
    fields = (_UNNARROWED,) if keys is None else keys
    return [((scope.team_id, sender), key) for sender in senders for key in fields]


def _threshold(filed: IndexEntry) -> Engaged | None:
    """The counter that fewest emails have reached, if there is one."""
    rarest: Condition | None = None
    for each in filed.conditions:
        if each.rarity is not None and (rarest is None or rarest.rarity is None or each.rarity > rarest.rarity):
            rarest = each
    return None if rarest is None else rarest.counter


def _is_always(buckets: list[Bucket], under: Engaged | None) -> bool:
    return under is None and any(key == _UNNARROWED for _, key in buckets)
