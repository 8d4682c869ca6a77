"""The index of saved searches.

It finds the few searches that an email may match, and those that it does match.

It stores each search as a few conjunctions (see `dnf`). Equal conjunctions of one scope share one index entry. An
entry is filed as follows:

    (team, sender or all) -> index key -> posting list, sorted by threshold -> entry -> ids of searches

`remove` undoes whatever `add` did.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from typing import TypeAlias, TypeVar

from command_center.search.event_counts import Unfinished
from command_center.search.facts import Facts
from command_center.search.filter_ast import EngagementCondition, Filter, Ids
from command_center.search.index.dnf import Conjunction, conjunctions
from command_center.search.index.entries import Condition, Conditions, Evaluation, IndexEntry, counts_of
from command_center.search.index.keys import IndexKey, IndexKeys, email_keys
from command_center.search.index.posting_lists import Counts, PostingList
from command_center.search.index.time_boundaries import TimeKey
from command_center.search.scope import Scope, without_scope

Partition: TypeAlias = tuple[int, int | None]
"""A team, and one of its senders or None for all of them."""
Bucket: TypeAlias = tuple[Partition, IndexKey]
"""Where an entry is filed: a partition, and a key in it."""
T = TypeVar("T")

# The key of conjunctions that have no index key in their partition.
_CATCH_ALL_KEY: IndexKey = ("", 0)
# A search with many senders and many ids would fill more buckets than filing it under its ids could ever save.
_MAX_BUCKETS = 4_096
STEP_CONJUNCTIONS = 8
"""Conjunctions evaluated in one step of `matching_in_steps`."""


class Index:
    """The index of saved searches, which are identified by their ids.

    Two threads must not change it concurrently.
    """

    def __init__(self) -> None:
        self._entries_by_search: dict[int, IndexEntry | tuple[IndexEntry, ...]] = {}
        self._entries_by_scope: dict[Scope, dict[tuple[Condition, ...], IndexEntry]] = {}
        self._conditions = Conditions()
        # A key with a single entry needs no posting list.
        self._partitions: dict[Partition, dict[IndexKey, IndexEntry | PostingList[IndexEntry]]] = {}
        self._unindexed_count = 0

    def __len__(self) -> int:
        return len(self._entries_by_search)

    def __contains__(self, search_id: object) -> bool:
        return search_id in self._entries_by_search

    def __iter__(self) -> Iterator[int]:
        return iter(self._entries_by_search)

    @property
    def unindexed(self) -> int:
        """The number of index entries that have neither an index key nor a threshold.

        They are evaluated for every email in their scope.
        """
        return self._unindexed_count

    @property
    def conjunctions(self) -> int:
        """The number of distinct conjunctions, each counted once for every scope.

        If it is below the number of searches, some searches share conjunctions.
        """
        return sum(map(len, self._entries_by_scope.values()))

    @property
    def conditions(self) -> int:
        """The number of distinct conditions in all scopes."""
        return len(self._conditions)

    def add(self, search_id: int, scope: Scope, filter: Filter) -> None:
        """Add a search, replacing the one with the same id."""
        if search_id in self._entries_by_search:
            self.remove(search_id)
        form = conjunctions(_without_scope_senders(filter, scope))
        entries = tuple([self._add_entry(scope, conjunction) for conjunction in form])
        for entry in entries:
            entry.add(search_id)
        self._entries_by_search[search_id] = entries[0] if len(entries) == 1 else entries

    def remove(self, search_id: int) -> None:
        """Remove a search, if it exists, with everything that only it uses."""
        for entry in _as_tuple(self._entries_by_search.pop(search_id, ())):
            entry.remove(search_id)
            if not entry.searches:
                self._remove_entry(entry)

    def candidates(self, facts: Facts) -> set[int]:
        """Return the ids of the searches that an email may match.

        They include all that match. Index keys and thresholds exclude as many others as they can.
        """
        return set[int]().union(*(entry.searches for entry in self._candidate_entries(facts, counts_of(facts))))

    def matching(self, facts: Facts, now: int) -> set[int]:
        """Return the ids of the searches that an email matches at the moment `now`.

        Each conjunction is evaluated once, however many searches share it.
        """
        return finish(self.matching_in_steps(facts, now))

    def matching_in_steps(self, facts: Facts, now: int) -> Generator[None, None, set[int]]:
        """Return what `matching` returns, computed in steps.

        The generator yields after a few milliseconds at most. The index must not change between two steps.
        """
        evaluation, matching_ids = Evaluation(facts, now), set[int]()
        for count, entry in enumerate(self._candidate_entries(facts, evaluation.counts), 1):
            while True:
                try:
                    if evaluation.all_hold(entry.residual):
                        matching_ids.update(entry.searches)
                    break
                except Unfinished:
                    facts.renew_allowance()
                    yield
            if not count % STEP_CONJUNCTIONS:
                yield
        return matching_ids

    def matches(self, search_id: int, facts: Facts, now: int) -> bool:
        """Return True if an email matches a search, and is in its scope.

        The evaluation uses neither index keys nor thresholds. A search that is not in the index does not match.
        """
        return any(
            entry.scope.covers(facts.team_id, facts.sender_id)
            and all(condition.holds(facts, now) for condition in entry.conditions)
            for entry in _as_tuple(self._entries_by_search.get(search_id, ()))
        )

    def matches_in_steps(self, search_id: int, facts: Facts, now: int) -> Generator[None, None, bool]:
        """Return what `matches` returns, computed in steps.

        The generator yields after a few milliseconds at most.
        """
        while True:
            with suppress(Unfinished):
                return self.matches(search_id, facts, now)
            facts.renew_allowance()
            yield

    def mentions_group(self, group_id: int) -> bool:
        """Return True if any search in the index names a group.

        If none does, a change of the people in the group has no effect.
        """
        return group_id in self._conditions.groups

    def time_keys(self) -> Iterable[TimeKey]:
        """Return the time boundaries in use, each once."""
        return self._conditions.time_keys.keys()

    def _candidate_entries(self, facts: Facts, counts: Counts) -> Iterator[IndexEntry]:
        """Yield the entries under the email's index keys whose threshold it meets.

        `counts` are the numbers of its human events by kind.
        """
        keys = [_CATCH_ALL_KEY, *email_keys(facts)]
        for sender in (facts.sender_id, None):
            buckets = self._partitions.get((facts.team_id, sender))
            if buckets is None:
                continue
            for key in keys:
                entries = buckets.get(key)
                if entries is None:
                    continue
                if isinstance(entries, PostingList):
                    yield from entries.may_match(counts)
                else:
                    yield entries

    def _add_entry(self, scope: Scope, conjunction: Conjunction) -> IndexEntry:
        """Return the index entry of a conjunction in a scope.

        If it does not exist, it is created and stored under its index key.
        """
        conditions = self._conditions.intern(conjunction)
        in_scope = self._entries_by_scope.setdefault(scope, {})
        entry = in_scope.get(conditions)
        if entry is None:
            sibling = next(iter(in_scope.values()), None)
            key_condition = _most_selective(scope, conditions)
            entry = IndexEntry(
                scope if sibling is None else sibling.scope, conditions, _residual(conditions, key_condition)
            )
            in_scope[conditions] = entry
            self._conditions.acquire(conditions)
            self._file(entry, key_condition)
        return entry

    def _remove_entry(self, entry: IndexEntry) -> None:
        del self._entries_by_scope[entry.scope][entry.conditions]
        if not self._entries_by_scope[entry.scope]:
            del self._entries_by_scope[entry.scope]
        self._unfile(entry)
        self._conditions.release(entry.conditions)

    def _file(self, entry: IndexEntry, key_condition: Condition | None) -> None:
        """Store an entry under the keys of its key condition, for each of its senders.

        If `key_condition` is None, all emails in the scope find the entry.
        """
        threshold, places = _threshold(entry), _buckets(entry.scope, key_condition)
        for partition, key in places:
            buckets = self._partitions.setdefault(partition, {})
            existing = buckets.setdefault(key, entry)
            if isinstance(existing, PostingList):
                existing.add(entry, threshold)
            elif existing is not entry:
                posting_list = buckets[key] = PostingList[IndexEntry]()
                posting_list.add(existing, _threshold(existing))
                posting_list.add(entry, threshold)
        self._unindexed_count += _is_unindexed(places, threshold)

    def _unfile(self, entry: IndexEntry) -> None:
        """Remove an entry from all places where `_file` stored it."""
        threshold, places = _threshold(entry), _buckets(entry.scope, _most_selective(entry.scope, entry.conditions))
        for partition, key in places:
            buckets = self._partitions[partition]
            existing = buckets[key]
            if isinstance(existing, PostingList):
                existing.remove(entry, threshold)
                if (remaining := existing.single_entry()) is not None:
                    buckets[key] = remaining
            else:
                del buckets[key]
                if not buckets:
                    del self._partitions[partition]
        self._unindexed_count -= _is_unindexed(places, threshold)


def finish(steps: Generator[None, None, T]) -> T:
    """Run a generator to its end, and return the value of its return statement."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def _as_tuple(entries: IndexEntry | tuple[IndexEntry, ...]) -> tuple[IndexEntry, ...]:
    return (entries,) if isinstance(entries, IndexEntry) else entries


def _without_scope_senders(filter: Filter, scope: Scope) -> Filter:
    """Return the filter without its sender conditions, if the scope implies them."""
    remainder = without_scope(filter)
    if remainder is filter:
        return filter
    sender_parts = (part for part in filter.parts if isinstance(part, Ids) and part.field == "sender")
    is_covered = scope.senders is not None and all(scope.senders <= part.keys for part in sender_parts)
    return remainder if is_covered else filter


def _residual(conditions: tuple[Condition, ...], key_condition: Condition | None) -> tuple[Condition, ...]:
    """Return the conditions that must be evaluated for an email with the index key.

    If the key implies `key_condition`, they are all others.
    """
    if key_condition is None or not key_condition.is_exact:
        return conditions
    return tuple([condition for condition in conditions if condition is not key_condition])


def _most_selective(scope: Scope, conditions: tuple[Condition, ...]) -> Condition | None:
    """Return the condition under whose index keys a conjunction is stored.

    The result is None if no condition has keys, or the best one has too many for this scope.
    """
    best: Condition | None = None
    for condition in conditions:
        if condition.breadth is not None and (best is None or _is_narrower(condition, best)):
            best = condition
    return best if best is not None and _fits_buckets(scope, best.keys) else None


def _is_narrower(one: Condition, other: Condition) -> bool:
    """Return True if the index keys of `one` are more selective than those of `other`."""
    if one.breadth != other.breadth:
        return one.breadth is not None and (other.breadth is None or one.breadth < other.breadth)
    # Break ties by the keys, so that a conjunction has the same key whatever the index contains. Engagement kinds with
    # higher numbers are rarer.
    return bool(one.keys and other.keys) and max(one.keys or ()) > max(other.keys or ())


def _fits_buckets(scope: Scope, keys: IndexKeys) -> bool:
    """Return True if few enough copies of an entry would be stored under these keys.

    The index stores one for each sender and key. The result is False if `keys` is None.
    """
    senders = 1 if scope.senders is None else len(scope.senders)
    return keys is not None and (senders < 2 or senders * len(keys) <= _MAX_BUCKETS)


def _buckets(scope: Scope, key_condition: Condition | None) -> list[Bucket]:
    keys = None if key_condition is None else key_condition.keys
    senders = (None,) if scope.senders is None else scope.senders
    index_keys = (_CATCH_ALL_KEY,) if keys is None else keys
    return [((scope.team_id, sender), key) for sender in senders for key in index_keys]


def _threshold(entry: IndexEntry) -> EngagementCondition | None:
    """Return the entry's most selective bound on a number of human events.

    The result is None if its conjunction has no such condition.
    """
    best: Condition | None = None
    for condition in entry.conditions:
        if condition.selectivity is not None and (
            best is None or best.selectivity is None or condition.selectivity > best.selectivity
        ):
            best = condition
    return None if best is None else best.counter


def _is_unindexed(buckets: list[Bucket], threshold: EngagementCondition | None) -> bool:
    """Return True if an entry has neither an index key nor a threshold."""
    return threshold is None and any(key == _CATCH_ALL_KEY for _, key in buckets)
