"""The normal form of a filter: few conjunctions of plain conditions, of which one must hold with all it asks.

Conditions are leaves or negated leaves, spelt so that what means the same is equal. What would take too many
conjunctions stays one condition of its own. The predicate of the form equals the predicate of the filter.
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
    Engaged,
    Engagement,
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

MOST = 16
"""Conjunctions of one filter. Saved searches seldom have more than three; twelve two-way choices would be 4,096."""

_FEW = 3
"""Conditions or ids of a part whose form is kept."""
_COUNTING = (All, AnyOf, Not, Engagement, Engaged)

_ALWAYS: Form = frozenset({frozenset()})
_NEVER: Form = frozenset()


class _TooMany(Exception):
    """The form would have more than `MOST` conjunctions."""


def conjunctions(filter: Filter) -> Form:
    """The filter's conjunctions: none where nothing can match, an empty one where everything does."""
    try:
        return _filter(filter, True)
    except _TooMany:
        return frozenset({frozenset({All((replace_ids(filter, _plain_ids),))})})


def is_counter(condition: Part) -> bool:
    """Whether a condition asks only how many human events of a kind there are."""
    return (
        isinstance(condition, Engaged)
        and condition.verdicts == (EngagementVerdict.HUMAN,)
        and not (condition.within or condition.after_send or condition.url)
    )


def _filter(filter: Filter, wanted: bool) -> Form:
    forms = [(_kept if _is_short(part) else _part)(part, wanted) for part in filter.parts]
    if wanted and all(len(form) == 1 for form in forms):
        # A form by itself is consistent, so only the counters of two parts can disagree.
        return _together(forms, consistent=sum(isinstance(part, _COUNTING) for part in filter.parts) < 2)
    return _both(forms, wanted)


def _is_short(part: Part) -> bool:
    """Whether a part is often the same as another search's, and soon compared."""
    if isinstance(part, Engagement):
        return len(part.conditions) <= _FEW
    return isinstance(part, Ids) and len(part.ids) <= _FEW


def _part(part: Part, wanted: bool) -> Form:
    match part:
        case All(filters):
            return _both([_filter(branch, wanted) for branch in filters], wanted)
        case AnyOf(filters):
            return _both([_filter(branch, wanted) for branch in filters], not wanted)
        case Not(branch):
            return _filter(branch, not wanted)
        case Engagement(conditions):
            return _both([_leaf(condition, wanted) for condition in conditions], wanted)
        case _:
            return _leaf(part, wanted)


def _both(forms: Sequence[Form], every: bool) -> Form:
    """Every one of the forms; or, since not all of them is some of their opposites, any one."""
    if not every:
        return _bounded(_NEVER.union(*forms))
    if all(len(form) == 1 for form in forms):
        return _together(forms)
    found = _ALWAYS
    for form in forms:
        merged = (_consistent(one | other) for one, other in product(found, form))
        found = _bounded(frozenset(conjunction for conjunction in merged if conjunction is not None))
    return found


def _together(forms: Iterable[Form], consistent: bool = False) -> Form:
    """Nearly always: nothing but conditions that must all hold. `consistent`: their counters are known to agree."""
    union = frozenset[Part]().union(*[conjunction for form in forms for conjunction in form])
    alone = union if consistent else _consistent(union)
    return _NEVER if alone is None else frozenset({alone})


def _bounded(form: Form) -> Form:
    if len(form) > MOST:
        raise _TooMany
    return form


def _consistent(union: Conjunction) -> Conjunction | None:
    """The conditions with each kind's counters as one; None where their bounds exclude each other."""
    counters: dict[int, Engaged] = {}
    twice = False
    for part in union:
        if isinstance(part, Engaged) and is_counter(part):
            twice = twice or part.kind in counters
            counters[part.kind] = both = _narrowed(counters.get(part.kind, part), part)
            if both.at_most is not None and both.least > both.at_most:
                return None
    return frozenset({part for part in union if not is_counter(part)}.union(counters.values())) if twice else union


def _narrowed(one: Engaged, other: Engaged) -> Engaged:
    if one is other:
        return one
    bounds = [bound for bound in (one.at_most, other.at_most) if bound is not None]
    return replace(one, at_least=max(one.least, other.least), at_most=min(bounds, default=None))


def _leaf(leaf: Leaf, wanted: bool) -> Form:
    match leaf:
        case EverySender():
            return _constant(wanted)
        case Folders() | FolderGroups():
            return _choice(Folders, leaf.folders, frozenset(FolderName), wanted)
        case SendKinds(values):
            return _choice(SendKinds, frozenset(values), frozenset(SendKind), wanted)
        case Success(value):
            return _only(Success(value is wanted))
        case Ids():
            plain = _plain_ids(leaf)
            return _signed(plain, wanted) if plain.ids else _constant(not wanted)
        case Text(field, test):
            return _signed(Text(field, _folded(test)), wanted) if test else _constant(wanted)
        case Dates(field, bounds):
            return _signed(Dates(field, bounds), wanted) if bounds != Bounds() else _constant(wanted)
        case Engaged():
            return _engaged(leaf, wanted)


def _constant(holds: bool) -> Form:
    return _ALWAYS if holds else _NEVER


def _only(condition: Part) -> Form:
    return frozenset({frozenset({condition})})


def _signed(leaf: Leaf, wanted: bool) -> Form:
    return _only(leaf if wanted else Not(Filter((leaf,))))


def _choice(
    made: type[Folders] | type[SendKinds], chosen: frozenset[Value], there_are: frozenset[Value], wanted: bool
) -> Form:
    """One of a few values that every email has one of: not these means one of the others."""
    left = chosen if wanted else there_are - chosen
    if left == there_are or not left:
        return _constant(bool(left))
    return _only(made(tuple(sorted(left))))  # type: ignore[arg-type]


# The same few conditions are asked by very many searches.
@lru_cache(maxsize=1_000)
def _engaged(leaf: Engaged, wanted: bool) -> Form:
    condition = _plain_engaged(leaf)
    # Without `afterSend` any number of events, none included, is no condition at all.
    if condition.after_send is None and (condition.least, condition.at_most) == (0, None):
        return _constant(wanted)
    if wanted or not is_counter(condition):
        return _signed(condition, wanted)
    found: Form = _NEVER
    if condition.least > 0:
        found |= _only(replace(condition, at_least=0, at_most=condition.least - 1))
    if condition.at_most is not None:
        found |= _only(replace(condition, at_least=condition.at_most + 1, at_most=None))
    return found


# Searches that stand side by side differ in little.
_kept = lru_cache(maxsize=1_000)(_part)


def _plain_engaged(leaf: Engaged) -> Engaged:
    url = _folded(leaf.url) if leaf.url else None
    return replace(leaf, at_least=leaf.least, url=url, verdicts=tuple(sorted(set(leaf.verdicts))), path=())


def _plain_ids(leaf: Ids) -> Ids:
    return Ids(leaf.field, tuple(sorted(leaf.keys)), ())


def _folded(test: TextTest) -> TextTest:
    texts = (test.equals, test.contains, test.starts_with, test.ends_with)
    return TextTest(*(None if text is None else fold(text) for text in texts))
