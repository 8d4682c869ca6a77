"""The canonical form of a filter, which is JSON.

It has all defaults and no nulls, and its fields are in the contract's order.

The parser reads it back to an equal tree, so saving a returned filter changes nothing.
"""

from typing import assert_never

from command_center.search import datetimes
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
)


def to_value(filter: Filter) -> dict[str, object]:
    """Return the filter in the form of the API's input."""
    return dict(_part(part) for part in filter.parts)


def _part(part: Part) -> tuple[str, object]:
    match part:
        case All(filters):
            return "all", [to_value(branch) for branch in filters]
        case AnyOf(filters):
            return "any", [to_value(branch) for branch in filters]
        case Not(branch):
            return "not", to_value(branch)
        case EngagementConditions(conditions):
            return "engagement", [_condition(condition) for condition in conditions]
        case EngagementCondition():
            return "engagement", [_condition(part)]
        case _:
            return _leaf(part)


def _leaf(leaf: Leaf) -> tuple[str, object]:
    match leaf:
        case Folders(values):
            return "folder", [value.name for value in values]
        case FolderGroups(values):
            return "folderGroup", [value.name for value in values]
        case SendKinds(values):
            return "sendKind", [value.name for value in values]
        case Ids(field, _, texts):
            return field, list(texts)
        case EverySender(value):
            return "everySender", value
        case Success(value):
            return "success", value
        case Text(field, test):
            return field, _test(test)
        case Dates(field, bounds):
            return field, _bounds(bounds)
        case EngagementCondition():
            return "engagement", [_condition(leaf)]
        case _:
            assert_never(leaf)


def _test(test: TextTest) -> dict[str, object]:
    return _without_nulls(
        equals=test.equals, contains=test.contains, startsWith=test.starts_with, endsWith=test.ends_with
    )


def _bounds(bounds: Bounds) -> dict[str, object]:
    return _without_nulls(
        **{"from": None if bounds.since is None else datetimes.format_moment(bounds.since)},
        until=None if bounds.until is None else datetimes.format_moment(bounds.until),
        within=bounds.within and str(bounds.within),
        olderThan=bounds.older_than and str(bounds.older_than),
    )


def _condition(condition: EngagementCondition) -> dict[str, object]:
    return _without_nulls(
        kind=condition.kind.name,
        atLeast=condition.at_least,
        atMost=condition.at_most,
        within=condition.within and str(condition.within),
        afterSend=condition.after_send and str(condition.after_send),
        url=None if condition.url is None else _test(condition.url),
        verdict=[verdict.name for verdict in condition.verdicts],
    )


def _without_nulls(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}
