"""Finds the fields of a document that end up in the same object of the response."""

from collections.abc import Iterable

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
    is_composite_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)


class FieldOccurrence:
    """One occurrence of a field in a document. It is equal only to itself."""

    __slots__ = ("arguments", "key", "name", "node", "parent", "returns", "shape", "type")

    def __init__(self, node: FieldNode, parent: GraphQLNamedType, returns: GraphQLOutputType | None) -> None:
        self.node = node
        self.parent = parent
        self.name = node.name.value
        self.key = node.alias.value if node.alias else self.name
        self.arguments = frozenset((each.name.value, _normalize_literal(each.value)) for each in node.arguments or ())
        self.returns = returns
        self.type = None if returns is None else get_named_type(returns)
        # Like in graphql-core's rule, `__typename` and other meta fields have no shape and conflict with nothing.
        self.shape = None if returns is None or self.name.startswith("__") else _describe_shape(returns)


class Block:
    """The contents of one selection set.

    These are its fields, with those of inline fragments, and the fragments that it spreads.
    """

    __slots__ = ("fields", "spreads")

    def __init__(self) -> None:
        self.fields: list[FieldOccurrence] = []
        self.spreads: set[str] = set()


Blocks = frozenset[Block]
"""All blocks whose fields end up in one object."""


class FieldSets:
    """Finds the fields of one document that end up in the same response object.

    They are returned as the set of the blocks that contain them. `steps` counts the blocks that were added to sets.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._document = document
        self._fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._blocks: dict[int, Block] = {}
        self._blocks_of: dict[int, Blocks] = {}
        self.steps = 0

    def collect_roots(self) -> list[Blocks]:
        """Return, for each operation, the blocks whose fields are its root fields.

        Fragments are covered by the operations that use them.
        """
        return [
            self._collect_blocks(self._schema.get_root_type(each.operation), each.selection_set)
            for each in self._document.definitions
            if isinstance(each, OperationDefinitionNode)
        ]

    def merge_selections(self, fields: Iterable[FieldOccurrence]) -> Blocks:
        """Return the blocks of all subfields that several fields together select.

        The fields have one response key, so that their subfields end up in one object.
        """
        sets = {
            self._collect_blocks(each.type, each.node.selection_set)
            for each in fields
            if each.node.selection_set is not None
        }
        self.steps += sum(map(len, sets))
        return frozenset().union(*sets)

    def _collect_blocks(self, parent: GraphQLNamedType | None, selection_set: SelectionSetNode) -> Blocks:
        """Return the blocks of a selection set and of all fragments that it spreads.

        `parent` is the type from which the fields are selected.
        """
        blocks = self._blocks_of.get(id(selection_set))
        if blocks is None:
            visited: list[Block] = []
            seen: set[str] = set()
            pending = [self._find_block(parent, selection_set)]
            while pending:
                block = pending.pop()
                visited.append(block)
                new = block.spreads - seen
                seen |= new
                pending += map(self._find_fragment_block, new)
                self.steps += 1 + len(block.spreads)
            blocks = self._blocks_of[id(selection_set)] = frozenset(visited)
        return blocks

    def _find_fragment_block(self, name: str) -> Block:
        fragment = self._fragments[name]
        return self._find_block(self._schema.type_map[fragment.type_condition.name.value], fragment.selection_set)

    def _find_block(self, parent: GraphQLNamedType | None, selection_set: SelectionSetNode) -> Block:
        block = self._blocks.get(id(selection_set))
        if block is None:
            block = self._blocks[id(selection_set)] = Block()
            pending = [(parent, selection_set)]
            while pending:
                parent, inner = pending.pop()
                for selection in inner.selections:
                    if isinstance(selection, FieldNode):
                        assert is_composite_type(parent)
                        definition = self._schema.get_field(parent, selection.name.value)
                        returns = None if definition is None else definition.type
                        block.fields.append(FieldOccurrence(selection, parent, returns))
                    elif isinstance(selection, FragmentSpreadNode):
                        block.spreads.add(selection.name.value)
                    elif isinstance(selection, InlineFragmentNode):
                        condition = selection.type_condition
                        inner_type = parent if condition is None else self._schema.type_map[condition.name.value]
                        pending.append((inner_type, selection.selection_set))
        return block


def _normalize_literal(node: ValueNode) -> object:
    """Return a comparable form of a literal.

    The order of an object's fields does not matter.
    """
    if isinstance(node, ObjectValueNode):
        members = sorted(node.fields, key=lambda each: each.name.value)
        return node.kind, tuple((each.name.value, _normalize_literal(each.value)) for each in members)
    if isinstance(node, ListValueNode):
        return node.kind, tuple(_normalize_literal(each) for each in node.values)
    if isinstance(node, StringValueNode):
        return node.kind, node.value, node.block is True
    return node.kind, node.name.value if isinstance(node, VariableNode) else getattr(node, "value", None)


def _describe_shape(returns: GraphQLOutputType) -> tuple[str | None, ...]:
    wrappers: list[str | None] = []
    while is_list_type(returns) or is_non_null_type(returns):
        wrappers.append("list" if is_list_type(returns) else "non-null")
        returns = returns.of_type
    return (*wrappers, returns.name if is_leaf_type(returns) else None)
