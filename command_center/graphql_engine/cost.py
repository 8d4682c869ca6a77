"""What an operation costs: the number of objects its answer may hold.

1 for a field that is an object, times `first` (or `last`, or the default page) under a connection, times the length of
a list of ids; connections, edges and pageInfo are free. It is counted as it is written: what is selected twice counts
twice, @skip and @include change nothing, and of fragments on several types each counts, though an object has but one.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)

from command_center.graphql_engine.hints import Measure
from command_center.graphql_engine.introspection import CEILING, Introspection
from command_center.graphql_engine.list_sizes import Size, Sizes
from command_center.graphql_engine.lru_cache import LruCache
from command_center.graphql_engine.rules import INTROSPECTION

KEPT = 64
"""Costs of one operation that are kept, by what its variables say."""

LONGEST_NAME = 200
"""Characters of a text among them. Longer ones name no type, and would fill the memory."""

Reading = Callable[[Any], int | str | None]


class CostEstimator:
    """Counts one operation of a document that was found valid."""

    def __init__(
        self,
        schema: GraphQLSchema,
        sizes: Sizes,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        most: int,
        max_page: int,
    ) -> None:
        self.schema = schema
        self.sizes = sizes
        self.fragments = fragments
        self.operation = operation
        self.defaults = {each.variable.name.value: each.default_value for each in operation.variable_definitions or ()}
        self.most = most
        self.rows: Reading = partial(rows, max_page)
        self._readings: tuple[tuple[str, Reading], ...] | None = None
        self._known: LruCache[tuple[int | str | None, ...], int] = LruCache(KEPT)

    def cost(self, variables: Mapping[str, Any]) -> int:
        """By the variables as a client sent them. What makes no sense counts as most: it is refused later."""
        cost = None if self._readings is None else self._known.get(self._key(variables))
        if cost is None:
            count = Count(self, variables)
            cost = count.operation()
            # The same each time: whatever is selected is looked at.
            self._readings = tuple(count.readings)
            key = self._key(variables)
            if not any(isinstance(part, str) and len(part) > LONGEST_NAME for part in key):
                self._known.add(key, cost)
        return cost

    def value(self, name: str, variables: Mapping[str, Any]) -> Any:
        """A variable's, or its default's."""
        if name in variables:
            return variables[name]
        default = self.defaults.get(name)
        return None if default is None else literal(default)

    def _key(self, variables: Mapping[str, Any]) -> tuple[int | str | None, ...]:
        return tuple(read(self.value(name, variables)) for name, read in self._readings or ())


class Count:
    """One count, with one set of variables. `readings`: which of them it depends on, and how they are read."""

    def __init__(self, meter: CostEstimator, variables: Mapping[str, Any]) -> None:
        self._meter = meter
        self._variables = variables
        self._introspection = Introspection(meter.schema, meter.fragments, meter.most)
        self._known: dict[tuple[int, int | None], int] = {}
        self.readings: dict[tuple[str, Reading], None] = {}

    def operation(self) -> int:
        operation = self._meter.operation
        root = self._meter.schema.get_root_type(operation.operation)
        return min(CEILING, self._selections(root.name if root else "", operation.selection_set, None))

    def _selections(self, parent: str, selection_set: SelectionSetNode, batch: int | None) -> int:
        """`batch`: how many the enclosing mutation does something to, in its answer; else None."""
        key = id(selection_set), batch
        total = self._known.get(key)
        if total is None:
            total = 0
            for selection in selection_set.selections:
                if isinstance(selection, FieldNode):
                    total += self._field(parent, selection, batch)
                elif isinstance(selection, FragmentSpreadNode):
                    fragment = self._meter.fragments[selection.name.value]
                    total += self._selections(fragment.type_condition.name.value, fragment.selection_set, batch)
                elif isinstance(selection, InlineFragmentNode):
                    condition = selection.type_condition
                    within = parent if condition is None else condition.name.value
                    total += self._selections(within, selection.selection_set, batch)
            total = self._known[key] = min(CEILING, total)
        return total

    def _field(self, parent: str, node: FieldNode, batch: int | None) -> int:
        if node.selection_set is None:
            return 0
        arguments = {each.name.value: each.value for each in node.arguments or ()}
        name = node.name.value
        if name in INTROSPECTION:
            return self._introspected(name, arguments, node.selection_set)
        size = self._meter.sizes[parent][name]
        below = self._selections(size.type.name, node.selection_set, self._batch(size, arguments))
        return self._number(size, arguments, batch) * (size.counts + below)

    def _introspected(self, name: str, arguments: Mapping[str, ValueNode], selection_set: SelectionSetNode) -> int:
        if name == "__schema":
            return self._introspection.schema(selection_set)
        return self._introspection.type(self._read(arguments.get("name"), text), selection_set)

    def _batch(self, size: Size, arguments: Mapping[str, ValueNode]) -> int | None:
        return None if size.batch is None else self._whole(arguments.get(size.batch), length)

    def _number(self, size: Size, arguments: Mapping[str, ValueNode], batch: int | None) -> int:
        found: list[int | None] = []
        if size.measure is Measure.PAGE:
            found = [self._whole(arguments.get(each), self._meter.rows) for each in ("first", "last")]
        elif size.measure is Measure.IDS:
            found = [self._batch(size, arguments)]
        elif size.measure is Measure.BATCH:
            found = [batch]
        return max((each for each in found if each is not None), default=size.number)

    def _whole(self, node: ValueNode | None, read: Reading) -> int | None:
        value = self._read(node, read)
        return value if isinstance(value, int) else None

    def _read(self, node: ValueNode | None, read: Reading) -> int | str | None:
        if node is None:
            return None
        if not isinstance(node, VariableNode):
            return read(literal(node))
        self.readings[node.name.value, read] = None
        return read(self._meter.value(node.name.value, self._variables))


def literal(node: ValueNode) -> Any:
    """The parts of a value in a document that a count can depend on."""
    if isinstance(node, IntValueNode):
        return int(node.value)
    if isinstance(node, ListValueNode):
        return list(node.values)
    return node.value if isinstance(node, StringValueNode) else None


def rows(max_page: int, value: Any) -> int | None:
    """What `first` or `last` asks for; None where it does not say."""
    if value is None:
        return None
    sensible = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= max_page
    return int(value) if sensible else max_page


def length(value: Any) -> int | None:
    """Of a list; a single value is a list of one."""
    if value is None:
        return None
    return len(value) if isinstance(value, list) else 1


def text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
