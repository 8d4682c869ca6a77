"""How many objects each field may answer with, as far as the schema and what is known of the product tell."""

from collections.abc import Mapping
from dataclasses import dataclass

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

from command_center.graphql_engine.hints import Measure, SchemaHints

ERRORS = (Measure.BATCH, 10)
"""The measure and number of `userErrors`, in every payload."""

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


def sizes(schema: GraphQLSchema, hints: SchemaHints) -> Sizes:
    """Of all fields that answer with objects, by type and name."""
    return {
        name: {
            field: _size(name, field, definition, hints)
            for field, definition in type_.fields.items()
            if is_composite_type(get_named_type(definition.type))
        }
        for name, type_ in schema.type_map.items()
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
    }


def is_connection(name: str) -> bool:
    return name.endswith("Connection")


def _size(parent: str, name: str, definition: GraphQLField, hints: SchemaHints) -> Size:
    leads_to = get_named_type(definition.type)
    counts, (measure, number) = 1, (Measure.FIXED, 1)
    if is_connection(leads_to.name):
        counts, (measure, number) = 0, (Measure.PAGE, hints.default_page)
    elif leads_to.name == "PageInfo" or (is_connection(parent) and name == "edges"):
        counts = 0
    elif leads_to.name == "UserError":
        measure, number = ERRORS
    elif is_list_type(get_nullable_type(definition.type)) and not is_connection(parent):
        measure, number = hints.lists.get(f"{parent}.{name}", (Measure.FIXED, hints.default_page))
    batch = next((each for each in BATCHES if each in definition.args), None)
    return Size(leads_to, counts, measure, number, batch)
