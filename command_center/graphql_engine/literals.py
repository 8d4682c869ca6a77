"""A validation rule for values in a document, with precise error locations."""

from typing import Any

from graphql import SKIP, ArgumentNode, GraphQLError, GraphQLInputType, ValueNode, VariableDefinitionNode, VisitorAction
from graphql.utilities.validate_input_value import validate_input_literal
from graphql.validation import ValuesOfCorrectTypeRule


class LiteralValuesRule(ValuesOfCorrectTypeRule):
    """Checks that argument values and variable defaults have their declared types.

    In graphql-core an error of a custom scalar has neither a location nor a path. Here it has both.
    """

    _owner = ""
    """The argument or variable whose value is being visited."""

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        self._owner = node.name.value

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
        self._owner = f"${node.variable.name.value}"

    def is_valid_value_node(self, node: ValueNode, input_type: GraphQLInputType | None) -> VisitorAction:
        """Check a whole value, including the values nested in it."""

        def report(error: GraphQLError, path: list[str | int]) -> None:
            suffix = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
            self.report_error(GraphQLError(f"{self._owner}{suffix}: {error.message}", error.nodes or node))

        if input_type:
            validate_input_literal(node, input_type, report, None, None, self.context.hide_suggestions)
        return SKIP
