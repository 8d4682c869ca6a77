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


class Block:
    """What is written in one selection set: its fields, inline fragments included, and the fragments it spreads."""

    __slots__ = ("fields", "spreads")

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.spreads: set[str] = set()


Blocks = frozenset[Block]
"""Whatever stands in one object."""


class FieldSets:
    """The sets of one document. `steps`: how many blocks were put into one."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._document = document
        self._fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._blocks: dict[int, Block] = {}
        self._sets: dict[int, Blocks] = {}
        self.steps = 0

    def roots(self) -> list[Blocks]:
        """Of each operation. What fragments hold is among it, as each is used."""
        return [
            self._set(self._schema.get_root_type(each.operation), each.selection_set)
            for each in self._document.definitions
            if isinstance(each, OperationDefinitionNode)
        ]

    def below(self, fields: Iterable[Field]) -> Blocks:
        """What stands in the object that these lead to."""
        found = {
            self._set(each.type, each.node.selection_set) for each in fields if each.node.selection_set is not None
        }
        self.steps += sum(map(len, found))
        return frozenset().union(*found)

    def _set(self, parent: Any, selection_set: SelectionSetNode) -> Blocks:
        """The block of a selection set and those of all fragments in it, each once."""
        known = self._sets.get(id(selection_set))
        if known is None:
            found: list[Block] = []
            seen: set[str] = set()
            todo = [self._block(parent, selection_set)]
            while todo:
                block = todo.pop()
                found.append(block)
                new = block.spreads - seen
                seen |= new
                todo += map(self._fragment, new)
                self.steps += 1 + len(block.spreads)
            known = self._sets[id(selection_set)] = frozenset(found)
        return known

    def _fragment(self, name: str) -> Block:
        fragment = self._fragments[name]
        return self._block(self._schema.type_map[fragment.type_condition.name.value], fragment.selection_set)

    def _block(self, parent: Any, selection_set: SelectionSetNode) -> Block:
        block = self._blocks.get(id(selection_set))
        if block is None:
            block = self._blocks[id(selection_set)] = Block()
            todo = [(parent, selection_set)]
            while todo:
                parent, inner = todo.pop()
                for selection in inner.selections:
                    if isinstance(selection, FieldNode):
                        definition = self._schema.get_field(parent, selection.name.value)
                        returns = None if definition is None else definition.type
                        block.fields.append(Field(selection, parent, returns))
                    elif isinstance(selection, FragmentSpreadNode):
                        block.spreads.add(selection.name.value)
                    elif isinstance(selection, InlineFragmentNode):
                        condition = selection.type_condition
                        within = parent if condition is None else self._schema.type_map[condition.name.value]
                        todo.append((within, selection.selection_set))
        return block


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
