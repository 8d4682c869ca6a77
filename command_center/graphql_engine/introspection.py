"""How many objects an answer about the schema itself holds: counted on it, with graphql-core's own resolvers."""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
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


Part = tuple[int, GraphQLObjectType, Any, SelectionSetNode]
"""Whether it is an object to be counted, its type, itself, and what is asked of it."""


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
        total = self._known.get(key)
        if total is None:
            self._looks -= 1
            total = CEILING if self._looks < 0 else 0
            # Not a sum over a generator: `ofType` may stand in `ofType` two hundred times, and each is a call.
            for counts, leads_to, each, inner in self._parts(kind, thing, selection_set) if self._looks >= 0 else ():
                total += counts + self._below(leads_to, each, inner)
            self._known[key] = total
        return total

    def _parts(self, kind: GraphQLObjectType, thing: Any, selection_set: SelectionSetNode) -> list[Part]:
        parts: list[Part] = []
        for selection in selection_set.selections:
            if isinstance(selection, FieldNode) and selection.selection_set is not None:
                definition = kind.fields[selection.name.value]
                leads_to: Any = get_named_type(definition.type)
                parts += ((1, leads_to, each, selection.selection_set) for each in self._answer(definition, thing))
            elif isinstance(selection, FragmentSpreadNode):
                parts.append((0, kind, thing, self._fragments[selection.name.value].selection_set))
            elif isinstance(selection, InlineFragmentNode):
                parts.append((0, kind, thing, selection.selection_set))
        return parts

    def _answer(self, definition: GraphQLField, thing: Any) -> Iterable[Any]:
        # What is deprecated counts whether or not it is asked for: few things are.
        arguments = {"includeDeprecated": True} if "includeDeprecated" in definition.args else {}
        found: Any = None if definition.resolve is None else definition.resolve(thing, self._info, **arguments)
        if found is None:
            return ()
        many: bool = is_list_type(get_nullable_type(definition.type))
        return found if many else (found,)
