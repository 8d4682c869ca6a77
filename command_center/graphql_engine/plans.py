"""Plans the execution of operations.

A plan holds the selections of an operation, merged for each object type. It is cached with the document. A plan grows
during execution, because a type that is never returned needs no plan. It depends on no variables but those that may
decide what is skipped, and these are part of its cache key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    Undefined,
)

from command_center.graphql_engine.field_collection import CollectedFields
from command_center.graphql_engine.type_plans import (
    Call,
    FieldPlan,
    Read,
    ResolverWithArguments,
    RowReference,
    Table,
    TypePlan,
    TypePlans,
)
from command_center.graphql_engine.variables import VariableCoercion

Prefetches = tuple[tuple[tuple[Read, ...], RowReference], ...]
"""The references that can be loaded in advance for a field's value, each with the attribute reads that lead to it."""


class PlannedField:
    """One response key of an object type, with the plan of the field behind it."""

    __slots__ = (
        "below",
        "call",
        "call_with_arguments",
        "definition",
        "key",
        "name",
        "nodes",
        "parent",
        "prefetches",
        "read",
        "reference",
        "type_plan",
    )

    def __init__(self, parent: GraphQLObjectType, key: str, plan: FieldPlan, nodes: list[FieldNode]) -> None:
        self.parent = parent
        self.key = key
        self.name = plan.name
        self.definition = plan.definition
        self.type_plan: TypePlan = plan.type_plan
        self.call: Call | None = plan.call
        self.call_with_arguments: ResolverWithArguments | None = plan.call_with_arguments
        self.read, self.reference = plan.read, plan.reference
        self.nodes = nodes
        self.below: dict[GraphQLObjectType, SelectionPlan] = {}
        """The selection for each object type of the value."""
        self.prefetches: Prefetches | None = None
        """None until they are determined."""
        if nodes[0].arguments:
            self.call = None


@dataclass(frozen=True, slots=True, eq=False)
class SelectionPlan:
    """The fields selected from one object type, in the order of the response.

    Each has its response key. A field whose value comes directly from its row also has its read and its table.
    """

    type: GraphQLObjectType
    fields: tuple[tuple[str, Read | None, Table, PlannedField], ...]


@dataclass(slots=True, eq=False)
class OperationPlan:
    """The plan of one operation with one combination of skipped fields."""

    document: "DocumentPlans"
    root: SelectionPlan | None = None


@dataclass(slots=True, eq=False)
class ExecutionTemplate:
    """The parts of an execution that are the same for all users and variables."""

    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    root_type: GraphQLObjectType
    coercion: VariableCoercion | None = None
    """How to coerce the variables. None until graphql-core has coerced variables of the operation."""


@dataclass(slots=True, eq=False)
class DocumentPlans:
    """All plans of one document.

    They are discarded when they have more than `max_fields` fields together, because a fragment may be merged in many
    places.
    """

    type_plans: TypePlans
    max_fields: int
    templates: dict[str | None, ExecutionTemplate] = field(default_factory=dict)
    """By the requested operation name, for operations that were executed before."""
    _plans: dict[tuple[object, ...], OperationPlan] = field(default_factory=dict)
    _deciding_variables: dict[int, list[str]] = field(default_factory=dict)
    _field_count: int = 0

    def plan_operation(self, operation: OperationDefinitionNode, variables: Mapping[str, object]) -> OperationPlan:
        """Return the plan for these variables, which is created if necessary."""
        names = self._deciding_variables.get(id(operation))
        if names is None:
            names = self._deciding_variables[id(operation)] = _find_deciding_variables(operation)
        key = (id(operation), *[variables.get(name, Undefined) for name in names])
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = OperationPlan(self)
            self._count_fields(1)
        return plan

    def plan_selection(self, type_: GraphQLObjectType, collected: CollectedFields) -> SelectionPlan:
        """Plan the fields that were collected from one object type."""
        planned_fields: list[tuple[str, Read | None, Table, PlannedField]] = []
        for key, nodes in collected.items():
            plan = self.type_plans.plan_field(type_, nodes[0].name.value)
            if plan is not None:
                planned = PlannedField(type_, key, plan, nodes)
                direct = plan.type_plan.table or isinstance(plan.read, attrgetter)
                planned_fields.append((key, plan.read if direct else None, plan.type_plan.table, planned))
        self._count_fields(len(planned_fields))
        return SelectionPlan(type_, tuple(planned_fields))

    def _count_fields(self, count: int) -> None:
        self._field_count += count
        if self._field_count > self.max_fields:
            # Executions in progress keep the plans they have.
            self._plans.clear()
            self._field_count = 0


def _find_deciding_variables(operation: OperationDefinitionNode) -> list[str]:
    """Return the variables that `@skip` and `@include` may use: those of type Boolean."""
    names = []
    for each in operation.variable_definitions or ():
        type_ = each.type.type if isinstance(each.type, NonNullTypeNode) else each.type
        if isinstance(type_, NamedTypeNode) and type_.name.value == "Boolean":
            names.append(each.variable.name.value)
    return names
