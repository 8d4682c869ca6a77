"""The filter as an immutable tree.

All other modules of this package parse, compile or describe it.

A `Filter` is one object of the API, and all its parts must hold. Parts are in the contract's field order.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from command_center.errors import InputPath
from command_center.search.durations import Span
from models.enums import EngagementKind, EngagementVerdict, FolderGroupName, FolderName, SendKind
from models.folders import GROUPS

IdsField = Literal["sender", "person", "personGroup", "campaign", "template", "bulkSend"]
TextField = Literal["subject", "address", "company"]
DateField = Literal["createdAt", "sentAt", "scheduledAt", "failedAt"]

# The key of an id that no row can have: it is malformed or of another noun.
NO_KEY = -1

# A leaf's `path` is its position in the client's input. It does not affect the meaning, so equality ignores it.


@dataclass(frozen=True, slots=True)
class Folders:
    """The email is in one of these folders."""

    values: tuple[FolderName, ...]
    path: InputPath = dataclasses.field(default=(), compare=False)

    @property
    def folders(self) -> frozenset[FolderName]:
        """The folders as a set."""
        return frozenset(self.values)


@dataclass(frozen=True, slots=True)
class FolderGroups:
    """The email is in a folder of one of these groups."""

    values: tuple[FolderGroupName, ...]
    path: InputPath = dataclasses.field(default=(), compare=False)

    @property
    def folders(self) -> frozenset[FolderName]:
        """The folders of all the groups."""
        return frozenset(folder for group in self.values for folder in GROUPS[group])


@dataclass(frozen=True, slots=True)
class Ids:
    """The email refers to one of these rows.

    `texts` are the ids as the client wrote them, one for each key.
    """

    field: IdsField
    ids: tuple[int, ...]
    texts: tuple[str, ...]
    path: InputPath = dataclasses.field(default=(), compare=False)

    @property
    def keys(self) -> frozenset[int]:
        """The keys of the rows, without the one that stands for invalid ids."""
        return frozenset(self.ids) - {NO_KEY}


@dataclass(frozen=True, slots=True)
class EverySender:
    """Widens the scope of an admin's filter, at the top level only.

    It never narrows anything.
    """

    value: bool
    path: InputPath = dataclasses.field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class SendKinds:
    """The email was sent in one of these ways."""

    values: tuple[SendKind, ...]
    path: InputPath = dataclasses.field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Success:
    """The email is, or is not, marked as a success."""

    value: bool
    path: InputPath = dataclasses.field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class TextTest:
    """Tests of one text, all of which must hold.

    The fields have the texts as the client wrote them; they are folded for comparison.
    """

    equals: str | None = None
    contains: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None

    def __bool__(self) -> bool:
        return any(text is not None for text in (self.equals, self.contains, self.starts_with, self.ends_with))


@dataclass(frozen=True, slots=True)
class Text:
    """The text in a field passes the test."""

    field: TextField
    test: TextTest
    path: InputPath = dataclasses.field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a date: two moments, and two spans that are measured from now.

    `since` is inclusive and `until` exclusive; both are in microseconds since the epoch.
    """

    since: int | None = None
    until: int | None = None
    within: Span | None = None
    older_than: Span | None = None

    def __bool__(self) -> bool:
        return any(bound is not None for bound in (self.since, self.until, self.within, self.older_than))


@dataclass(frozen=True, slots=True)
class Dates:
    """The date in a field lies within the bounds."""

    field: DateField
    bounds: Bounds
    path: InputPath = dataclasses.field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class EngagementCondition:
    """The number of an email's events with these properties lies within the bounds.

    The bounds are `at_least` and `at_most`; all other fields are the properties. `at_least` is None only if `at_most`
    is set; the lower bound is then zero.
    """

    kind: EngagementKind
    at_least: int | None = 1
    at_most: int | None = None
    within: Span | None = None
    after_send: Span | None = None
    url: TextTest | None = None
    verdicts: tuple[EngagementVerdict, ...] = (EngagementVerdict.HUMAN,)
    path: InputPath = dataclasses.field(default=(), compare=False)

    @property
    def least(self) -> int:
        """The lower bound of the number of events."""
        return self.at_least or 0


Leaf: TypeAlias = Folders | FolderGroups | Ids | EverySender | SendKinds | Success | Text | Dates | EngagementCondition


@dataclass(frozen=True, slots=True)
class EngagementConditions:
    """The conditions of one `engagement` list. All must hold, so an empty list holds."""

    conditions: tuple[EngagementCondition, ...]


@dataclass(frozen=True, slots=True)
class All:
    """All of the filters hold."""

    filters: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the filters holds."""

    filters: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The filter does not hold."""

    filter: "Filter"


Part: TypeAlias = All | AnyOf | Not | EngagementConditions | Leaf


@dataclass(frozen=True, slots=True)
class Filter:
    """All of the parts hold."""

    parts: tuple[Part, ...] = ()


def leaves(filter: Filter) -> Iterator[Leaf]:
    """Yield every leaf, in the order of the filter."""
    for part in filter.parts:
        match part:
            case All(filters) | AnyOf(filters):
                for branch in filters:
                    yield from leaves(branch)
            case Not(branch):
                yield from leaves(branch)
            case EngagementConditions(conditions):
                yield from conditions
            case _:
                yield part


def id_lists(filter: Filter) -> list[Ids]:
    """Return every leaf that consists of ids, in the order of the filter."""
    lists: list[Ids] = []
    for part in filter.parts:
        if isinstance(part, Ids):
            lists.append(part)
        elif isinstance(part, All | AnyOf):
            for branch in part.filters:
                lists += id_lists(branch)
        elif isinstance(part, Not):
            lists += id_lists(part.filter)
    return lists


def replace_ids(filter: Filter, change: Callable[[Ids], Ids]) -> Filter:
    """Return the filter with `change` applied to each leaf of ids, at any depth."""
    return Filter(tuple(_replace_in_part(part, change) for part in filter.parts))


def _replace_in_part(part: Part, change: Callable[[Ids], Ids]) -> Part:
    match part:
        case All(filters):
            return All(tuple(replace_ids(branch, change) for branch in filters))
        case AnyOf(filters):
            return AnyOf(tuple(replace_ids(branch, change) for branch in filters))
        case Not(branch):
            return Not(replace_ids(branch, change))
        case Ids():
            return change(part)
        case _:
            return part
