"""How many objects each field may answer with, as far as the schema and what is known of the product tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from models.enums import FolderName
from models.folders import GROUPS
from resolvers.pages import DEFAULT


class Measure(Enum):
    """What says how many there are."""

    FIXED = "the field itself"
    PAGE = "`first` or `last`"
    IDS = "the list among its own arguments"
    BATCH = "the list among the arguments of the mutation whose answer it is part of"


LISTS: Mapping[str, tuple[Measure, int]] = {
    # One for each kind of thing that was removed.
    "BulkSendPayload.notices": (Measure.FIXED, 10),
    "EmailPayload.notices": (Measure.FIXED, 10),
    "TemplatePayload.notices": (Measure.FIXED, 10),
    "EmailsPayload.emails": (Measure.BATCH, DEFAULT),
    "EngagementsPayload.engagements": (Measure.BATCH, DEFAULT),
    "FilterExplanation.leaves": (Measure.FIXED, 64),
    "FolderCounts.folders": (Measure.FIXED, len(FolderName)),
    "FolderCounts.groups": (Measure.FIXED, len(GROUPS)),
    "FolderGroup.folders": (Measure.FIXED, max(map(len, GROUPS.values()))),
    # Nothing bounds them, yet a person is in a few.
    "Person.groups": (Measure.FIXED, 10),
    "Query.folders": (Measure.FIXED, len(GROUPS)),
    "Query.nodes": (Measure.IDS, DEFAULT),
    # For each member of a list there may be one: then it is counted as a page.
    "TasksPayload.tasks": (Measure.BATCH, DEFAULT),
}
"""Lists of objects that are not part of a page: the measure, and the number where that is absent or fixed."""

ERRORS = (Measure.BATCH, 10)
"""The same of `userErrors`, whosever they are."""

BATCHES = ("ids", "personIds", "events")
"""Arguments that are the list of what something is done to."""


@dataclass(frozen=True, slots=True)
class Size:
    """One field: what it leads to, whether that is an object to be counted, and how many of it there are."""

    type: GraphQLNamedType
    counts: int
    measure: Measure
    number: int
    batch: str | None


Sizes = Mapping[str, Mapping[str, Size]]


def sizes(schema: GraphQLSchema) -> Sizes:
    """Of all fields that answer with objects, by type and name."""
    return {
        name: {
            field: _size(name, field, definition)
            for field, definition in type_.fields.items()
            if is_composite_type(get_named_type(definition.type))
        }
        for name, type_ in schema.type_map.items()
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
    }


def is_connection(name: str) -> bool:
    return name.endswith("Connection")


def _size(parent: str, name: str, definition: GraphQLField) -> Size:
    leads_to = get_named_type(definition.type)
    counts, (measure, number) = 1, (Measure.FIXED, 1)
    if is_connection(leads_to.name):
        counts, (measure, number) = 0, (Measure.PAGE, DEFAULT)
    elif leads_to.name == "PageInfo" or (is_connection(parent) and name == "edges"):
        counts = 0
    elif leads_to.name == "UserError":
        measure, number = ERRORS
    elif is_list_type(get_nullable_type(definition.type)) and not is_connection(parent):
        measure, number = LISTS.get(f"{parent}.{name}", (Measure.FIXED, DEFAULT))
    batch = next((each for each in BATCHES if each in definition.args), None)
    return Size(leads_to, counts, measure, number, batch)
