"""Plans: an operation's selections, merged for each type that was met, kept with the document they are made of.

A plan grows while it is carried out: a type nobody returned is never looked at. It depends on no variable but those
that may decide what is skipped, and those are part of what it is found by.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from graphql import FieldNode, FragmentDefinitionNode, GraphQLObjectType, OperationDefinitionNode, Undefined
from graphql.execution.collect_fields import FieldDetailsList, FragmentDetails, GroupedFieldSet
from graphql.language import NamedTypeNode, NonNullTypeNode

from command_center.graphql_engine.type_plans import Asked, Call, FieldPlan, Pointer, Read, Table, TypePlan, TypePlans
from command_center.graphql_engine.variables import VariableCoercion

Wanted = tuple[tuple[tuple[Read, ...], Pointer], ...]
"""What can be loaded for all that a field's value holds: how it is reached from there, and what it is."""


class Field:
    """One name in the answer: all the places that ask for it under one parent, and what is known of the field."""

    __slots__ = (
        "asked",
        "below",
        "call",
        "definition",
        "details",
        "key",
        "name",
        "nodes",
        "parent",
        "pointer",
        "read",
        "shape",
        "streams",
        "wanted",
    )

    def __init__(self, parent: GraphQLObjectType, key: str, known: FieldPlan, details: FieldDetailsList) -> None:
        self.parent = parent
        self.key = key
        self.name = known.name
        self.definition = known.definition
        self.shape: TypePlan = known.shape
        self.call: Call | None = known.call
        self.asked: Asked | None = known.asked
        self.read, self.pointer = known.read, known.pointer
        self.details = details
        self.nodes: list[FieldNode] = [each.node for each in details]
        self.streams = any(each.name.value == "stream" for node in self.nodes for each in node.directives or ())
        self.below: dict[GraphQLObjectType, Selection | None] = {}
        """What is asked of its value, by the value's type; None where that is not for us."""
        self.wanted: Wanted | None = None
        """None until it is looked for."""
        if self.nodes[0].arguments:
            self.call = None


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What is asked of one type in one place, in the order of the answer. A field whose value is made of its row at
    once is there with how it is read and its table."""

    type: GraphQLObjectType
    fields: tuple[tuple[str, Read | None, Table, Field], ...]


@dataclass(slots=True, eq=False)
class Plan:
    """Of one operation, with one choice of what is skipped."""

    plans: "Plans"
    root: Selection | None = None

    def selection(self, type_: GraphQLObjectType, grouped: GroupedFieldSet) -> Selection:
        return self.plans.selection(type_, grouped)


class ExecutionTemplate(NamedTuple):
    """What an execution of an operation begins with, whoever asks and whatever the variables."""

    fragment_definitions: dict[str, FragmentDefinitionNode]
    fragments: dict[str, FragmentDetails]
    operation: OperationDefinitionNode
    values: VariableCoercion


@dataclass(slots=True, eq=False)
class Plans:
    """All of one document, as long as they have no more than `most` fields: a fragment may be merged in many places."""

    shapes: TypePlans
    most: int
    _kept: dict[tuple[Any, ...], Plan] = field(default_factory=dict)
    _deciding: dict[int, list[str]] = field(default_factory=dict)
    _fields: int = 0
    begun: dict[str | None, ExecutionTemplate] = field(default_factory=dict)
    """By the name that was asked for; of operations that were carried out before."""

    def plan(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> Plan:
        """The one for these variables, begun if need be."""
        deciding = self._deciding.get(id(operation))
        if deciding is None:
            deciding = self._deciding[id(operation)] = _deciding(operation)
        key = (id(operation), *[variables.get(name, Undefined) for name in deciding])
        plan = self._kept.get(key)
        if plan is None:
            plan = self._kept[key] = Plan(self)
            self._grown(1)
        return plan

    def selection(self, type_: GraphQLObjectType, grouped: GroupedFieldSet) -> Selection:
        fields: list[tuple[str, Read | None, Table, Field]] = []
        for key, details in grouped.items():
            known = self.shapes.known(type_, details[0].node.name.value)
            if known is not None:
                made = Field(type_, key, known, details)
                direct = known.shape.table or isinstance(known.read, attrgetter)
                fields.append((key, known.read if direct else None, known.shape.table, made))
        self._grown(len(fields))
        return Selection(type_, tuple(fields))

    def _grown(self, by: int) -> None:
        self._fields += by
        if self._fields > self.most:
            # Whoever is at it goes on with what they have.
            self._kept.clear()
            self._fields = 0


def _deciding(operation: OperationDefinitionNode) -> list[str]:
    """The variables that `@skip` and `@include` could go by: no other type fits there."""
    found = []
    for each in operation.variable_definitions or ():
        type_ = each.type.type if isinstance(each.type, NonNullTypeNode) else each.type
        if isinstance(type_, NamedTypeNode) and type_.name.value == "Boolean":
            found.append(each.variable.name.value)
    return found
