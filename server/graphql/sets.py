"""The fields of a document as sets: those that come to stand in one object, fragments included."""

from collections.abc import Iterable
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)


class Field:
    """A field as it is written in one place; equal to itself alone."""

    __slots__ = ("answer", "arguments", "name", "node", "parent", "returns", "shape", "type")

    def __init__(self, node: FieldNode, parent: GraphQLNamedType, returns: GraphQLOutputType | None) -> None:
        self.node = node
        self.parent = parent
        self.name = node.name.value
        self.answer = node.alias.value if node.alias else self.name
        self.arguments = frozenset((each.name.value, _value(each.value)) for each in node.arguments or ())
        self.returns = returns
        self.type = None if returns is None else get_named_type(returns)
        # The stock rule knows no type of `__typename` and its like: they go with anything.
        self.shape = None if returns is None or self.name.startswith("__") else _shape(returns)


Fields = frozenset[Field]
Written = tuple[list[Field], list[str]]


class Sets:
    """The sets of one document. `steps`: how many fields were put into one."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._document = document
        self._fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._written: dict[int, Written] = {}
        self._flat: dict[int, Fields] = {}
        self.steps = 0

    def roots(self) -> list[Fields]:
        """Of each operation. What fragments hold is in them, as each is used."""
        return [
            self._fields(self._schema.get_root_type(each.operation), each.selection_set)
            for each in self._document.definitions
            if isinstance(each, OperationDefinitionNode)
        ]

    def below(self, fields: Iterable[Field]) -> Fields:
        """What stands in the object that these lead to."""
        found = {
            self._fields(each.type, each.node.selection_set) for each in fields if each.node.selection_set is not None
        }
        if len(found) == 1:
            return found.pop()
        self.steps += sum(map(len, found))
        return frozenset().union(*found)

    def _fields(self, parent: Any, selection_set: SelectionSetNode) -> Fields:
        """Those of a selection set and of every fragment in it, each fragment once."""
        flat = self._flat.get(id(selection_set))
        if flat is None:
            found: list[Field] = []
            seen: set[str] = set()
            todo = [self._own(parent, selection_set)]
            while todo:
                fields, spreads = todo.pop()
                self.steps += len(fields) + len(spreads)
                found += fields
                for name in spreads:
                    if name not in seen:
                        seen.add(name)
                        todo.append(self._fragment(name))
            flat = self._flat[id(selection_set)] = frozenset(found)
        return flat

    def _fragment(self, name: str) -> Written:
        fragment = self._fragments[name]
        return self._own(self._schema.type_map[fragment.type_condition.name.value], fragment.selection_set)

    def _own(self, parent: Any, selection_set: SelectionSetNode) -> Written:
        """The fields that are written here, inline fragments included, and the fragments that are spread."""
        written = self._written.get(id(selection_set))
        if written is None:
            written = fields, spreads = self._written[id(selection_set)] = [], []
            todo = [(parent, selection_set)]
            while todo:
                parent, inner = todo.pop()
                for selection in inner.selections:
                    if isinstance(selection, FieldNode):
                        definition = self._schema.get_field(parent, selection.name.value)
                        fields.append(Field(selection, parent, None if definition is None else definition.type))
                    elif isinstance(selection, FragmentSpreadNode):
                        spreads.append(selection.name.value)
                    elif isinstance(selection, InlineFragmentNode):
                        condition = selection.type_condition
                        within = parent if condition is None else self._schema.type_map[condition.name.value]
                        todo.append((within, selection.selection_set))
        return written


def _value(node: ValueNode) -> Any:
    """A literal as it is compared: in an object the order of fields means nothing."""
    if isinstance(node, ObjectValueNode):
        named = sorted(node.fields, key=lambda each: each.name.value)
        return node.kind, tuple((each.name.value, _value(each.value)) for each in named)
    if isinstance(node, ListValueNode):
        return node.kind, tuple(_value(each) for each in node.values)
    if isinstance(node, StringValueNode):
        return node.kind, node.value, node.block is True
    return node.kind, node.name.value if isinstance(node, VariableNode) else getattr(node, "value", None)


def _shape(returns: Any) -> tuple[str | None, ...]:
    found: list[str | None] = []
    while is_list_type(returns) or is_non_null_type(returns):
        found.append("list" if is_list_type(returns) else "non-null")
        returns = returns.of_type
    return (*found, returns.name if is_leaf_type(returns) else None)
