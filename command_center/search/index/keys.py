"""Derives index keys: the equalities under which saved searches are stored.

Every email that matches a search has at least one of its keys.

The keys determine how many searches one event evaluates. If they were wrong, the index would miss matching searches.
"""

from collections.abc import Iterable
from typing import TypeAlias

from command_center.search.facts import Facts
from command_center.search.filter_ast import (
    All,
    AnyOf,
    EngagementCondition,
    EngagementConditions,
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
from command_center.search.text import fold
from models.folders import folder_of

IndexKey: TypeAlias = tuple[str, int | str]
# A matching email has at least one of the keys. None means that no key is necessary, empty that nothing can match.
IndexKeys: TypeAlias = frozenset[IndexKey] | None

# From the most selective field to the least selective one.
_FIELDS_BY_SELECTIVITY = (
    "bulkSend",
    "address",
    "person",
    "personGroup",
    "campaign",
    "subject",
    "company",
    "template",
    "sender",
    "engaged",
    "folder",
    "sendKind",
    "success",
)


def index_keys(filter: Filter) -> IndexKeys:
    """Return the most selective index keys of which every matching email has one.

    The result is None if a matching email needs no key, and empty if no email can match.
    """
    return _narrowest(_part(part) for part in filter.parts)


def breadth(keys: frozenset[IndexKey]) -> tuple[int, int]:
    """Return a sort key that is smaller if fewer emails have one of the keys.

    It consists of the rank of the least selective field among the keys, and the number of keys. Index entries are
    stored under the keys for which it is smallest.
    """
    broadest = max((_FIELDS_BY_SELECTIVITY.index(field) for field, _ in keys), default=-1)
    return broadest, len(keys)


def is_exact(part: Part) -> bool:
    """Return whether an email meets this condition as soon as it has one of the condition's index keys.

    If so, the condition need not be evaluated for the emails that the index finds.
    """
    match part:
        case Text(_, test):
            return test == TextTest(equals=test.equals)
        case _:
            return isinstance(part, Ids | Folders | FolderGroups | SendKinds | Success)


def email_keys(facts: Facts) -> list[IndexKey]:
    """Return every index key that an email has.

    If the email matches a filter, at least one of the filter's `index_keys` must be among them.
    """
    keys: list[IndexKey] = [
        ("sender", facts.sender_id),
        ("person", facts.person_id),
        ("address", facts.address),
        ("subject", facts.subject),
        ("folder", folder_of(facts.status, facts.archived)),
        ("sendKind", facts.send_kind),
        ("success", int(facts.success)),
    ]
    if facts.campaign_id is not None:
        keys.append(("campaign", facts.campaign_id))
    if facts.template_id is not None:
        keys.append(("template", facts.template_id))
    if facts.bulk_send_id is not None:
        keys.append(("bulkSend", facts.bulk_send_id))
    if facts.company is not None:
        keys.append(("company", facts.company))
    keys += [("personGroup", group) for group in facts.groups]
    keys += [("engaged", kind) for kind in {event.kind for event in facts.events}]
    return keys


def _part(part: Part) -> IndexKeys:
    match part:
        case All(filters):
            return _narrowest(index_keys(branch) for branch in filters)
        case AnyOf(filters):
            return _union(index_keys(branch) for branch in filters)
        case Not():
            # What must not hold names no email that has it.
            return None
        case EngagementConditions(conditions):
            return _narrowest(_leaf(condition) for condition in conditions)
        case _:
            return _leaf(part)


def _leaf(leaf: Leaf) -> IndexKeys:
    match leaf:
        case Ids():
            return frozenset((leaf.field, key) for key in leaf.keys)
        case Folders() | FolderGroups():
            return frozenset(("folder", int(folder)) for folder in leaf.folders)
        case SendKinds(values):
            return frozenset(("sendKind", int(value)) for value in values)
        case Success(value):
            return frozenset({("success", int(value))})
        case Text(field, test) if test.equals is not None:
            return frozenset({(field, fold(test.equals))})
        case EngagementCondition() if leaf.least > 0:
            return frozenset({("engaged", int(leaf.kind))})
        case _:
            return None


def _narrowest(choices: Iterable[IndexKeys]) -> IndexKeys:
    # All parts must hold, so the keys of any one part are necessary. Choose the narrowest.
    narrowing = [keys for keys in choices if keys is not None]
    return min(narrowing, key=breadth) if narrowing else None


def _union(branches: Iterable[IndexKeys]) -> IndexKeys:
    # If one branch has no necessary key, the union has none either.
    union: set[IndexKey] = set()
    for keys in branches:
        if keys is None:
            return None
        union |= keys
    return frozenset(union)
