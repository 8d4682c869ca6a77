"""Why one email is, or is not, in a list: each leaf of the filter, whether it holds, and what the email has instead."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from command_center.search import datetimes
from command_center.search.describe import UNSEEN, Names, title, want
from command_center.search.facts import Facts
from command_center.search.filter_ast import (
    Dates,
    Engaged,
    EverySender,
    Filter,
    FolderGroups,
    Folders,
    Ids,
    Leaf,
    Path,
    SendKinds,
    Success,
    Text,
    leaves,
)
from command_center.search.predicate import compile_leaf, date_of, event_count, key_of, text_of
from command_center.search.references import NOUNS
from models.folders import folder_of


@dataclass(frozen=True, slots=True)
class LeafVerdict:
    """One line of an explanation. `path` is the leaf's place in the filter."""

    path: Path
    summary: str
    holds: bool
    actual: str


def explain(filter: Filter, facts: Facts, now: int, names: Names) -> list[LeafVerdict]:
    """One line for each leaf, in the order written."""
    return [
        LeafVerdict(leaf.path, want(leaf, names), compile_leaf(leaf)(facts, now), _actual(leaf, facts, now, names))
        for leaf in leaves(filter)
    ]


def _actual(leaf: Leaf, facts: Facts, now: int, names: Names) -> str:
    match leaf:
        case Folders() | FolderGroups():
            return title(folder_of(facts.status, facts.archived).name)
        case Ids():
            return " and ".join(_rows(leaf, facts, names)) or "none"
        case EverySender():
            return "any sender"
        case SendKinds():
            return title(facts.send_kind.name)
        case Success():
            return "a success" if facts.success else "not a success"
        case Text(field):
            return text_of(field, facts) or "none"
        case Dates(field):
            date = date_of(field, facts)
            return "never" if date is None else datetimes.render(date)
        case Engaged():
            return _count(leaf, facts, now)
        case _:
            assert_never(leaf)


def _rows(leaf: Ids, facts: Facts, names: Names) -> Iterator[str]:
    key = None if leaf.field == "personGroup" else key_of(leaf.field, facts)
    keys = sorted(facts.groups) if leaf.field == "personGroup" else [key]
    for row in keys:
        if row is not None:
            yield names.get((NOUNS[leaf.field], row), UNSEEN)


def _count(condition: Engaged, facts: Facts, now: int) -> str:
    if condition.after_send is not None and facts.sent_at is None:
        return "not sent"
    return f"has {event_count(condition)(facts, now)}"
