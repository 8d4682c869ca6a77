"""Estimates the cost of operations.

The cost of an operation is the number of objects that its response may contain. A field that returns an object costs 1.
Under a connection the cost is multiplied by `first` (or `last`, or the default page size), and for a list of ids by its
length. Connections, edges and pageInfo are free. The estimate follows the text of the document: a field selected twice
counts twice, @skip and @include change nothing, and fragments on different types all count, although an object has only
one type.
"""

from collections.abc import Callable, Mapping
from functools import partial

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
from command_center.graphql_engine.introspection import MAX_COST, IntrospectionCounter
from command_center.graphql_engine.list_sizes import FieldSize, FieldSizes
from command_center.graphql_engine.lru_cache import LruCache
from command_center.graphql_engine.rules import INTROSPECTION

CACHED_COSTS = 64
"""Costs of one operation that are cached, by the variables that they depend on."""

MAX_KEY_CHARACTERS = 200
"""The longest string, in characters, in a cache key. Longer ones are no type names, and would only use memory."""

VariableReader = Callable[[object], int | str | None]
"""Reduces a value to what the cost depends on, for example the length of a list."""


class CostEstimator:
    """Estimates the cost of one operation of a valid document."""

    def __init__(
        self,
        schema: GraphQLSchema,
        sizes: FieldSizes,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        max_cost: int,
        max_page: int,
    ) -> None:
        self.schema = schema
        self.sizes = sizes
        self.fragments = fragments
        self.operation = operation
        self.defaults = {each.variable.name.value: each.default_value for each in operation.variable_definitions or ()}
        self.max_cost = max_cost
        self.read_rows: VariableReader = partial(count_rows, max_page)
        self._inputs: tuple[tuple[str, VariableReader], ...] | None = None
        self._costs: LruCache[tuple[int | str | None, ...], int] = LruCache(CACHED_COSTS)

    def estimate(self, variables: Mapping[str, object]) -> int:
        """Return the cost for the variables as the client sent them.

        Invalid values count as the maximum, because they are rejected later.
        """
        cost = None if self._inputs is None else self._costs.get(self._create_key(variables))
        if cost is None:
            counter = OperationCounter(self, variables)
            cost = counter.count()
            # The inputs are the same for all variables, because the counter visits everything that is selected.
            self._inputs = tuple(counter.inputs)
            key = self._create_key(variables)
            if not any(isinstance(part, str) and len(part) > MAX_KEY_CHARACTERS for part in key):
                self._costs.add(key, cost)
        return cost

    def read_variable(self, name: str, variables: Mapping[str, object]) -> object:
        """Return the value of a variable, or of its default."""
        if name in variables:
            return variables[name]
        default = self.defaults.get(name)
        return None if default is None else read_literal(default)

    def _create_key(self, variables: Mapping[str, object]) -> tuple[int | str | None, ...]:
        return tuple(read(self.read_variable(name, variables)) for name, read in self._inputs or ())


class OperationCounter:
    """Counts the cost of one operation for one set of variables.

    `inputs` are the variables it depends on, each with its reader.
    """

    def __init__(self, estimator: CostEstimator, variables: Mapping[str, object]) -> None:
        self._estimator = estimator
        self._variables = variables
        self._introspection = IntrospectionCounter(estimator.schema, estimator.fragments, estimator.max_cost)
        self._totals: dict[tuple[int, int | None], int] = {}
        self.inputs: dict[tuple[str, VariableReader], None] = {}

    def count(self) -> int:
        """Return the cost of the operation."""
        operation = self._estimator.operation
        root = self._estimator.schema.get_root_type(operation.operation)
        return min(MAX_COST, self._count_selections(root.name if root else "", operation.selection_set, None))

    def _count_selections(self, parent: str, selection_set: SelectionSetNode, batch: int | None) -> int:
        """Return the cost of a selection set.

        `batch` is the number of objects that the enclosing mutation acts on; None outside a mutation payload.
        """
        key = id(selection_set), batch
        total = self._totals.get(key)
        if total is None:
            total = 0
            for selection in selection_set.selections:
                if isinstance(selection, FieldNode):
                    total += self._count_field(parent, selection, batch)
                elif isinstance(selection, FragmentSpreadNode):
                    fragment = self._estimator.fragments[selection.name.value]
                    total += self._count_selections(fragment.type_condition.name.value, fragment.selection_set, batch)
                elif isinstance(selection, InlineFragmentNode):
                    condition = selection.type_condition
                    inner_type = parent if condition is None else condition.name.value
                    total += self._count_selections(inner_type, selection.selection_set, batch)
            total = self._totals[key] = min(MAX_COST, total)
        return total

    def _count_field(self, parent: str, node: FieldNode, batch: int | None) -> int:
        if node.selection_set is None:
            return 0
        arguments = {each.name.value: each.value for each in node.arguments or ()}
        name = node.name.value
        if name in INTROSPECTION:
            return self._count_introspection(name, arguments, node.selection_set)
        size = self._estimator.sizes[parent][name]
        inner = self._count_selections(size.type.name, node.selection_set, self._count_batch(size, arguments))
        return self._count_objects(size, arguments, batch) * (size.counts + inner)

    def _count_introspection(
        self, name: str, arguments: Mapping[str, ValueNode], selection_set: SelectionSetNode
    ) -> int:
        if name == "__schema":
            return self._introspection.count_schema(selection_set)
        return self._introspection.count_type(self._read(arguments.get("name"), read_text), selection_set)

    def _count_batch(self, size: FieldSize, arguments: Mapping[str, ValueNode]) -> int | None:
        return None if size.batch is None else self._read_int(arguments.get(size.batch), count_items)

    def _count_objects(self, size: FieldSize, arguments: Mapping[str, ValueNode], batch: int | None) -> int:
        numbers: list[int | None] = []
        if size.measure is Measure.PAGE:
            numbers = [self._read_int(arguments.get(each), self._estimator.read_rows) for each in ("first", "last")]
        elif size.measure is Measure.IDS:
            numbers = [self._count_batch(size, arguments)]
        elif size.measure is Measure.BATCH:
            numbers = [batch]
        return max((each for each in numbers if each is not None), default=size.number)

    def _read_int(self, node: ValueNode | None, read: VariableReader) -> int | None:
        value = self._read(node, read)
        return value if isinstance(value, int) else None

    def _read(self, node: ValueNode | None, read: VariableReader) -> int | str | None:
        if node is None:
            return None
        if not isinstance(node, VariableNode):
            return read(read_literal(node))
        self.inputs[node.name.value, read] = None
        return read(self._estimator.read_variable(node.name.value, self._variables))


def read_literal(node: ValueNode) -> object:
    """Return what the cost depends on: an int, a string or the items of a list.

    For any other literal the result is None.
    """
    if isinstance(node, IntValueNode):
        return int(node.value)
    if isinstance(node, ListValueNode):
        return list(node.values)
    return node.value if isinstance(node, StringValueNode) else None


def count_rows(max_page: int, value: object) -> int | None:
    """Return the number of rows that a value of `first` or `last` requests, or None.

    An invalid value counts as `max_page`.
    """
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= max_page:
        return int(value)
    return max_page


def count_items(value: object) -> int | None:
    """Return the length of a list, or None if the value is None.

    A single value counts as a list of one.
    """
    if value is None:
        return None
    return len(value) if isinstance(value, list) else 1


def read_text(value: object) -> str | None:
    """Return the value if it is a string, otherwise None."""
    return value if isinstance(value, str) else None
