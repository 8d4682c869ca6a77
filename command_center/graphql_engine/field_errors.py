"""Collects the errors of fields, and checks values of a response.

The messages are those of graphql-core.
"""

from collections.abc import Sequence

from graphql import (
    FieldNode,
    GraphQLAbstractType,
    GraphQLError,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    is_object_type,
)
from graphql.pyutils import Path, inspect


class FieldErrors:
    """The errors of one execution, in the order in which they occurred.

    An error under a position that is null already is dropped, because the client sees no field there.
    """

    __slots__ = ("_null_positions", "errors")

    def __init__(self) -> None:
        self.errors: list[GraphQLError] = []
        self._null_positions: set[Path | None] = set()

    def add(self, error: GraphQLError, position: Path | None) -> None:
        """Add the error that makes a position of the response null.

        The position None is the whole response.
        """
        above = position
        while above is not None:
            if above in self._null_positions:
                return
            above = above.prev
        if None not in self._null_positions:
            self._null_positions.add(position)
            self.errors.append(error)


def complete_leaf(type_: GraphQLLeafType, value: object) -> object:
    """Return the response value of a scalar or enum.

    Raises: any error of an invalid value.
    """
    completed: object = type_.coerce_output_value(value)
    if completed is None or completed is Undefined:
        raise TypeError(
            f"Expected `{inspect(type_)}.coerce_output_value({inspect(value)})` to return non-nullable value,"
            f" returned: {inspect(completed)}"
        )
    return completed


def find_object_type(
    schema: GraphQLSchema, type_: GraphQLAbstractType, name: object, position: str, value: object
) -> GraphQLObjectType:
    """Return the object type that a type resolver named for a value.

    `type_` is the interface or union, `name` the result of its type resolver, and `position` the field, as
    `Type.field`. Raises: GraphQLError if the value cannot have that type.
    """
    if name is None:
        raise GraphQLError(
            f"Abstract type '{type_}' must resolve to an Object type at runtime for field '{position}'. Either the"
            f" '{type_}' type should provide a 'resolve_type' function or each possible type should provide an"
            " 'is_type_of' function."
        )
    if not isinstance(name, str):
        raise GraphQLError(
            f"Abstract type '{type_}' must resolve to an Object type at runtime for field '{position}' with value"
            f" {inspect(value)}, received '{inspect(name)}', which is not a valid Object type name."
        )
    found = schema.get_type(name)
    if found is None:
        raise GraphQLError(
            f"Abstract type '{type_}' was resolved to a type '{name}' that does not exist inside the schema."
        )
    if not is_object_type(found):
        raise GraphQLError(f"Abstract type '{type_}' was resolved to a non-object type '{name}'.")
    if not schema.is_sub_type(type_, found):
        raise GraphQLError(f"Runtime Object type '{found}' is not a possible type for '{type_}'.")
    return found


def create_type_error(type_: GraphQLObjectType, value: object, nodes: Sequence[FieldNode]) -> GraphQLError:
    """Return the error for a value that is no object of its type."""
    return GraphQLError(f"Expected value of type '{type_}' but got: {inspect(value)}.", nodes)
