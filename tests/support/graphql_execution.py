"""Executes documents by plans and with graphql-core, so that tests can compare the results."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Mapping
from typing import Any, TypeGuard

from graphql import DocumentNode, ExecutionResult, GraphQLSchema, execute
from strawberry.execution import optimized_is_awaitable

from command_center.graphql_engine.executor import OperationExecutor, PlannedExecutor
from command_center.graphql_engine.plans import DocumentPlans
from command_center.graphql_engine.type_plans import TypePlans


def is_awaitable(value: object) -> TypeGuard[Awaitable[object]]:
    return optimized_is_awaitable(value)


def plan_document(schema: GraphQLSchema, max_fields: int = 1_000) -> DocumentPlans:
    return DocumentPlans(TypePlans(schema, "reference"), max_fields)


def begin(
    document: DocumentNode,
    plans: DocumentPlans,
    context: object = None,
    root: object = None,
    variables: Mapping[str, object] | None = None,
    operation_name: str | None = None,
    executor: type[PlannedExecutor] = PlannedExecutor,
) -> OperationExecutor | ExecutionResult:
    """Return the planned execution of an operation, or the result if the request has errors."""
    begun = executor.begin(document, operation_name, plans, context, variables or {}, is_awaitable, root_value=root)
    return ExecutionResult(None, begun) if isinstance(begun, list) else begun  # type: ignore[return-value]


async def execute_planned(document: DocumentNode, plans: DocumentPlans, **more: Any) -> ExecutionResult:
    """Execute an operation by plans."""
    begun = begin(document, plans, **more)
    if isinstance(begun, ExecutionResult):
        return begun
    running = begun.execute_operation()
    return running if isinstance(running, ExecutionResult) else await running


async def execute_stock(
    schema: GraphQLSchema,
    document: DocumentNode,
    context: object = None,
    root: object = None,
    variables: Mapping[str, object] | None = None,
    operation_name: str | None = None,
) -> ExecutionResult:
    """Execute an operation with graphql-core."""
    running = execute(
        schema,
        document,
        root,
        context,
        dict(variables or {}),
        operation_name,
        is_awaitable=is_awaitable,
        hide_suggestions=True,
    )
    return running if isinstance(running, ExecutionResult) else await running


async def execute_planned_subscription(
    document: DocumentNode, plans: DocumentPlans, context: object = None, **more: Any
) -> list[ExecutionResult]:
    """Return the response to each event of a subscription, or the response that prevents it."""
    begun = begin(document, plans, context, **more)
    if isinstance(begun, ExecutionResult):
        return [begun]
    stream = await begun.open_event_stream()
    if not isinstance(stream, AsyncIterable):
        return [ExecutionResult(None, list(stream))]
    results = []
    async for event in stream:
        running = begun.execute_event(event, context)
        results.append(running if isinstance(running, ExecutionResult) else await running)
    return results


async def wait_for_background_work() -> None:
    """Wait for what the response did not wait for."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


def describe(result: ExecutionResult) -> tuple[Any, list[Any]]:
    """Return the data and the errors as a client sees them, in their order."""
    return result.data, [error.formatted for error in result.errors or ()]
