"""The validation rule for values in a document: as graphql-core's, but each error names the place of its value."""

from typing import Any

from graphql import SKIP, ArgumentNode, GraphQLError, GraphQLInputType, ValueNode, VariableDefinitionNode, VisitorAction
from graphql.utilities.validate_input_value import validate_input_literal
from graphql.validation import ValuesOfCorrectTypeRule


class LiteralValuesRule(ValuesOfCorrectTypeRule):
    """Values of arguments and defaults of variables are of their types.

    An error of a custom scalar has neither a location nor a path in graphql-core; here it has both.
    """

    _owner = ""
    """The argument or variable whose value is being visited."""

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        self._owner = node.name.value

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
        self._owner = f"${node.variable.name.value}"

    def is_valid_value_node(self, node: ValueNode, input_type: GraphQLInputType | None) -> VisitorAction:
        """Checks a whole value at once, whatever it consists of."""

        def report(error: GraphQLError, path: list[str | int]) -> None:
            place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
            self.report_error(GraphQLError(f"{self._owner}{place}: {error.message}", error.nodes or node))

        if input_type:
            validate_input_literal(node, input_type, report, None, None, self.context.hide_suggestions)
        return SKIP
