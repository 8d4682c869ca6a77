"""The disjunctive normal form of a filter.

It consists of a few conjunctions of conditions, of which one must hold.

Conditions are leaves or negated leaves in a canonical form, so that equal meanings compare equal. A filter that would
need too many conjunctions becomes one condition. The form matches exactly the emails that the filter matches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import TypeAlias, TypeVar

from command_center.search.filter_ast import (
    All,
    AnyOf,
    Bounds,
    Dates,
    EngagementCondition,
    EngagementConditions,
    EverySender,
    Filter,
    FolderGroups,
    Folders,
    Ids,
    Leaf,
    Not,
    Part,
    SendKinds,
    Success,
    Text,
    TextTest,
    replace_ids,
)
from command_center.search.text import fold
from models.enums import EngagementVerdict, FolderName, SendKind

Conjunction: TypeAlias = frozenset[Part]
Form: TypeAlias = frozenset[Conjunction]
Value = TypeVar("Value")

MAX_CONJUNCTIONS = 16
"""The most conjunctions of one filter.

Saved searches seldom have more than three; twelve choices of two would give 4,096.
"""

_MAX_CACHED_ITEMS = 3
"""The most conditions or ids of a part whose form is cached."""
_PARTS_WITH_COUNTERS = (All, AnyOf, Not, EngagementConditions, EngagementCondition)

_ALWAYS: Form = frozenset({frozenset()})
_NEVER: Form = frozenset()


class _TooMany(Exception):
    """The disjunctive normal form would have more than MAX_CONJUNCTIONS conjunctions."""


def conjunctions(filter: Filter) -> Form:
    """Return the disjunctive normal form of a filter: its set of conjunctions.

    An email matches if all conditions of one conjunction hold. If nothing can match, the set is empty. If everything
    matches, it contains an empty conjunction.
    """
    try:
        return _filter(filter, True)
    except _TooMany:
        return frozenset({frozenset({All((replace_ids(filter, _canonical_ids),))})})


def is_counter(condition: Part) -> bool:
    """Return True if a condition only bounds the number of human events of a kind."""
    return (
        isinstance(condition, EngagementCondition)
        and condition.verdicts == (EngagementVerdict.HUMAN,)
        and not (condition.within or condition.after_send or condition.url)
    )


def _filter(filter: Filter, positive: bool) -> Form:
    forms = [(_cached_part if _is_short(part) else _part)(part, positive) for part in filter.parts]
    if positive and all(len(form) == 1 for form in forms):
        # Each form is consistent in itself, so only the counters of two parts can exclude each other.
        return _single_conjunction(
            forms, known_consistent=sum(isinstance(part, _PARTS_WITH_COUNTERS) for part in filter.parts) < 2
        )
    return _combine(forms, positive)


def _is_short(part: Part) -> bool:
    """Return True if a part is so short that its normal form should be cached.

    A short part often occurs in other searches too, and is cheap to compare.
    """
    if isinstance(part, EngagementConditions):
        return len(part.conditions) <= _MAX_CACHED_ITEMS
    return isinstance(part, Ids) and len(part.ids) <= _MAX_CACHED_ITEMS


def _part(part: Part, positive: bool) -> Form:
    match part:
        case All(filters):
            return _combine([_filter(branch, positive) for branch in filters], positive)
        case AnyOf(filters):
            return _combine([_filter(branch, positive) for branch in filters], not positive)
        case Not(branch):
            return _filter(branch, not positive)
        case EngagementConditions(conditions):
            return _combine([_leaf(condition, positive) for condition in conditions], positive)
        case _:
            return _leaf(part, positive)


def _combine(forms: Sequence[Form], conjunctive: bool) -> Form:
    """Combine disjunctive normal forms with AND, or with OR if not `conjunctive`.

    To negate a conjunction, a caller negates the forms and combines them with OR (De Morgan).

    Raises: _TooMany if the result would have too many conjunctions.
    """
    if not conjunctive:
        return _bounded(_NEVER.union(*forms))
    if all(len(form) == 1 for form in forms):
        return _single_conjunction(forms)
    product_form = _ALWAYS
    for form in forms:
        merged = (_merge_counters(one | other) for one, other in product(product_form, form))
        product_form = _bounded(frozenset(conjunction for conjunction in merged if conjunction is not None))
    return product_form


def _single_conjunction(forms: Iterable[Form], known_consistent: bool = False) -> Form:
    """Combine normal forms of one conjunction each with AND, the most frequent case.

    `known_consistent` means that their bounds on numbers of events cannot exclude each other.
    """
    union = frozenset[Part]().union(*[conjunction for form in forms for conjunction in form])
    conjunction = union if known_consistent else _merge_counters(union)
    return _NEVER if conjunction is None else frozenset({conjunction})


def _bounded(form: Form) -> Form:
    if len(form) > MAX_CONJUNCTIONS:
        raise _TooMany
    return form


def _merge_counters(union: Conjunction) -> Conjunction | None:
    """Merge conditions that only bound the number of human events, one for each kind.

    Return the conjunction with the merged conditions, or None if their bounds exclude each other.
    """
    counters: dict[int, EngagementCondition] = {}
    has_duplicates = False
    for part in union:
        if isinstance(part, EngagementCondition) and is_counter(part):
            has_duplicates = has_duplicates or part.kind in counters
            counters[part.kind] = merged = _intersect(counters.get(part.kind, part), part)
            if merged.at_most is not None and merged.least > merged.at_most:
                return None
    return (
        frozenset({part for part in union if not is_counter(part)}.union(counters.values()))
        if has_duplicates
        else union
    )


def _intersect(one: EngagementCondition, other: EngagementCondition) -> EngagementCondition:
    if one is other:
        return one
    bounds = [bound for bound in (one.at_most, other.at_most) if bound is not None]
    return replace(one, at_least=max(one.least, other.least), at_most=min(bounds, default=None))


def _leaf(leaf: Leaf, positive: bool) -> Form:
    match leaf:
        case EverySender():
            return _constant(positive)
        case Folders() | FolderGroups():
            return _choice(Folders, leaf.folders, frozenset(FolderName), positive)
        case SendKinds(values):
            return _choice(SendKinds, frozenset(values), frozenset(SendKind), positive)
        case Success(value):
            return _single_condition(Success(value is positive))
        case Ids():
            canonical = _canonical_ids(leaf)
            return _literal(canonical, positive) if canonical.ids else _constant(not positive)
        case Text(field, test):
            return _literal(Text(field, _fold_test(test)), positive) if test else _constant(positive)
        case Dates(field, bounds):
            return _literal(Dates(field, bounds), positive) if bounds != Bounds() else _constant(positive)
        case EngagementCondition():
            return _engaged(leaf, positive)


def _constant(holds: bool) -> Form:
    return _ALWAYS if holds else _NEVER


def _single_condition(condition: Part) -> Form:
    return frozenset({frozenset({condition})})


def _literal(leaf: Leaf, positive: bool) -> Form:
    return _single_condition(leaf if positive else Not(Filter((leaf,))))


def _choice(
    leaf_type: type[Folders] | type[SendKinds], values: frozenset[Value], all_values: frozenset[Value], positive: bool
) -> Form:
    """Return the normal form of the condition that an email has one of `values`.

    Every email has exactly one of `all_values`. If not `positive`, the email has one of the others.
    """
    remaining = values if positive else all_values - values
    if remaining == all_values or not remaining:
        return _constant(bool(remaining))
    return _single_condition(leaf_type(tuple(sorted(remaining))))  # type: ignore[arg-type]


# A few conditions occur in very many searches.
@lru_cache(maxsize=1_000)
def _engaged(leaf: EngagementCondition, positive: bool) -> Form:
    condition = _canonical_engaged(leaf)
    # Without `afterSend`, "any number of events, including none" always holds.
    if condition.after_send is None and (condition.least, condition.at_most) == (0, None):
        return _constant(positive)
    if positive or not is_counter(condition):
        return _literal(condition, positive)
    form: Form = _NEVER
    if condition.least > 0:
        form |= _single_condition(replace(condition, at_least=0, at_most=condition.least - 1))
    if condition.at_most is not None:
        form |= _single_condition(replace(condition, at_least=condition.at_most + 1, at_most=None))
    return form


# Consecutive searches have many equal parts.
_cached_part = lru_cache(maxsize=1_000)(_part)


def _canonical_engaged(leaf: EngagementCondition) -> EngagementCondition:
    url = _fold_test(leaf.url) if leaf.url else None
    return replace(leaf, at_least=leaf.least, url=url, verdicts=tuple(sorted(set(leaf.verdicts))), path=())


def _canonical_ids(leaf: Ids) -> Ids:
    return Ids(leaf.field, tuple(sorted(leaf.keys)), ())


def _fold_test(test: TextTest) -> TextTest:
    texts = (test.equals, test.contains, test.starts_with, test.ends_with)
    return TextTest(*(None if text is None else fold(text) for text in texts))
