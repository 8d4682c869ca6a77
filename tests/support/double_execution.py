"""Every operation that a test's server carries out is executed twice, and the two answers have to be the same.

First by the product's executor; then by the stock one, from what the resolvers answered the first time: nothing is
done or read from the database again, so that it holds for mutations and while the world moves on.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, ClassVar

from graphql import DocumentNode, ExecutionResult, Undefined
from graphql.execution import Executor, MiddlewareManager, get_variable_values
from graphql.pyutils import Path
from strawberry.execution import optimized_is_awaitable

from command_center.graphql_engine.executor import PlannedExecutor
from command_center.graphql_engine.plans import PlannedField
from command_center.graphql_engine.type_plans import Info

APART = 20
"""Turns of the event loop between two failures, enough for the first to come to where it is a null."""

PATIENCE = 1_000
"""Turns after which it is a difference that what was given up the first time is waited for."""

Place = tuple[str | int, ...]


class Outcome:
    """What a resolver answered at one place."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: Exception | None = None
        self.awaited = False
        self.settled = False
        self.turns = 0
        """How long the answer is waited for: of several failures the first may swallow the others."""

    def again(self) -> Any:
        return self._later() if self.awaited else self._now()

    def _now(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value

    async def _later(self) -> Any:
        for _ in range(self.turns if self.settled else PATIENCE):
            await asyncio.sleep(0)
        if not self.settled:
            raise AssertionError("this was given up the first time")
        return self._now()


class DoubleExecutor(PlannedExecutor):
    """`differences` are for the test to look at: what is raised here would only be an error of an answer."""

    differences: ClassVar[list[str]]
    compared: ClassVar[int] = 0

    def execute_operation(self) -> Any:
        self._outcomes: dict[Place, Outcome] = {}
        self._failures = 0
        return self._twice(super().execute_operation())

    def _resolve(self, field: PlannedField, source: Any, path: Path) -> Any:
        outcome = self._outcomes[tuple(path.as_list())] = Outcome()
        try:
            outcome.value = super()._resolve(field, source, path)
        except Exception as error:
            outcome.error = error
            raise
        outcome.awaited = bool(self.is_awaitable(outcome.value))
        return self._noted(outcome, outcome.value) if outcome.awaited else outcome.value

    async def _noted(self, outcome: Outcome, value: Awaitable[Any]) -> Any:
        """Where this is cancelled, nothing was answered."""
        try:
            outcome.value = await value
        except Exception as error:
            self._failures += 1
            outcome.error, outcome.turns, outcome.settled = error, APART * self._failures, True
            raise
        outcome.settled = True
        return outcome.value

    async def _twice(self, running: Any) -> ExecutionResult:
        first: ExecutionResult = await running if isinstance(running, Awaitable) else running
        given = {name: each.value for name, each in self.variable_values.sources.items() if each.value is not Undefined}
        stock = Executor.build(
            self.schema,
            DocumentNode(definitions=(self.operation, *self.fragments.values())),
            self.root_value,
            self.context_value,
            given,
            middleware=MiddlewareManager(self),
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
            hide_suggestions=True,
        )
        assert isinstance(stock, Executor)
        again: Any = stock.execute_operation()
        second: ExecutionResult = await again if isinstance(again, Awaitable) else again
        type(self).compared += 1
        coerced = get_variable_values(self.schema, self.operation.variable_definitions or (), given)
        if isinstance(coerced, list) or coerced.coerced != self.variable_values.coerced:
            self.differences.append(f"{self.variable_values}\n{coerced}")
        if _told(first) != _told(second):
            self.differences.append(f"{self.operation.loc and self.operation.loc.source.body}\n{first}\n{second}")
        return first

    def resolve(self, stock: Any, source: Any, info: Info, **arguments: Any) -> Any:
        """In the place of every resolver: what the first execution was answered there, a plain read, or what was
        loaded ahead."""
        outcome = self._outcomes.get(tuple(info.path.as_list()))
        if outcome is not None:
            return outcome.again()
        known = self._plans.type_plans.plan_field(info.parent_type, info.field_name)
        if known is None or (known.read is None and known.reference is None):
            raise AssertionError("this was not asked the first time")
        return stock(source, info, **arguments)


def _told(result: ExecutionResult) -> tuple[str, list[str]]:
    """As the client reads it: the order of fields counts; that of errors goes by which came first."""
    return repr(result.data), sorted(repr(error.formatted) for error in result.errors or ())
