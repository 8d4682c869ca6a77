"""Carries out operations: one answer of a query or mutation, or the frames of a subscription. Knows no transport.

An answer is the map of the specification: `data`, `errors`, `extensions`. Where nothing was executed it has no `data`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, TypeGuard

import orjson
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationType
from graphql.execution import Executor, create_source_event_stream
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable
from tortoise.models import Model

from command_center.api.broadcast import BroadcastGroups, GroupKey, executed, group_key
from command_center.api.errors import coded, named
from command_center.api.parameters import Parameters, parameters
from command_center.changes.wakeups import wait_for
from command_center.graphql_engine.documents import Documents, PreparedOperation, Rejected
from command_center.graphql_engine.executor import PlannedExecutor
from command_center.graphql_engine.hints import SchemaHints
from command_center.graphql_engine.limits import AnswerLimits, DocumentLimits
from command_center.graphql_engine.type_plans import ATOMS
from resolvers.change_messages import EntryBatch
from resolvers.context import Context

Answer = dict[str, Any]
_PLAIN = ATOMS | {type(None)}


def awaitable(value: Any) -> TypeGuard[Awaitable[Any]]:
    """Whether a resolver's value is still to come. Not so a row: Tortoise lets each be awaited, which comes to the row
    itself and would cost a task for every row of a list."""
    kind = type(value)
    if kind in _PLAIN:
        return False
    return kind is CoroutineType or (optimized_is_awaitable(value) and not isinstance(value, Model))


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation that may be carried out."""

    prepared: PreparedOperation
    asked: Parameters
    cost: int

    @property
    def kind(self) -> OperationType:
        return self.prepared.kind


class Operations:
    """What the server does with what clients ask for."""

    def __init__(
        self,
        schema: GraphQLSchema,
        documents: DocumentLimits,
        answers: AnswerLimits,
        hints: SchemaHints,
        executor: type[PlannedExecutor] = PlannedExecutor,
    ) -> None:
        self._schema = schema
        self._executor = executor
        self._documents = Documents(schema, documents, hints, answers.errors)
        self._limits = documents
        self._answers = answers
        self._mutations: set[asyncio.Task[Answer]] = set()
        self._coercing = asyncio.Lock()
        self.audiences = BroadcastGroups(self._encoded, self._excuse)

    @property
    def taken(self) -> Mapping[OperationType, int]:
        """Operations by their kind that nothing was found against, since the start."""
        return self._documents.taken

    def read(self, asked: Any) -> Parameters:
        """The parameters in a JSON value. Raises Malformed."""
        return parameters(asked, self._limits.variable_values)

    def ready(self, asked: Parameters) -> Operation:
        """The operation that is asked for. Raises Rejected."""
        prepared = self._documents.prepare(asked.query, asked.operation_name)
        return Operation(prepared, asked, self._documents.afford(prepared, asked.variables, asked.cost))

    async def answer(self, operation: Operation, context: Context) -> Answer:
        """The answer of a query or a mutation, within the time that a request has. Raises Rejected.

        A mutation is never cut off in the middle: whoever asked for it may go, or be told that it takes too long.
        """
        if operation.kind is not OperationType.MUTATION:
            try:
                async with asyncio.timeout(self._answers.time.total_seconds()):
                    return await self.carry_out(operation, context)
            except TimeoutError as exc:
                raise self._too_long("It was given up.") from exc
        task = asyncio.create_task(self.carry_out(operation, context))
        self._mutations.add(task)
        task.add_done_callback(self._mutations.discard)
        ended = asyncio.Event()
        task.add_done_callback(lambda _: ended.set())
        await wait_for(ended, self._answers.time.total_seconds())
        if not task.done():
            raise self._too_long("It goes on, and may still be done.")
        return task.result()

    async def carry_out(self, operation: Operation, context: Context) -> Answer:
        """The answer of a query or a mutation, however long it takes. Raises Rejected."""
        executor = self._begun(operation, context, await self._long_variables(operation))
        running: Any = executor.execute_operation()
        result: ExecutionResult = await running if awaitable(running) else running
        if result.data is None and not any(error.path for error in result.errors or ()):
            raise Rejected(self._told(result.errors or ()))
        return self._answer(result, {"cost": {"requested": operation.cost, "allowed": self._limits.cost}})

    async def follow(self, operation: Operation, context: Context) -> AsyncGenerator[bytes, None]:
        """The frames of a subscription, as JSON. Raises Rejected where it is refused before the first."""
        executor = self._begun(operation, context)
        started: Any = create_source_event_stream(executor)
        found = await started if awaitable(started) else started
        if isinstance(found, ExecutionResult):
            raise Rejected(self._told(found.errors or ()))
        return self._frames(found, group_key(operation.prepared, operation.asked, context.viewer), executor)

    async def _long_variables(self, operation: Operation) -> VariableValues | None:
        """The variables, if they take so long to coerce that others need their turns meanwhile."""
        known = operation.prepared.plans.begun.get(operation.asked.operation_name)
        if known is None or not known.values.is_long(operation.asked.variables):
            return None
        # One after another, or else everybody's turn would come after a slice of each.
        async with self._coercing:
            return await known.values.in_slices(operation.asked.variables)

    def _begun(self, operation: Operation, context: Context, values: VariableValues | None = None) -> PlannedExecutor:
        """Raises Rejected."""
        prepared, asked = operation.prepared, operation.asked
        executor = self._executor.begin(
            self._schema,
            prepared.document,
            context,
            asked.variables,
            asked.operation_name,
            awaitable,
            prepared.plans,
            values,
        )
        if isinstance(executor, list):
            raise Rejected(self._told(executor))
        return executor

    async def settle(self, seconds: float) -> None:
        """Waits for the mutations and frames under way, for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.audiences.settle()
                if self._mutations:
                    await asyncio.wait(set(self._mutations))

    def refusal(self, errors: Sequence[GraphQLError]) -> Answer:
        """The answer where nothing is executed."""
        return {"errors": [error.formatted for error in self._told(errors)]}

    async def _frames(
        self, source: AsyncGenerator[Any, None], alike: GroupKey, executor: Executor[Any]
    ) -> AsyncGenerator[bytes, None]:
        context: Context = executor.context_value
        audience = context.bell = self.audiences.join(alike, executor, context.services)
        async with aclosing(source):
            try:
                async for event in source:
                    if isinstance(event, EntryBatch):
                        for body, last in audience.known(event) or await audience.render(event):
                            if body is not None:
                                yield body
                            if last:
                                return
                    else:
                        yield self._encoded(await executed(executor, event))
            except Exception as exc:
                yield self._excuse(exc)
            finally:
                self.audiences.leave(alike)

    def _encoded(self, result: ExecutionResult) -> bytes:
        return encoded(self._answer(result, {}))

    def _excuse(self, cause: Exception) -> bytes:
        """The last frame where what failed is no field: the stream itself broke."""
        return encoded(self.refusal([GraphQLError(str(cause), original_error=cause)]))

    def _answer(self, result: ExecutionResult, extensions: Mapping[str, Any]) -> Answer:
        answer: Answer = {"data": result.data}
        more = dict(extensions)
        if result.errors:
            answer |= self.refusal(result.errors)
            left_out = len(result.errors) - self._answers.errors
            more |= {"errorsLeftOut": left_out} if left_out > 0 else {}
        return answer | ({"extensions": more} if more else {})

    def _told(self, errors: Sequence[GraphQLError]) -> list[GraphQLError]:
        return [coded(error) for error in errors[: self._answers.errors]]

    def _too_long(self, then: str) -> Rejected:
        seconds = self._answers.time.total_seconds()
        return Rejected([named(f"This took longer than the {seconds:g} s that a request has. {then}", "TIMEOUT")])


def encoded(answer: Answer | str) -> bytes:
    """An answer, or a text, as JSON."""
    try:
        return orjson.dumps(answer)
    except TypeError:
        # A lone surrogate that a client sent and an error repeats: JSON can escape what UTF-8 cannot hold.
        return json.dumps(answer).encode()
