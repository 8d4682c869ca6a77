"""Compiles a filter to a Python function of facts and a moment.

It must agree with `sql` to the microsecond. It does not evaluate the scope: see `scope`.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import TypeAlias, assert_never

from command_center.search.event_counts import EventSeries, series_of
from command_center.search.facts import Facts
from command_center.search.filter_ast import (
    All,
    AnyOf,
    Bounds,
    DateField,
    Dates,
    EngagementCondition,
    EngagementConditions,
    EverySender,
    Filter,
    FolderGroups,
    Folders,
    Ids,
    IdsField,
    Leaf,
    Not,
    Part,
    SendKinds,
    Success,
    Text,
    TextField,
    TextTest,
)
from command_center.search.text import fold
from models.folders import folder_of

Predicate: TypeAlias = Callable[[Facts, int], bool]
"""Returns True if the facts match at a moment."""

_KEYS: dict[IdsField, Callable[[Facts], int | None]] = {
    "sender": attrgetter("sender_id"),
    "person": attrgetter("person_id"),
    "campaign": attrgetter("campaign_id"),
    "template": attrgetter("template_id"),
    "bulkSend": attrgetter("bulk_send_id"),
}
_TEXTS: dict[TextField, Callable[[Facts], str | None]] = {
    "subject": attrgetter("subject"),
    "address": attrgetter("address"),
    "company": attrgetter("company"),
}
_DATES: dict[DateField, Callable[[Facts], int | None]] = {
    "createdAt": attrgetter("created_at"),
    "sentAt": attrgetter("sent_at"),
    "scheduledAt": attrgetter("scheduled_at"),
    "failedAt": attrgetter("failed_at"),
}


def key_of(field: IdsField, facts: Facts) -> int | None:
    """Return the id that an email refers to in a field.

    A person has several groups: see `Facts.groups`.
    """
    return _KEYS[field](facts)


def text_of(field: TextField, facts: Facts) -> str | None:
    """Return an email's text in a field, folded for comparison."""
    return _TEXTS[field](facts)


def date_of(field: DateField, facts: Facts) -> int | None:
    """Return an email's date in a field, in microseconds since the epoch."""
    return _DATES[field](facts)


def compile_predicate(filter: Filter) -> Predicate:
    """Compile a filter to a function that tells whether it holds for an email.

    Callers should reuse the result: compiling costs more than one call of it.
    """
    return _every([_part(part) for part in filter.parts])


def holds(filter: Filter, facts: Facts, now: int) -> bool:
    """Return True if the filter holds for one email now."""
    return compile_predicate(filter)(facts, now)


def compile_leaf(leaf: Leaf) -> Predicate:
    """Compile one leaf to a function that tells whether it holds for an email."""
    match leaf:
        case Folders() | FolderGroups():
            folders = leaf.folders
            return lambda facts, now: folder_of(facts.status, facts.archived) in folders
        case Ids():
            return _ids(leaf)
        case EverySender():
            return lambda facts, now: True
        case SendKinds(values):
            return lambda facts, now: facts.send_kind in values
        case Success(value):
            return lambda facts, now: facts.success == value
        case Text():
            return _text(leaf)
        case Dates():
            return _dates(leaf)
        case EngagementCondition():
            return _engaged(leaf)
        case _:
            assert_never(leaf)


def _part(part: Part) -> Predicate:
    match part:
        case All(filters):
            return _every([compile_predicate(branch) for branch in filters])
        case AnyOf(filters):
            return _some([compile_predicate(branch) for branch in filters])
        case Not(branch):
            inner = compile_predicate(branch)
            return lambda facts, now: not inner(facts, now)
        case EngagementConditions(conditions):
            return _every([_engaged(condition) for condition in conditions])
        case _:
            return compile_leaf(part)


def _every(predicates: list[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    return lambda facts, now: all(predicate(facts, now) for predicate in predicates)


def _some(predicates: list[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    return lambda facts, now: any(predicate(facts, now) for predicate in predicates)


def _ids(leaf: Ids) -> Predicate:
    keys = leaf.keys
    if leaf.field == "personGroup":
        return lambda facts, now: not keys.isdisjoint(facts.groups)
    get_key = _KEYS[leaf.field]
    return lambda facts, now: get_key(facts) in keys


def _text(leaf: Text) -> Predicate:
    get_text, fits = _TEXTS[leaf.field], text_fits(leaf.test)
    return lambda facts, now: fits(get_text(facts))


def text_fits(test: TextTest) -> Callable[[str | None], bool]:
    """Return a test of folded text.

    A missing text passes only if the test has no conditions.
    """
    tests: list[Callable[[str], bool]] = []
    if test.equals is not None:
        tests.append(fold(test.equals).__eq__)
    if test.contains is not None:
        needle = fold(test.contains)
        tests.append(lambda text: needle in text)
    if test.starts_with is not None:
        start = fold(test.starts_with)
        tests.append(lambda text: text.startswith(start))
    if test.ends_with is not None:
        end = fold(test.ends_with)
        tests.append(lambda text: text.endswith(end))
    return lambda text: not tests or (text is not None and all(fits(text) for fits in tests))


def _dates(leaf: Dates) -> Predicate:
    bounds, get_date, future = leaf.bounds, _DATES[leaf.field], leaf.field == "scheduledAt"
    if not bounds:
        return lambda facts, now: True

    def test(facts: Facts, now: int) -> bool:
        date = get_date(facts)
        return date is not None and _in_fixed_bounds(date, bounds, now) and _in_moving_bounds(date, bounds, now, future)

    return test


def _in_fixed_bounds(date: int, bounds: Bounds, now: int) -> bool:
    return (bounds.since is None or bounds.since <= date) and (bounds.until is None or date < bounds.until)


def _in_moving_bounds(date: int, bounds: Bounds, now: int, future: bool) -> bool:
    """Return True if a date meets the bounds that are spans before `now`.

    If `future` is true, the span `within` begins at `now`, otherwise it ends there. `date` and `now` are in
    microseconds.
    """
    if bounds.older_than is not None and not date < now - bounds.older_than.microseconds:
        return False
    if bounds.within is None:
        return True
    if future:
        return now <= date <= now + bounds.within.microseconds
    return date >= now - bounds.within.microseconds


def _engaged(condition: EngagementCondition) -> Predicate:
    count, least = event_count(condition), condition.least
    most = float("inf") if condition.at_most is None else condition.at_most
    if condition.after_send is None:
        return lambda facts, now: least <= count(facts, now) <= most
    return lambda facts, now: facts.sent_at is not None and least <= count(facts, now) <= most


def event_count(condition: EngagementCondition) -> Callable[[Facts, int], int]:
    """Return a function that counts the events which an engagement condition counts.

    Its arguments are the facts of an email and the moment. It ignores the bounds on the number of events.
    """
    series = event_series(condition)
    within = None if condition.within is None else condition.within.microseconds
    after = None if condition.after_send is None else condition.after_send.microseconds
    if within is None and after is None:
        return lambda facts, now: facts.times.count(series)

    def count(facts: Facts, now: int) -> int:
        if after is not None and facts.sent_at is None:
            return 0
        since = None if within is None else now - within
        until = None if after is None or facts.sent_at is None else facts.sent_at + after
        return facts.times.count(series, since, until)

    return count


def event_series(condition: EngagementCondition) -> EventSeries:
    """Return the series of events that a condition counts, apart from their times."""
    return series_of(condition, text_fits(condition.url or TextTest()))
