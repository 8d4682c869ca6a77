"""What the index files: conjunctions that equal searches share, and conditions that equal conjunctions share.

There may be millions: everything here is small, without cycles, and given back when its last user goes.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from operator import attrgetter
from typing import TypeVar

from command_center.search.facts import Facts
from command_center.search.filter_ast import Engaged, Filter, Part, id_lists
from command_center.search.index.dnf import is_counter
from command_center.search.index.keys import breadth, index_keys, is_exact
from command_center.search.index.posting_lists import Counts, selectivity
from command_center.search.index.time_boundaries import TimeKey, time_keys
from command_center.search.predicate import Predicate, compile_predicate
from command_center.search.scope import Scope
from models.enums import EngagementVerdict

_NUMBER = attrgetter("number")
Key = TypeVar("Key", int, TimeKey)


class Condition:
    """One condition, with what is asked of it whenever it is filed. Compiled when first judged: most never are."""

    __slots__ = ("_predicate", "breadth", "counter", "keys", "number", "part", "rarity", "settles", "uses")

    def __init__(self, part: Part, number: int) -> None:
        self.part = part
        self.number = number
        self.uses = 0
        self.keys = index_keys(Filter((part,)))
        self.breadth = None if self.keys is None else breadth(self.keys)
        self.counter = part if isinstance(part, Engaged) and is_counter(part) else None
        self.rarity = None if self.counter is None else selectivity(self.counter)
        self.settles = is_exact(part)
        self._predicate: Predicate | None = None

    def holds(self, facts: Facts, now: int) -> bool:
        if self._predicate is None:
            self._predicate = compile_predicate(Filter((self.part,)))
        return self._predicate(facts, now)

    def holds_of(self, look: "Evaluation") -> bool:
        """The same, of what is counted already where that is all that is asked."""
        counter = self.counter
        if counter is None:
            return self.holds(look.facts, look.now)
        count = look.counts.get(counter.kind, 0)
        return counter.least <= count and (counter.at_most is None or count <= counter.at_most)


class Conditions:
    """Every condition in use, once; and the groups and moving boundaries that any of them mentions."""

    __slots__ = ("_kept", "_made", "groups", "time_keys")

    def __init__(self) -> None:
        self._kept: dict[Part, Condition] = {}
        self._made = 0
        self.groups: Counter[int] = Counter()
        self.time_keys: Counter[TimeKey] = Counter()

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Condition]:
        return iter(self._kept.values())

    def of(self, parts: Iterable[Part]) -> tuple[Condition, ...]:
        """Their conditions, always in the same order. Whoever keeps them says so with `hold`."""
        kept = self._kept
        return tuple(sorted([kept.get(part) or self._one(part) for part in parts], key=_NUMBER))

    def hold(self, conditions: Iterable[Condition]) -> None:
        for condition in conditions:
            condition.uses += 1

    def release(self, conditions: Iterable[Condition]) -> None:
        for condition in conditions:
            condition.uses -= 1
            if not condition.uses:
                del self._kept[condition.part]
                _discount(self.groups, _groups(condition.part))
                _discount(self.time_keys, time_keys(Filter((condition.part,))))

    def _one(self, part: Part) -> Condition:
        self._made += 1
        made = self._kept[part] = Condition(part, self._made)
        self.groups.update(_groups(part))
        self.time_keys.update(time_keys(Filter((part,))))
        return made


class Evaluation:
    """One email at one moment. A condition is judged once, however many conjunctions ask it."""

    __slots__ = ("_known", "counts", "facts", "now")

    def __init__(self, facts: Facts, now: int) -> None:
        self.facts = facts
        self.now = now
        self.counts = counts_of(facts)
        self._known: dict[Condition, bool] = {}

    def all_hold(self, conditions: Iterable[Condition]) -> bool:
        known = self._known
        for condition in conditions:
            holds = known.get(condition)
            if holds is None:
                holds = known[condition] = condition.holds_of(self)
            if not holds:
                return False
        return True


def counts_of(facts: Facts) -> Counts:
    """The human events of an email, by kind."""
    counts: dict[int, int] = {}
    human = EngagementVerdict.HUMAN
    for kind, verdict, _, _ in facts.events:
        if verdict is human:
            counts[kind] = counts.get(kind, 0) + 1
    return counts


class IndexEntry:
    """One conjunction of one range, and the searches it belongs to.

    `rest` are the conditions that are still to be judged of an email that was found by the conjunction's key.
    """

    __slots__ = ("_searches", "conditions", "residual", "scope")

    def __init__(self, scope: Scope, conditions: tuple[Condition, ...], rest: tuple[Condition, ...]) -> None:
        self.scope = scope
        self.conditions = conditions
        self.residual = rest
        # Nearly always one: a number by itself takes a tenth of what a list of one takes.
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
    lists = (leaf.keys for leaf in id_lists(Filter((part,))) if leaf.field == "personGroup")
    return frozenset[int]().union(*lists)


def _discount(counts: Counter[Key], keys: Iterable[Key]) -> None:
    for key in keys:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
