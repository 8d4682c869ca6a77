"""Estimates how many objects each field returns.

The estimate uses the schema and the application's hints.
"""

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

USER_ERRORS = (Measure.BATCH, 10)
"""The measure and number for `userErrors` in every payload."""

BATCH_ARGUMENTS = ("ids", "personIds", "events")
"""Arguments that list the objects a mutation acts on."""


@dataclass(frozen=True, slots=True)
class FieldSize:
    """How many objects a field returns, as far as the schema and the hints show it."""

    type: GraphQLNamedType
    """The type that the field returns, without lists and non-null."""
    counts: int
    """1 if its objects count towards the cost, otherwise 0."""
    measure: Measure
    number: int
    """The number of objects if the measure does not determine one."""
    batch: str | None
    """The argument that lists the objects acted on, if there is one."""


FieldSizes = Mapping[str, Mapping[str, FieldSize]]


def estimate_field_sizes(schema: GraphQLSchema, hints: SchemaHints) -> FieldSizes:
    """Return the sizes of the fields that return objects, by type and field name."""
    return {
        name: {
            field: _estimate_size(name, field, definition, hints)
            for field, definition in type_.fields.items()
            if is_composite_type(get_named_type(definition.type))
        }
        for name, type_ in schema.type_map.items()
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
    }


def is_connection(name: str) -> bool:
    """Return whether a type with this name is a connection."""
    return name.endswith("Connection")


def _estimate_size(parent: str, name: str, definition: GraphQLField, hints: SchemaHints) -> FieldSize:
    named_type = get_named_type(definition.type)
    counts, (measure, number) = 1, (Measure.FIXED, 1)
    if is_connection(named_type.name):
        counts, (measure, number) = 0, (Measure.PAGE, hints.default_page)
    elif named_type.name == "PageInfo" or (is_connection(parent) and name == "edges"):
        counts = 0
    elif named_type.name == "UserError":
        measure, number = USER_ERRORS
    elif is_list_type(get_nullable_type(definition.type)) and not is_connection(parent):
        measure, number = hints.lists.get(f"{parent}.{name}", (Measure.FIXED, hints.default_page))
    batch = next((argument for argument in BATCH_ARGUMENTS if argument in definition.args), None)
    return FieldSize(named_type, counts, measure, number, batch)
