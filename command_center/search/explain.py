"""Explains why an email is, or is not, in a list.

It says which leaves of the filter hold, and what the email has instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from command_center.errors import InputPath
from command_center.search import datetimes
from command_center.search.describe import INVISIBLE, Names, describe_requirement, enum_title
from command_center.search.facts import Facts
from command_center.search.filter_ast import (
    Dates,
    EngagementCondition,
    EverySender,
    Filter,
    FolderGroups,
    Folders,
    Ids,
    Leaf,
    SendKinds,
    Success,
    Text,
    leaves,
)
from command_center.search.predicate import compile_leaf, date_of, event_count, key_of, text_of
from command_center.search.references import NOUNS
from models.folders import folder_of


@dataclass(frozen=True, slots=True)
class LeafExplanation:
    """The explanation of one leaf. `path` is the leaf's position in the filter."""

    path: InputPath
    summary: str
    holds: bool
    actual: str


def explain(filter: Filter, facts: Facts, now: int, names: Names) -> list[LeafExplanation]:
    """Return the explanation of each leaf, in the order of the filter."""
    return [
        LeafExplanation(
            leaf.path,
            describe_requirement(leaf, names),
            compile_leaf(leaf)(facts, now),
            _actual(leaf, facts, now, names),
        )
        for leaf in leaves(filter)
    ]


def _actual(leaf: Leaf, facts: Facts, now: int, names: Names) -> str:
    """Describe in English the email's own value of the field that a leaf tests."""
    match leaf:
        case Folders() | FolderGroups():
            return enum_title(folder_of(facts.status, facts.archived).name)
        case Ids():
            return " and ".join(_row_names(leaf, facts, names)) or "none"
        case EverySender():
            return "any sender"
        case SendKinds():
            return enum_title(facts.send_kind.name)
        case Success():
            return "a success" if facts.success else "not a success"
        case Text(field):
            return text_of(field, facts) or "none"
        case Dates(field):
            date = date_of(field, facts)
            return "never" if date is None else datetimes.format_moment(date)
        case EngagementCondition():
            return _count(leaf, facts, now)
        case _:
            assert_never(leaf)


def _row_names(leaf: Ids, facts: Facts, names: Names) -> Iterator[str]:
    key = None if leaf.field == "personGroup" else key_of(leaf.field, facts)
    keys = sorted(facts.groups) if leaf.field == "personGroup" else [key]
    for row in keys:
        if row is not None:
            yield names.get((NOUNS[leaf.field], row), INVISIBLE)


def _count(condition: EngagementCondition, facts: Facts, now: int) -> str:
    if condition.after_send is not None and facts.sent_at is None:
        return "not sent"
    return f"has {event_count(condition)(facts, now)}"
