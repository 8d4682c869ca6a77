"""A validation rule for values in a document, with precise error locations."""

from graphql import (
    SKIP,
    ArgumentNode,
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    GraphQLError,
    GraphQLInputType,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValidationRule,
    ValueNode,
    VariableDefinitionNode,
    VisitorAction,
    validate_input_literal,
)


class LiteralValuesRule(ValidationRule):
    """Checks that argument values and variable defaults have their declared types.

    It replaces graphql-core's ValuesOfCorrectTypeRule, whose errors about custom scalars have neither a location nor a
    path. Here they have both.
    """

    _owner = ""
    """The argument or variable whose value is being visited."""

    def enter_argument(self, node: ArgumentNode, *_: object) -> None:
        self._owner = node.name.value

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: object) -> None:
        self._owner = f"${node.variable.name.value}"

    def enter_list_value(self, node: ListValueNode, *_: object) -> VisitorAction:
        # Inside a list, graphql-core's input type is that of the items.
        return self._check(node, self.context.get_parent_input_type())

    def enter_object_value(self, node: ObjectValueNode, *_: object) -> VisitorAction:
        return self._check(node, self.context.get_input_type())

    def enter_null_value(self, node: NullValueNode, *_: object) -> VisitorAction:
        return self._check(node, self.context.get_input_type())

    def enter_enum_value(self, node: EnumValueNode, *_: object) -> VisitorAction:
        return self._check(node, self.context.get_input_type())

    def enter_int_value(self, node: IntValueNode, *_: object) -> VisitorAction:
        return self._check(node, self.context.get_input_type())

    def enter_float_value(self, node: FloatValueNode, *_: object) -> VisitorAction:
        return self._check(node, self.context.get_input_type())

    def enter_string_value(self, node: StringValueNode, *_: object) -> VisitorAction:
        return self._check(node, self.context.get_input_type())

    def enter_boolean_value(self, node: BooleanValueNode, *_: object) -> VisitorAction:
        return self._check(node, self.context.get_input_type())

    def _check(self, node: ValueNode, input_type: GraphQLInputType | None) -> VisitorAction:
        """Check a whole value, including the values nested in it."""

        def report(error: GraphQLError, path: list[str | int]) -> None:
            suffix = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
            self.report_error(GraphQLError(f"{self._owner}{suffix}: {error.message}", error.nodes or node))

        if input_type:
            validate_input_literal(node, input_type, report, None, None, self.context.hide_suggestions)
        return SKIP
