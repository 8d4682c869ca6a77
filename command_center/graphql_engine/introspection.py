"""Counts the objects in the response to an introspection query.

The count walks the schema with graphql-core's resolvers.
"""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    introspection_types,
    is_list_type,
    is_object_type,
)

MAX_COST = 1_000_000_000
"""The largest cost. Nested fragments could otherwise produce integers that JSON parsers cannot represent."""


def _find_type(name: str) -> GraphQLObjectType:
    type_ = introspection_types[name]
    assert is_object_type(type_)
    return type_


_SCHEMA = _find_type("__Schema")
_TYPE = _find_type("__Type")


Part = tuple[int, GraphQLObjectType, object, SelectionSetNode]
"""Whether it counts as an object (1 or 0), its type, the object itself, and what is selected from it."""


class IntrospectionCounter:
    """Counts the introspection objects of one document.

    Each pair of a selection set and an object is counted once. After `max_steps` pairs the count is `MAX_COST`.
    """

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], max_steps: int) -> None:
        self._schema = schema
        # The resolvers of introspection use only this attribute of the info.
        self._info = cast(GraphQLResolveInfo[object], SimpleNamespace(schema=schema))
        self._fragments = fragments
        self._steps_left = max_steps
        self._totals: dict[tuple[int, int], int] = {}

    def count_schema(self, selection_set: SelectionSetNode) -> int:
        """Return the number of objects under a field `__schema`."""
        return 1 + self._count_below(_SCHEMA, self._schema, selection_set)

    def count_type(self, name: object, selection_set: SelectionSetNode) -> int:
        """Return the number of objects under a field `__type`."""
        result = self._schema.type_map.get(name) if isinstance(name, str) else None
        return 0 if result is None else 1 + self._count_below(_TYPE, result, selection_set)

    def _count_below(self, kind: GraphQLObjectType, value: object, selection_set: SelectionSetNode) -> int:
        # graphql-core represents a field or argument as a new (name, object) pair each time, so the object is the key.
        key = id(value[1] if isinstance(value, tuple) else value), id(selection_set)
        total = self._totals.get(key)
        if total is None:
            self._steps_left -= 1
            total = MAX_COST if self._steps_left < 0 else 0
            # Not `sum` over a generator: `ofType` may nest two hundred times, and each level would add a stack frame.
            for counts, inner_type, item, inner in (
                self._list_parts(kind, value, selection_set) if self._steps_left >= 0 else ()
            ):
                total += counts + self._count_below(inner_type, item, inner)
            self._totals[key] = total
        return total

    def _list_parts(self, kind: GraphQLObjectType, value: object, selection_set: SelectionSetNode) -> list[Part]:
        parts: list[Part] = []
        for selection in selection_set.selections:
            if isinstance(selection, FieldNode) and selection.selection_set is not None:
                definition = kind.fields[selection.name.value]
                inner_type = get_named_type(definition.type)
                assert is_object_type(inner_type)
                parts += ((1, inner_type, item, selection.selection_set) for item in self._resolve(definition, value))
            elif isinstance(selection, FragmentSpreadNode):
                parts.append((0, kind, value, self._fragments[selection.name.value].selection_set))
            elif isinstance(selection, InlineFragmentNode):
                parts.append((0, kind, value, selection.selection_set))
        return parts

    def _resolve(self, definition: GraphQLField, value: object) -> Iterable[object]:
        # Deprecated members count even if they are not requested, because there are few of them.
        arguments = {"includeDeprecated": True} if "includeDeprecated" in definition.args else {}
        result: object = None if definition.resolve is None else definition.resolve(value, self._info, **arguments)
        if result is None:
            return ()
        if not is_list_type(get_nullable_type(definition.type)):
            return (result,)
        assert isinstance(result, Iterable)
        return result
