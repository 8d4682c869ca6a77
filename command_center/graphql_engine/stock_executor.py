"""Executes whole operations with graphql-core's own executor.

This is for the rare operations that use a feature which plans do not support.
"""

from collections.abc import AsyncIterable, Awaitable, Mapping, Sequence

from graphql import (
    DirectiveNode,
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLDeferDirective,
    GraphQLError,
    GraphQLSchema,
    GraphQLStreamDirective,
    Visitor,
    get_operation_ast,
    visit,
)
from graphql.execution import (
    Executor,
    create_source_event_stream,
    execute_root_selection_set,
    execute_subscription_event,
)

from command_center.graphql_engine.background_work import IsAwaitable
from command_center.graphql_engine.plans import ExecutionTemplate

UNPLANNED_DIRECTIVES = frozenset(
    {GraphQLDeferDirective.name, GraphQLStreamDirective.name, "experimental_disableErrorPropagation"}
)
"""Directives that change how graphql-core executes an operation, other than `@skip` and `@include`."""


def create_template(
    schema: GraphQLSchema, document: DocumentNode, operation_name: str | None
) -> ExecutionTemplate | None:
    """Return the parts of an operation that plans need to execute it.

    The result is None if graphql-core has to execute it: because of unsupported directives or arguments of fragments,
    or if the operation or its root type is missing.
    """
    operation = get_operation_ast(document, operation_name)
    root_type = None if operation is None else schema.get_root_type(operation.operation)
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    if operation is None or root_type is None or any(each.variable_definitions for each in fragments.values()):
        return None
    unplanned = {name for name in UNPLANNED_DIRECTIVES if schema.get_directive(name)}
    if unplanned:
        finder = _DirectiveFinder()
        visit(document, finder)
        if unplanned & finder.names:
            return None
    return ExecutionTemplate(operation, fragments, root_type)


class _DirectiveFinder(Visitor):
    """Collects the names of the directives in a document."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        self.names.add(node.name.value)


class StockExecutor:
    """Executes one operation with graphql-core.

    There is no incremental delivery, so `@defer` and `@stream` have no effect.
    """

    def __init__(self, executor: Executor[None]) -> None:
        self._executor = executor

    @classmethod
    def begin(
        cls,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation_name: str | None,
        context: object,
        variables: Mapping[str, object],
        is_awaitable: IsAwaitable,
        root_value: object = None,
    ) -> "StockExecutor | Sequence[GraphQLError]":
        """Return an executor for one operation, or the errors of the request."""
        built = Executor.build(
            schema,
            document,
            root_value,
            context,
            dict(variables),
            operation_name,
            is_awaitable=is_awaitable,
            hide_suggestions=True,
        )
        return built if isinstance(built, list) else cls(built)

    def execute_operation(self) -> ExecutionResult | Awaitable[ExecutionResult]:
        """Execute a query or mutation."""
        return execute_root_selection_set(self._executor)

    def execute_event(self, event: object, context: object) -> ExecutionResult | Awaitable[ExecutionResult]:
        """Execute a subscription for one event, in a context of its own."""
        executor = self._executor.build_per_event_executor(event)
        executor.context_value = context
        return execute_subscription_event(executor)

    async def open_event_stream(self) -> AsyncIterable[object] | Sequence[GraphQLError]:
        """Return the events of a subscription, or the errors that prevent it.

        Afterwards the executor has no context of its own.
        """
        started = create_source_event_stream(self._executor)
        stream = await started if isinstance(started, Awaitable) else started
        self._executor.context_value = None
        return (stream.errors or ()) if isinstance(stream, ExecutionResult) else stream
