"""What of the public schema the tests exercise, measured at the client's side: by what was asked, sent and received.

A field counts when it came in an answer, an argument or an input's field when it was given (in the document or among
the variables) to what was answered, an enum's value when it was sent or received, a type when a value of it was. A
document that was refused outright counts for nothing. The report is `tests/support/schema_coverage_report.py`'s.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    OperationDefinitionNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    ValueNode,
    VariableNode,
    Visitor,
    build_schema,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_introspection_type,
    is_leaf_type,
    is_specified_scalar_type,
    parse,
    specified_directives,
    value_from_ast_untyped,
    visit,
)

from tests.support.paths import ROOT

SDL = ROOT / "schema/schema.graphql"
Fields = Mapping[str, Any]


@cache
def published_schema() -> GraphQLSchema:
    """The committed schema."""
    return build_schema(SDL.read_text())


def coordinates(named: GraphQLNamedType) -> Iterator[str]:
    """A type, and all that belongs to it: `T`, `T.field`, `T.field(argument:)`, `E.VALUE`."""
    yield named.name
    if isinstance(named, GraphQLEnumType):
        yield from (f"{named.name}.{value}" for value in named.values)
    elif isinstance(named, GraphQLInputObjectType):
        yield from (f"{named.name}.{field}" for field in named.fields)
    elif isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in named.fields.items():
            yield f"{named.name}.{name}"
            yield from (f"{named.name}.{name}({argument}:)" for argument in field.args)


def all_coordinates(schema: GraphQLSchema) -> set[str]:
    """Every coordinate of ours, GraphQL's own left out."""
    ours = [
        named
        for named in schema.type_map.values()
        if not is_introspection_type(named) and not is_specified_scalar_type(named)
    ]
    directives = [directive for directive in schema.directives if directive not in specified_directives]
    assert not directives, "directives of our own are not measured"
    return {coordinate for named in ours for coordinate in coordinates(named)}


class SchemaCoverage:
    """Coordinates, as they are met."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self.met: set[str] = set()
        self._documents: dict[str, DocumentNode | None] = {}
        self._reach: dict[str, frozenset[str]] = {}

    def answer(self, document: str, variables: Mapping[str, Any], found: Any) -> None:
        """One request and its answer, or one frame of a stream."""
        data: dict[str, Any] = (found.get("data") if isinstance(found, dict) else None) or {}
        parsed = self._parsed(document) if data else None
        if parsed is None or self._reach[document] <= self.met:
            return
        for operation in parsed.definitions:
            if isinstance(operation, OperationDefinitionNode):
                _Walk(self, parsed, variables).operation(operation, data)

    def _parsed(self, document: str) -> DocumentNode | None:
        if document not in self._documents:
            try:
                parsed = parse(document)
            except GraphQLError:
                self._documents[document] = None
            else:
                reach = _Reach(self.schema)
                visit(parsed, TypeInfoVisitor(reach.types, reach))
                self._documents[document], self._reach[document] = parsed, frozenset(reach.found)
        return self._documents[document]

    def dump(self, path: Path) -> None:
        path.write_text(json.dumps(sorted(self.met)))

    def load(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self.met |= set(json.loads(path.read_text()))


class _Reach(Visitor):
    """All that a document could ever exercise, whatever its variables and answers: once that is met, it need not be
    walked again."""

    def __init__(self, schema: GraphQLSchema) -> None:
        super().__init__()
        self.schema, self.types = schema, TypeInfo(schema)
        self.found: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        parent, field = self.types.get_parent_type(), self.types.get_field_def()
        if parent is None or field is None or node.name.value.startswith("__"):
            return
        given = {each.name.value for each in node.arguments or ()}
        for owner in self._kin(parent):
            place = f"{owner.name}.{node.name.value}"
            self.found |= {owner.name, place, *(f"{place}({name}:)" for name in given)} & set(coordinates(owner))
        for name in given & set(field.args):
            self._input(get_named_type(field.args[name].type))
        named = get_named_type(field.type)
        if is_leaf_type(named):
            self._input(named)
        else:
            self.found |= {each.name for each in self._kin(named)}

    def _kin(self, named: GraphQLNamedType) -> Iterator[GraphQLNamedType]:
        """What a value of the type may be, and what that also is."""
        for each in (*(self.schema.get_possible_types(named) if is_abstract_type(named) else ()), named):
            yield each
            if isinstance(each, GraphQLObjectType):
                yield from each.interfaces

    def _input(self, named: GraphQLNamedType) -> None:
        if is_specified_scalar_type(named) or named.name in self.found:
            return
        self.found |= set(coordinates(named))
        if isinstance(named, GraphQLInputObjectType):
            for field in named.fields.values():
                self._input(get_named_type(field.type))


class _Walk:
    """One answer beside its document."""

    def __init__(self, exercised: SchemaCoverage, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema, self._met, self._variables = exercised.schema, exercised.met, variables
        self._fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }

    def operation(self, node: OperationDefinitionNode, data: Mapping[str, Any]) -> None:
        root = self._schema.get_root_type(node.operation)
        if root is not None:
            self._object(root, [node.selection_set], data)

    def _object(self, named: GraphQLObjectType, selections: list[SelectionSetNode], value: Mapping[str, Any]) -> None:
        self._met.add(named.name)
        for key, nodes in self._collected(named, selections).items():
            name = nodes[0].name.value
            field = named.fields.get(name)
            if key not in value or field is None:
                continue
            for owner in (named, *(each for each in named.interfaces if name in each.fields)):
                self._met.add(f"{owner.name}.{name}")
            for node in nodes:
                self._arguments(named, node)
            below = [node.selection_set for node in nodes if node.selection_set]
            self._output(field.type, below, value[key])

    def _output(self, wanted: Any, selections: list[SelectionSetNode], value: Any) -> None:
        wanted = get_nullable_type(wanted)
        if value is None:
            return
        if isinstance(wanted, GraphQLList):
            for each in value:
                self._output(wanted.of_type, selections, each)
        elif is_leaf_type(wanted):
            self._leaf(wanted, value)
        else:
            concrete = self._concrete(get_named_type(wanted), selections, value)
            if concrete is not None:
                self._met.add(get_named_type(wanted).name)
                self._met |= {each.name for each in concrete.interfaces}
                self._object(concrete, selections, value)

    def _concrete(
        self, named: GraphQLNamedType, selections: list[SelectionSetNode], value: Mapping[str, Any]
    ) -> GraphQLObjectType | None:
        """Which type the value is of: by its `__typename`, or because its keys fit one type alone."""
        if isinstance(named, GraphQLObjectType):
            return named
        assert isinstance(named, GraphQLInterfaceType | GraphQLUnionType)
        fits = []
        for each in self._schema.get_possible_types(named):
            keys = self._collected(each, selections)
            named_so = [value[key] == each.name for key, nodes in keys.items() if _is_typename(nodes) and key in value]
            if all(named_so) and (named_so or keys.keys() == value.keys()):
                fits.append(each)
        return fits[0] if len(fits) == 1 else None

    def _collected(self, named: GraphQLObjectType, selections: list[SelectionSetNode]) -> dict[str, list[FieldNode]]:
        found: dict[str, list[FieldNode]] = {}
        for selection in (each for selections_ in selections for each in selections_.selections):
            if isinstance(selection, FieldNode):
                key = (selection.alias or selection.name).value
                found.setdefault(key, []).append(selection)
                continue
            fragment: Any = selection
            if isinstance(selection, FragmentSpreadNode):
                fragment = self._fragments[selection.name.value]
            if fragment.type_condition is None or self._applies(fragment.type_condition.name.value, named):
                for key, nodes in self._collected(named, [fragment.selection_set]).items():
                    found.setdefault(key, []).extend(nodes)
        return found

    def _applies(self, condition: str, named: GraphQLObjectType) -> bool:
        wanted = self._schema.type_map[condition]
        return wanted is named or (is_abstract_type(wanted) and self._schema.is_sub_type(wanted, named))

    def _arguments(self, named: GraphQLObjectType, node: FieldNode) -> None:
        known = named.fields[node.name.value].args
        for argument in node.arguments or ():
            given, value = self._given(argument.value)
            if given:
                self._met.add(f"{named.name}.{node.name.value}({argument.name.value}:)")
                self._input(known[argument.name.value].type, value)

    def _given(self, node: ValueNode) -> tuple[bool, Any]:
        if isinstance(node, VariableNode):
            return node.name.value in self._variables, self._variables.get(node.name.value)
        return True, value_from_ast_untyped(node, dict(self._variables))

    def _input(self, wanted: Any, value: Any) -> None:
        wanted = get_nullable_type(wanted)
        if value is None:
            return
        if isinstance(wanted, GraphQLList):
            for each in value if isinstance(value, list) else [value]:
                self._input(wanted.of_type, each)
        elif isinstance(wanted, GraphQLInputObjectType):
            self._met.add(wanted.name)
            for name, given in value.items():
                self._met.add(f"{wanted.name}.{name}")
                self._input(wanted.fields[name].type, given)
        else:
            self._leaf(wanted, value)

    def _leaf(self, named: GraphQLNamedType, value: Any) -> None:
        if isinstance(named, GraphQLEnumType):
            self._met |= {named.name, f"{named.name}.{value}"}
        elif not is_specified_scalar_type(named):
            self._met.add(named.name)


def _is_typename(nodes: list[FieldNode]) -> bool:
    return nodes[0].name.value == "__typename"
