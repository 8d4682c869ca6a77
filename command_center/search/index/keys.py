"""By which keys a search is found: equalities that every email matching its filter must have.

The choice decides how many searches one event wakes, and, if it were wrong, which it would miss.
"""

from collections.abc import Iterable
from typing import TypeAlias

from command_center.search.facts import Facts
from command_center.search.filter_ast import (
    All,
    AnyOf,
    Engaged,
    Engagement,
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
# The keys of which a matching email has at least one; None where nothing can be said, empty where nothing can match.
RoutingKeys: TypeAlias = frozenset[IndexKey] | None

# From the field that tells emails apart best to the one that does so least.
_SELECTIVITY = (
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


def index_keys(filter: Filter) -> RoutingKeys:
    """The narrowest necessary keys of a filter."""
    return _narrowest(_part(part) for part in filter.parts)


def breadth(keys: frozenset[IndexKey]) -> tuple[int, int]:
    """How little keys narrow: those with the least are the best to file under."""
    worst = max((_SELECTIVITY.index(field) for field, _ in keys), default=-1)
    return worst, len(keys)


def is_exact(part: Part) -> bool:
    """Whether an email that has one of a condition's keys is thereby known to meet it."""
    match part:
        case Text(_, test):
            return test == TextTest(equals=test.equals)
        case _:
            return isinstance(part, Ids | Folders | FolderGroups | SendKinds | Success)


def keys_of(facts: Facts) -> list[IndexKey]:
    """Every key an email has: what `routing_keys` may choose from must all be here."""
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


def _part(part: Part) -> RoutingKeys:
    match part:
        case All(filters):
            return _narrowest(index_keys(branch) for branch in filters)
        case AnyOf(filters):
            return _union(index_keys(branch) for branch in filters)
        case Not():
            # What must not hold names no email that has it.
            return None
        case Engagement(conditions):
            return _narrowest(_leaf(condition) for condition in conditions)
        case _:
            return _leaf(part)


def _leaf(leaf: Leaf) -> RoutingKeys:
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
        case Engaged() if leaf.least > 0:
            return frozenset({("engaged", int(leaf.kind))})
        case _:
            return None


def _narrowest(choices: Iterable[RoutingKeys]) -> RoutingKeys:
    # All of a conjunction must hold, so any one part's keys are necessary: take the best.
    said = [keys for keys in choices if keys is not None]
    return min(said, key=breadth) if said else None


def _union(branches: Iterable[RoutingKeys]) -> RoutingKeys:
    # One branch that says nothing lets any email through.
    every: set[IndexKey] = set()
    for keys in branches:
        if keys is None:
            return None
        every |= keys
    return frozenset(every)
