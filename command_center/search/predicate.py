"""A filter as a Python function of an email's facts and of now. It must agree with `sql` to the microsecond.

The range is not looked at here: whose mail it may be is the scope's to say.
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
    Engaged,
    Engagement,
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
    """The row an email points at in that field. A person's groups are several: see `Facts.groups`."""
    return _KEYS[field](facts)


def text_of(field: TextField, facts: Facts) -> str | None:
    """The folded text of that field."""
    return _TEXTS[field](facts)


def date_of(field: DateField, facts: Facts) -> int | None:
    """The moment of that field."""
    return _DATES[field](facts)


def compile_predicate(filter: Filter) -> Predicate:
    """The filter as a function of facts and now. Worth keeping: compiling costs more than one call."""
    return _every([_part(part) for part in filter.parts])


def holds(filter: Filter, facts: Facts, now: int) -> bool:
    """Whether the filter holds for one email now."""
    return compile_predicate(filter)(facts, now)


def compile_leaf(leaf: Leaf) -> Predicate:
    """One leaf alone."""
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
        case Engaged():
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
        case Engagement(conditions):
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
    read = _KEYS[leaf.field]
    return lambda facts, now: read(facts) in keys


def _text(leaf: Text) -> Predicate:
    read, fits = _TEXTS[leaf.field], text_fits(leaf.test)
    return lambda facts, now: fits(read(facts))


def text_fits(test: TextTest) -> Callable[[str | None], bool]:
    """A test of folded text. An absent one fits only the test that asks nothing."""
    tests: list[Callable[[str], bool]] = []
    if test.equals is not None:
        tests.append(fold(test.equals).__eq__)
    if test.contains is not None:
        wanted = fold(test.contains)
        tests.append(lambda text: wanted in text)
    if test.starts_with is not None:
        start = fold(test.starts_with)
        tests.append(lambda text: text.startswith(start))
    if test.ends_with is not None:
        end = fold(test.ends_with)
        tests.append(lambda text: text.endswith(end))
    return lambda text: not tests or (text is not None and all(fits(text) for fits in tests))


def _dates(leaf: Dates) -> Predicate:
    bounds, read, ahead = leaf.bounds, _DATES[leaf.field], leaf.field == "scheduledAt"
    if not bounds:
        return lambda facts, now: True

    def test(facts: Facts, now: int) -> bool:
        date = read(facts)
        return date is not None and _stands(date, bounds, now) and _moves(date, bounds, now, ahead)

    return test


def _stands(date: int, bounds: Bounds, now: int) -> bool:
    return (bounds.since is None or bounds.since <= date) and (bounds.until is None or date < bounds.until)


def _moves(date: int, bounds: Bounds, now: int, ahead: bool) -> bool:
    if bounds.older_than is not None and not date < now - bounds.older_than.microseconds:
        return False
    if bounds.within is None:
        return True
    if ahead:
        return now <= date <= now + bounds.within.microseconds
    return date >= now - bounds.within.microseconds


def _engaged(condition: Engaged) -> Predicate:
    count, least = event_count(condition), condition.least
    most = float("inf") if condition.at_most is None else condition.at_most
    if condition.after_send is None:
        return lambda facts, now: least <= count(facts, now) <= most
    return lambda facts, now: facts.sent_at is not None and least <= count(facts, now) <= most


def event_count(condition: Engaged) -> Callable[[Facts, int], int]:
    """How many events a condition counts, whatever its bounds."""
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


def event_series(condition: Engaged) -> EventSeries:
    """The events that a condition may count."""
    return series_of(condition, text_fits(condition.url or TextTest()))
