"""The entries and the conditions that the index stores.

Equal searches share entries, and equal conjunctions share conditions.

There may be millions of them. So all objects are small and without cycles, and each is freed with its last user.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from operator import attrgetter
from typing import TypeVar

from command_center.search.facts import Facts
from command_center.search.filter_ast import EngagementCondition, Filter, Part, id_lists
from command_center.search.index.dnf import is_counter
from command_center.search.index.keys import breadth, index_keys, is_exact
from command_center.search.index.posting_lists import Counts, selectivity
from command_center.search.index.time_boundaries import TimeKey, time_keys
from command_center.search.predicate import Predicate, compile_predicate
from command_center.search.scope import Scope
from models.enums import EngagementVerdict

_BY_NUMBER = attrgetter("number")
Key = TypeVar("Key", int, TimeKey)


class Condition:
    """One condition, shared by all conjunctions that contain it.

    Its index keys and its selectivity decide under which key an index entry is stored.

    Its predicate is compiled when it is first evaluated, because most conditions never are.
    """

    __slots__ = ("_predicate", "breadth", "counter", "is_exact", "keys", "number", "part", "selectivity", "uses")

    def __init__(self, part: Part, number: int) -> None:
        self.part = part
        self.number = number
        self.uses = 0
        """The number of conjunctions that use the condition."""
        self.keys = index_keys(Filter((part,)))
        self.breadth = None if self.keys is None else breadth(self.keys)
        """See `keys.breadth`; None if the condition has no index keys."""
        self.counter = part if isinstance(part, EngagementCondition) and is_counter(part) else None
        """The condition itself, if it only bounds the number of human events of a kind."""
        self.selectivity = None if self.counter is None else selectivity(self.counter)
        self.is_exact = is_exact(part)
        """True if an email that has one of the keys is known to meet the condition."""
        self._predicate: Predicate | None = None

    def holds(self, facts: Facts, now: int) -> bool:
        """Return True if the condition holds for the email at the moment `now`."""
        if self._predicate is None:
            self._predicate = compile_predicate(Filter((self.part,)))
        return self._predicate(facts, now)

    def holds_in(self, evaluation: "Evaluation") -> bool:
        """Return True if the condition holds for an evaluation's email and moment.

        If the condition only bounds the number of human events of a kind, it is compared with the email's counts.
        """
        counter = self.counter
        if counter is None:
            return self.holds(evaluation.facts, evaluation.now)
        count = evaluation.counts.get(counter.kind, 0)
        return counter.least <= count and (counter.at_most is None or count <= counter.at_most)


class Conditions:
    """All conditions that the index uses, so that equal ones are stored once.

    It also counts the conditions that mention each group and each time boundary.
    """

    __slots__ = ("_by_part", "_last_number", "groups", "time_keys")

    def __init__(self) -> None:
        self._by_part: dict[Part, Condition] = {}
        self._last_number = 0
        self.groups: Counter[int] = Counter()
        self.time_keys: Counter[TimeKey] = Counter()

    def __len__(self) -> int:
        return len(self._by_part)

    def __iter__(self) -> Iterator[Condition]:
        return iter(self._by_part.values())

    def intern(self, parts: Iterable[Part]) -> tuple[Condition, ...]:
        """Return the shared condition of each part, created if it does not exist.

        The order of the result does not depend on that of the parts. A caller that stores the conditions must call
        `acquire`.
        """
        by_part = self._by_part
        return tuple(sorted([by_part.get(part) or self._create(part) for part in parts], key=_BY_NUMBER))

    def acquire(self, conditions: Iterable[Condition]) -> None:
        """Count one more user of each condition."""
        for condition in conditions:
            condition.uses += 1

    def release(self, conditions: Iterable[Condition]) -> None:
        """Count one user less of each condition, and remove those without users."""
        for condition in conditions:
            condition.uses -= 1
            if not condition.uses:
                del self._by_part[condition.part]
                _discount(self.groups, _groups(condition.part))
                _discount(self.time_keys, time_keys(Filter((condition.part,))))

    def _create(self, part: Part) -> Condition:
        self._last_number += 1
        condition = self._by_part[part] = Condition(part, self._last_number)
        self.groups.update(_groups(part))
        self.time_keys.update(time_keys(Filter((part,))))
        return condition


class Evaluation:
    """Evaluates conditions for one email at one moment, and caches their results.

    Each condition is evaluated once, however many conjunctions share it.
    """

    __slots__ = ("_results", "counts", "facts", "now")

    def __init__(self, facts: Facts, now: int) -> None:
        self.facts = facts
        self.now = now
        self.counts = counts_of(facts)
        self._results: dict[Condition, bool] = {}

    def all_hold(self, conditions: Iterable[Condition]) -> bool:
        """Return True if all conditions hold."""
        results = self._results
        for condition in conditions:
            holds = results.get(condition)
            if holds is None:
                holds = results[condition] = condition.holds_in(self)
            if not holds:
                return False
        return True


def counts_of(facts: Facts) -> Counts:
    """Return the number of human events of an email by kind."""
    counts: dict[int, int] = {}
    human = EngagementVerdict.HUMAN
    for kind, verdict, _, _ in facts.events:
        if verdict is human:
            counts[kind] = counts.get(kind, 0) + 1
    return counts


class IndexEntry:
    """One conjunction in one scope, and the searches that contain it.

    `residual` are the conditions that remain to be evaluated for an email that has the entry's index key.
    """

    __slots__ = ("_searches", "conditions", "residual", "scope")

    def __init__(self, scope: Scope, conditions: tuple[Condition, ...], residual: tuple[Condition, ...]) -> None:
        self.scope = scope
        self.conditions = conditions
        self.residual = residual
        # An entry nearly always has one search, and a plain int takes a tenth of the memory of a list with one item.
        self._searches: int | array[int] | None = None

    @property
    def searches(self) -> Collection[int]:
        if self._searches is None:
            return ()
        return (self._searches,) if isinstance(self._searches, int) else self._searches

    def add(self, search_id: int) -> None:
        if self._searches is None:
            self._searches = search_id
        elif isinstance(self._searches, int):
            self._searches = array("q", (self._searches, search_id))
        else:
            self._searches.append(search_id)

    def remove(self, search_id: int) -> None:
        if isinstance(self._searches, array):
            self._searches.remove(search_id)
            if len(self._searches) == 1:
                self._searches = self._searches[0]
        else:
            self._searches = None


def _groups(part: Part) -> frozenset[int]:
    """Return the ids of the groups that a condition names."""
    lists = (leaf.keys for leaf in id_lists(Filter((part,))) if leaf.field == "personGroup")
    return frozenset[int]().union(*lists)


def _discount(counts: Counter[Key], keys: Iterable[Key]) -> None:
    """Decrement the count of each key, and remove those that become zero."""
    for key in keys:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
