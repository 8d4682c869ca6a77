"""Executes operations, without knowing the transport.

The result is one response for a query or mutation, or a stream of payloads for a subscription. A response is the map
that the GraphQL specification defines, with `data`, `errors` and `extensions`. If nothing was executed, it has no
`data`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import CoroutineType
from typing import TypedDict, TypeGuard

import orjson
from graphql import ExecutionResult, GraphQLError, GraphQLFormattedError, GraphQLSchema, OperationType
from graphql.execution import VariableValues
from graphql.pyutils import is_awaitable as may_be_awaited
from tortoise.models import Model

from command_center.api.broadcast import BroadcastGroups, GroupKey, create_group_key
from command_center.api.errors import convert_error, create_request_error
from command_center.api.parameters import Parameters, parse_parameters
from command_center.changes.wakeups import wait_for
from command_center.graphql_engine.documents import Documents, PreparedOperation, Rejected
from command_center.graphql_engine.executor import OperationExecutor, PendingResult, PlannedExecutor
from command_center.graphql_engine.hints import SchemaHints
from command_center.graphql_engine.limits import DocumentLimits, ResponseLimits
from command_center.graphql_engine.type_plans import ATOMIC_TYPES
from command_center.web.internal_errors import log_internal_error
from resolvers.change_messages import EntryBatch
from resolvers.context import Context

ResponseBody = dict[str, object]


class ErrorBody(TypedDict):
    """The response to an operation of which nothing was executed."""

    errors: list[GraphQLFormattedError]


_NEVER_AWAITABLE = ATOMIC_TYPES | {type(None), tuple, datetime, timedelta}


def is_awaitable(value: object) -> TypeGuard[Awaitable[object]]:
    """Return whether a resolver's value must be awaited.

    Rows must not, although Tortoise makes them awaitable: awaiting one gives the row itself, and would cost a task for
    each row of a list.
    """
    type_ = type(value)
    if type_ in _NEVER_AWAITABLE:
        return False
    return type_ is CoroutineType or (may_be_awaited(value) and not isinstance(value, Model))


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a client that is valid and within all limits."""

    prepared: PreparedOperation
    parameters: Parameters
    cost: int

    @property
    def kind(self) -> OperationType:
        return self.prepared.kind


class Operations:
    """Prepares and executes the operations that clients send."""

    def __init__(
        self,
        schema: GraphQLSchema,
        documents: DocumentLimits,
        response_limits: ResponseLimits,
        hints: SchemaHints,
        executor: type[PlannedExecutor] = PlannedExecutor,
    ) -> None:
        self._executor = executor
        self._documents = Documents(schema, documents, hints, response_limits.errors)
        self._limits = documents
        self._response_limits = response_limits
        self._mutations: set[asyncio.Task[ResponseBody]] = set()
        self._coercing = asyncio.Lock()
        self.broadcast_groups = BroadcastGroups(self._encode, self._encode_stream_error)

    @property
    def accepted(self) -> Mapping[OperationType, int]:
        """The number of accepted operations since the start, by type."""
        return self._documents.accepted

    def parse_parameters(self, request: object) -> Parameters:
        """Return the parameters of a request, given its body as a JSON value.

        Raises: Malformed if they are invalid.
        """
        return parse_parameters(request, self._limits.variable_values)

    def prepare(self, request: Parameters) -> Operation:
        """Return the operation that a request names, ready to be executed.

        Raises: Rejected if it is invalid or too expensive.
        """
        prepared = self._documents.prepare(request.query, request.operation_name)
        return Operation(prepared, request, self._documents.check_cost(prepared, request.variables, request.cost))

    async def execute_within_limit(self, operation: Operation, context: Context) -> ResponseBody:
        """Execute a query or mutation within the time limit of a request.

        Raises: Rejected, also after a timeout. A mutation is never interrupted. It runs to its end even if its client
        disconnects or gets a timeout.
        """
        if operation.kind is not OperationType.MUTATION:
            try:
                async with asyncio.timeout(self._response_limits.time.total_seconds()):
                    return await self.execute(operation, context)
            except TimeoutError as exc:
                raise self._create_timeout_error("It was given up.") from exc
        task = asyncio.create_task(self.execute(operation, context))
        self._mutations.add(task)
        task.add_done_callback(self._mutations.discard)
        ended = asyncio.Event()
        task.add_done_callback(lambda _: ended.set())
        try:
            await wait_for(ended, self._response_limits.time.total_seconds())
        except asyncio.CancelledError:
            task.add_done_callback(_log_unseen_failure)
            raise
        if not task.done():
            task.add_done_callback(_log_unseen_failure)
            raise self._create_timeout_error("It goes on, and may still be done.")
        return task.result()

    async def execute(self, operation: Operation, context: Context) -> ResponseBody:
        """Execute a query or mutation without a time limit.

        Raises: Rejected if nothing can be executed.
        """
        executor = self._begin(operation, context, await self._coerce_long_variables(operation))
        result = await _await_result(executor.execute_operation())
        if result.data is None and not any(error.path for error in result.errors or ()):
            raise Rejected(self._convert_errors(result.errors or ()))
        return self._create_response(result, {"cost": {"requested": operation.cost, "allowed": self._limits.cost}})

    async def subscribe(self, operation: Operation, context: Context) -> AsyncGenerator[bytes, None]:
        """Return a subscription's payloads as JSON.

        Raises: Rejected if it fails before the first event.
        """
        executor = self._begin(operation, context)
        source = await executor.open_event_stream()
        if isinstance(source, Sequence):
            raise Rejected(self._convert_errors(source))
        # The resolvers of subscriptions are generators, which can be closed.
        assert isinstance(source, AsyncGenerator)
        key = create_group_key(operation.prepared, operation.parameters, context.viewer)
        return self._stream_payloads(source, key, executor, context)

    async def _coerce_long_variables(self, operation: Operation) -> VariableValues | None:
        """Coerce long variables in slices, so that other tasks run in between."""
        template = operation.prepared.plans.templates.get(operation.parameters.operation_name)
        coercion = None if template is None else template.coercion
        if coercion is None or not coercion.is_long(operation.parameters.variables):
            return None
        # One operation at a time: otherwise other tasks would have to wait for a slice of each.
        async with self._coercing:
            return await coercion.coerce_in_slices(operation.parameters.variables)

    def _begin(self, operation: Operation, context: Context, values: VariableValues | None = None) -> OperationExecutor:
        """Create the executor of an operation. Raises: Rejected if the request has errors."""
        prepared, request = operation.prepared, operation.parameters
        executor = self._executor.begin(
            prepared.document,
            request.operation_name,
            prepared.plans,
            context,
            request.variables,
            is_awaitable,
            values,
        )
        if isinstance(executor, Sequence):
            raise Rejected(self._convert_errors(executor))
        return executor

    async def settle(self, seconds: float) -> None:
        """Wait for running mutations and renderings, for at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.broadcast_groups.settle()
                if self._mutations:
                    await asyncio.wait(set(self._mutations))

    def create_error_response(self, errors: Sequence[GraphQLError]) -> ErrorBody:
        """Return the response for errors that prevent the execution."""
        return {"errors": [error.formatted for error in self._convert_errors(errors)]}

    async def _stream_payloads(
        self, source: AsyncGenerator[object, None], key: GroupKey, executor: OperationExecutor, context: Context
    ) -> AsyncGenerator[bytes, None]:
        group = context.notifier = self.broadcast_groups.join(key, executor, context.services)
        async with aclosing(source):
            try:
                async for event in source:
                    if isinstance(event, EntryBatch):
                        for body, last in group.find_cached_payloads(event) or await group.render(event):
                            if body is not None:
                                yield body
                            if last:
                                return
                    else:
                        yield self._encode(await _await_result(executor.execute_event(event, context)))
            except Exception as exc:
                yield self._encode_stream_error(exc)
            finally:
                self.broadcast_groups.leave(key)

    def _encode(self, result: ExecutionResult) -> bytes:
        return encode_json(self._create_response(result, {}))

    def _encode_stream_error(self, cause: Exception) -> bytes:
        """Return the last payload of a stream that failed as a whole."""
        return encode_json(self.create_error_response([GraphQLError(str(cause), original_error=cause)]))

    def _create_response(self, result: ExecutionResult, extensions: Mapping[str, object]) -> ResponseBody:
        response: ResponseBody = {"data": result.data}
        merged = dict(extensions)
        if result.errors:
            response |= {**self.create_error_response(result.errors)}
            omitted = len(result.errors) - self._response_limits.errors
            merged |= {"errorsLeftOut": omitted} if omitted > 0 else {}
        return response | ({"extensions": merged} if merged else {})

    def _convert_errors(self, errors: Sequence[GraphQLError]) -> list[GraphQLError]:
        return [convert_error(error) for error in errors[: self._response_limits.errors]]

    def _create_timeout_error(self, then: str) -> Rejected:
        seconds = self._response_limits.time.total_seconds()
        return Rejected(
            [create_request_error(f"This took longer than the {seconds:g} s that a request has. {then}", "TIMEOUT")]
        )


def encode_json(answer: Mapping[str, object] | str) -> bytes:
    """Encode a response, or a string, as JSON."""
    try:
        return orjson.dumps(answer)
    except TypeError:
        # A lone surrogate that a client sent and an error quotes. JSON can escape it, but UTF-8 cannot encode it.
        return json.dumps(answer).encode()


async def _await_result(running: PendingResult) -> ExecutionResult:
    return running if isinstance(running, ExecutionResult) else await running


def _log_unseen_failure(task: asyncio.Task[ResponseBody]) -> None:
    """Log the failure of a mutation whose caller no longer waits for it.

    A rejected operation is not logged, because the client caused the error.
    """
    if not task.cancelled() and (failure := task.exception()) is not None and not isinstance(failure, Rejected):
        log_internal_error(failure)
