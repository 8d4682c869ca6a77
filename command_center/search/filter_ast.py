"""The filter as a tree of values: what every other module of this room reads, checks, compiles or says.

A `Filter` is one object of the API: all its parts must hold. Parts stand in the contract's field order.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from command_center.search.durations import Span
from models.enums import EngagementKind, EngagementVerdict, FolderGroupName, FolderName, SendKind
from models.folders import GROUPS

Path: TypeAlias = tuple[str, ...]
IdsField = Literal["sender", "person", "personGroup", "campaign", "template", "bulkSend"]
TextField = Literal["subject", "address", "company"]
DateField = Literal["createdAt", "sentAt", "scheduledAt", "failedAt"]

# The key of an id that can be no row's: malformed, or of another noun.
NO_KEY = -1

# A leaf's `path` says where it was written, not what it means: it has no part in equality.


@dataclass(frozen=True, slots=True)
class Folders:
    values: tuple[FolderName, ...]
    path: Path = dataclasses.field(default=(), compare=False)

    @property
    def folders(self) -> frozenset[FolderName]:
        return frozenset(self.values)


@dataclass(frozen=True, slots=True)
class FolderGroups:
    values: tuple[FolderGroupName, ...]
    path: Path = dataclasses.field(default=(), compare=False)

    @property
    def folders(self) -> frozenset[FolderName]:
        return frozenset(folder for group in self.values for folder in GROUPS[group])


@dataclass(frozen=True, slots=True)
class Ids:
    """Any of these rows. `texts` are the ids as they were given, one for each key."""

    field: IdsField
    ids: tuple[int, ...]
    texts: tuple[str, ...]
    path: Path = dataclasses.field(default=(), compare=False)

    @property
    def keys(self) -> frozenset[int]:
        """The ids that some row may have."""
        return frozenset(self.ids) - {NO_KEY}


@dataclass(frozen=True, slots=True)
class EverySender:
    """Widens the range at the top level of an admin's filter; it never narrows anything."""

    value: bool
    path: Path = dataclasses.field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class SendKinds:
    values: tuple[SendKind, ...]
    path: Path = dataclasses.field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Success:
    value: bool
    path: Path = dataclasses.field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class TextTest:
    """Every text given must fit. Texts are kept as written and folded where they are compared."""

    equals: str | None = None
    contains: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None

    def __bool__(self) -> bool:
        return any(text is not None for text in (self.equals, self.contains, self.starts_with, self.ends_with))


@dataclass(frozen=True, slots=True)
class Text:
    field: TextField
    test: TextTest
    path: Path = dataclasses.field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Bounds:
    """`since` is inclusive and `until` exclusive, both moments; the spans are measured from now."""

    since: int | None = None
    until: int | None = None
    within: Span | None = None
    older_than: Span | None = None

    def __bool__(self) -> bool:
        return any(bound is not None for bound in (self.since, self.until, self.within, self.older_than))


@dataclass(frozen=True, slots=True)
class Dates:
    field: DateField
    bounds: Bounds
    path: Path = dataclasses.field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Engaged:
    """How many such events there are. `at_least` is None only beside an `at_most`, and then means from none."""

    kind: EngagementKind
    at_least: int | None = 1
    at_most: int | None = None
    within: Span | None = None
    after_send: Span | None = None
    url: TextTest | None = None
    verdicts: tuple[EngagementVerdict, ...] = (EngagementVerdict.HUMAN,)
    path: Path = dataclasses.field(default=(), compare=False)

    @property
    def least(self) -> int:
        return self.at_least or 0


Leaf: TypeAlias = Folders | FolderGroups | Ids | EverySender | SendKinds | Success | Text | Dates | Engaged


@dataclass(frozen=True, slots=True)
class Engagement:
    """The conditions of one `engagement` list: every one must hold, so none at all holds."""

    conditions: tuple[Engaged, ...]


@dataclass(frozen=True, slots=True)
class All:
    filters: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    filters: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    filter: "Filter"


Part: TypeAlias = All | AnyOf | Not | Engagement | Leaf


@dataclass(frozen=True, slots=True)
class Filter:
    parts: tuple[Part, ...] = ()


def leaves(filter: Filter) -> Iterator[Leaf]:
    """Every leaf, in the order written."""
    for part in filter.parts:
        match part:
            case All(filters) | AnyOf(filters):
                for branch in filters:
                    yield from leaves(branch)
            case Not(branch):
                yield from leaves(branch)
            case Engagement(conditions):
                yield from conditions
            case _:
                yield part


def id_lists(filter: Filter) -> list[Ids]:
    """Every list of ids, in the order written."""
    found: list[Ids] = []
    for part in filter.parts:
        if isinstance(part, Ids):
            found.append(part)
        elif isinstance(part, All | AnyOf):
            for branch in part.filters:
                found += id_lists(branch)
        elif isinstance(part, Not):
            found += id_lists(part.filter)
    return found


def replace_ids(filter: Filter, change: Callable[[Ids], Ids]) -> Filter:
    """The same filter with each list of ids changed, at any depth."""
    return Filter(tuple(_replaced(part, change) for part in filter.parts))


def _replaced(part: Part, change: Callable[[Ids], Ids]) -> Part:
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
