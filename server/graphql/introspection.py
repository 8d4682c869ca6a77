"""How many objects an answer about the schema itself holds: counted on it, with graphql-core's own resolvers."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    introspection_types,
    is_list_type,
)

CEILING = 1_000_000_000
"""Fragments within fragments make numbers that JSON's readers cannot hold: past this one, all costs are this one."""

_SCHEMA: Any = introspection_types["__Schema"]
_TYPE: Any = introspection_types["__Type"]


class Introspection:
    """Counts within one document, each selection set once for each thing it is asked of.

    `looks`: how many of these it takes on. What would need more counts as more than anybody can afford.
    """

    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], looks: int) -> None:
        self._schema = schema
        self._info: Any = SimpleNamespace(schema=schema)
        self._fragments = fragments
        self._looks = looks
        self._known: dict[tuple[int, int], int] = {}

    def schema(self, selection_set: SelectionSetNode) -> int:
        """The objects of a field `__schema`."""
        return 1 + self._below(_SCHEMA, self._schema, selection_set)

    def type(self, name: object, selection_set: SelectionSetNode) -> int:
        """The objects of a field `__type`."""
        found = self._schema.type_map.get(name) if isinstance(name, str) else None
        return 0 if found is None else 1 + self._below(_TYPE, found, selection_set)

    def _below(self, kind: GraphQLObjectType, thing: Any, selection_set: SelectionSetNode) -> int:
        # A field or an argument is a pair of its name and itself, made anew each time.
        key = id(thing[1] if isinstance(thing, tuple) else thing), id(selection_set)
        known = self._known.get(key)
        if known is None:
            self._looks -= 1
            known = CEILING if self._looks < 0 else self._count(kind, thing, selection_set)
            self._known[key] = known
        return known

    def _count(self, kind: GraphQLObjectType, thing: Any, selection_set: SelectionSetNode) -> int:
        total = 0
        for selection in selection_set.selections:
            if isinstance(selection, FieldNode):
                total += self._field(kind, thing, selection)
            elif isinstance(selection, FragmentSpreadNode):
                total += self._below(kind, thing, self._fragments[selection.name.value].selection_set)
            elif isinstance(selection, InlineFragmentNode):
                total += self._below(kind, thing, selection.selection_set)
        return total

    def _field(self, kind: GraphQLObjectType, thing: Any, node: FieldNode) -> int:
        definition = kind.fields.get(node.name.value)
        if definition is None or definition.resolve is None or node.selection_set is None:
            return 0
        # What is deprecated counts whether or not it is asked for: few things are.
        arguments = {"includeDeprecated": True} if "includeDeprecated" in definition.args else {}
        found: Any = definition.resolve(thing, self._info, **arguments)
        if found is None:
            return 0
        leads_to: Any = get_named_type(definition.type)
        things = found if is_list_type(get_nullable_type(definition.type)) else [found]
        return sum(1 + self._below(leads_to, each, node.selection_set) for each in things)
