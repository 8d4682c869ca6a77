"""Collects the fields that an operation selects from an object.

Fragments are merged, and `@skip` and `@include` are evaluated. The result equals CollectFields of the GraphQL
specification.
"""

from collections.abc import Iterable, Mapping

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    is_abstract_type,
)
from graphql.execution import VariableValues, get_directive_values

CollectedFields = Mapping[str, list[FieldNode]]
"""The nodes of each response key, in the order of the response."""


class FieldCollector:
    """Collects the fields of one operation, for one set of variables."""

    __slots__ = ("_fragments", "_schema", "_variables")

    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: VariableValues
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables

    def collect(self, type_: GraphQLObjectType, selection_sets: Iterable[SelectionSetNode | None]) -> CollectedFields:
        """Return the fields that the selection sets select from an object of that type.

        Raises: GraphQLError if a directive has an invalid argument.
        """
        fields: dict[str, list[FieldNode]] = {}
        spread_names: set[str] = set()
        for selection_set in selection_sets:
            # An explicit stack, because inline fragments may nest deeper than Python's recursion limit.
            stack = [iter(selection_set.selections)] if selection_set is not None else []
            while stack:
                for node in stack[-1]:
                    if isinstance(node, FieldNode):
                        if self._is_included(node):
                            key = node.alias.value if node.alias else node.name.value
                            fields.setdefault(key, []).append(node)
                        continue
                    inner = self._select_fragment(type_, node, spread_names)
                    if inner is not None:
                        stack.append(iter(inner.selections))
                        break
                else:
                    stack.pop()
        return fields

    def _select_fragment(
        self, type_: GraphQLObjectType, node: SelectionNode, spread_names: set[str]
    ) -> SelectionSetNode | None:
        """Return the selection set of a fragment that applies to objects of a type.

        The result is None if the fragment is skipped, repeated or for other types.
        """
        if not self._is_included(node):
            return None
        fragment: InlineFragmentNode | FragmentDefinitionNode | None = None
        if isinstance(node, InlineFragmentNode):
            fragment = node
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread_names:
            fragment = self._fragments.get(node.name.value)
        if fragment is None or not self._applies(fragment, type_):
            return None
        if isinstance(node, FragmentSpreadNode):
            spread_names.add(node.name.value)
        return fragment.selection_set

    def _applies(self, fragment: InlineFragmentNode | FragmentDefinitionNode, type_: GraphQLObjectType) -> bool:
        if fragment.type_condition is None:
            return True
        condition = self._schema.get_type(fragment.type_condition.name.value)
        if condition is type_:
            return True
        return is_abstract_type(condition) and self._schema.is_sub_type(condition, type_)

    def _is_included(self, node: SelectionNode) -> bool:
        if not node.directives:
            return True
        skip = get_directive_values(GraphQLSkipDirective, node, self._variables, hide_suggestions=True)
        if skip and skip["if"]:
            return False
        include = get_directive_values(GraphQLIncludeDirective, node, self._variables, hide_suggestions=True)
        return not include or bool(include["if"])
