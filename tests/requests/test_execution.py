"""The executor: whatever the document and whatever goes wrong, its answers are those of the stock one."""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar

import pytest
import strawberry
from graphql import DocumentNode, ExecutionResult, OverlappingFieldsCanBeMergedRule, parse, subscribe, validate
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.graphql_engine.executor import PlannedExecutor
from command_center.graphql_engine.plans import DocumentPlans
from command_center.graphql_engine.type_plans import TypePlan, TypePlans
from resolvers.references import REFERENCE_METADATA_KEY
from tests.requests.plays import Colour, Row, Trouble, schema
from tests.requests.writing import Writer
from tests.support.double_execution import DoubleExecutor
from tests.support.graphql_execution import (
    describe,
    execute_planned,
    execute_planned_subscription,
    execute_stock,
    plan_document,
    wait_for_background_work,
)
from tests.support.law_settings import CASES

SHAPES = TypePlans(schema(), REFERENCE_METADATA_KEY)


class Chooser(Writer):
    """Also leaves out fields by variables."""

    def document(self) -> str:
        text = super().document().replace("($n: Int = 3)", "($n: Int = 3, $yes: Boolean!, $no: Boolean = false)")
        return text.replace("query Q", "mutation Q") if self._random.random() < 0.2 else text

    def _arguments(self, arguments: Any) -> str:
        chance = self._random.random()
        directive = " @include(if: $yes)" if chance < 0.1 else " @skip(if: $no)" if chance < 0.2 else ""
        return super()._arguments(arguments) + directive


async def answered(document: DocumentNode, row: Row, variables: dict[str, Any], plans: DocumentPlans | None) -> Any:
    more: Any = {"root": row, "variables": variables, "operation_name": "Q0"}
    if plans is None:
        result = await execute_stock(schema(), document, **more)
    else:
        result = await execute_planned(document, plans, **more)
    await wait_for_background_work()
    return describe(result)


# A task that is cancelled before it began never awaits what it was to await, in the stock executor as in ours: in one
# of some ten thousand answers. Python says so whenever the collector comes by.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_answers_are_those_of_the_stock_executor() -> None:
    """A case is a seed. A document is asked of several rows, so that most go by a plan that was made for others."""
    seen = Counter[str]()

    @settings(max_examples=CASES, deadline=None)
    @given(st.integers(0, 2**64))
    def law(seed: int) -> None:
        random = Random(seed)
        text = Chooser(schema(), random).document()
        document = parse(text)
        if validate(schema(), document, [OverlappingFieldsCanBeMergedRule]):
            return
        plans = DocumentPlans(SHAPES, random.choice((10, 1_000)))
        for _ in range(4):
            row = (random.randint(0, 2**32), random.choice((0, 0.02, 0.1, 0.4)))
            variables = {"yes": random.choice((True, False)), "no": random.choice((True, False, None))}
            stock = asyncio.run(answered(document, Row(*row), variables, None))
            planned = asyncio.run(answered(document, Row(*row), variables, plans))
            assert planned == stock, (text, row, variables)
            if stock[0]:
                assert list(_keys(planned[0])) == list(_keys(stock[0]))
            seen["whole" if stock[0] else "null"] += 1
            seen["errors"] += bool(stock[1])

    law()
    gc.collect()
    assert seen["whole"] > seen["null"] / 4
    assert seen["errors"] > CASES / 4


def _keys(value: Any) -> Any:
    """All keys, in their order."""
    if isinstance(value, dict):
        yield from value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(each)


@strawberry.type
class Part:
    name: str
    colour: Colour
    made_at: datetime
    size: int | None

    @strawberry.field
    def id(self) -> strawberry.ID:
        return strawberry.ID(self.name)

    @strawberry.field
    def parts(self, info: strawberry.Info) -> list["Part"]:
        return info.context[self.size or 0 :]  # type: ignore[no-any-return]

    @strawberry.field
    async def slow(self, info: strawberry.Info, n: int = 1) -> str | None:
        if self.size == n:
            raise Trouble(self.name)
        await asyncio.sleep(0)
        return self.name


@strawberry.type
class Whole:
    @strawberry.field
    async def parts(self, info: strawberry.Info) -> list[Part]:
        return info.context  # type: ignore[no-any-return]

    @strawberry.field
    def words(self, count: int) -> list[str]:
        return ["word"] * count


@strawberry.type
class Frames:
    @strawberry.subscription
    async def parts(self, info: strawberry.Info) -> AsyncGenerator[Part, None]:
        for part in info.context:
            yield part


LARGE = strawberry.Schema(Whole, subscription=Frames)._schema
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)


def parts(count: int) -> list[Part]:
    return [Part(name=f"Part {number}", colour=Colour.RED, made_at=MOMENT, size=number) for number in range(count)]


async def carried_out(text: str, context: Any, planned: bool = True) -> ExecutionResult:
    if planned:
        return await execute_planned(parse(text), plan_document(LARGE, 100), context=context)
    return await execute_stock(LARGE, parse(text), context)


async def longest_hold(work: Awaitable[Any]) -> tuple[float, Any]:
    """Of the event loop, in seconds of the processor's time; and what the work came to."""
    # How long the collector takes at a time is not for the executor to say.
    gc.disable()
    try:
        task, longest, last = asyncio.ensure_future(work), 0.0, time.thread_time()
        while not task.done():
            await asyncio.sleep(0)
            longest, last = max(longest, time.thread_time() - last), time.thread_time()
    finally:
        gc.enable()
    return longest, task.result()


@pytest.mark.slow
@pytest.mark.parametrize(
    "text,rows",
    [
        ("{parts{id name colour madeAt size}}", 20_000),
        ("{parts{id name again:name colour madeAt size slow(n:7)}}", 20_000),
        ("{parts{name parts{id name colour madeAt size}}}", 200),
        ("{words(count:400000)}", 0),
    ],
)
async def test_a_large_response_yields_to_others_and_is_the_same(text: str, rows: int) -> None:
    context = parts(rows)
    stock = await carried_out(text, context, planned=False)
    longest, planned = await longest_hold(carried_out(text, context))
    assert longest < 0.25
    assert planned == stock


@pytest.mark.slow
async def test_a_cancelled_large_response_leaves_nothing_behind() -> None:
    task = asyncio.create_task(carried_out("{parts{name slow}}", parts(20_000)))
    for _ in range(6):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_executed_results_are_freed_immediately() -> None:
    """Not by the collector of cycles, which would stop everything to take thousands apart."""
    gc.collect()
    gc.disable()
    try:
        for text in ("{parts{id name}}", "{parts{name parts{id colour}}}", "{words(count:3)}"):
            await carried_out(text, parts(3))
        assert not [each for each in gc.get_objects() if isinstance(each, PlannedExecutor)]
    finally:
        gc.enable()


async def test_each_change_message_equals_that_of_the_stock_executor() -> None:
    text, context = "subscription{parts{id name slow(n:1) parts{name colour}}}", parts(3)

    started: Any = subscribe(LARGE, parse(text), context_value=context)
    stock = [frame async for frame in await started]
    assert await execute_planned_subscription(parse(text), plan_document(LARGE, 100), context) == stock
    assert [bool(frame.errors) for frame in stock] == [False, True, False]


async def test_plans_are_cached_per_skip_choice_within_a_limit() -> None:
    shapes = TypePlans(LARGE, REFERENCE_METADATA_KEY)
    operation: Any = parse("query($a:Boolean!,$b:String){parts{name}}").definitions[0]
    plans = DocumentPlans(shapes, 3)
    first = plans.plan_operation(operation, {"a": True, "b": "one"})
    assert plans.plan_operation(operation, {"a": True, "b": "two"}) is first
    assert plans.plan_operation(operation, {"a": False}) is not first
    assert plans.plan_operation(operation, {"a": True}) is first
    for name in ("x", "y"):
        type_: Any = LARGE.query_type
        plans.plan_selection(type_, {name: [operation.selection_set.selections[0]]})
    assert plans.plan_operation(operation, {"a": True}) is not first


async def test_a_difference_between_both_executions_is_noticed() -> None:
    class Forgetful(DoubleExecutor):
        differences: ClassVar[list[str]] = []

        def complete_value(self, plan: TypePlan, *more: Any) -> Any:
            return [] if plan.item is not None else super().complete_value(plan, *more)

    document, plans = parse("{parts{name}}"), plan_document(LARGE, 9)
    result = await execute_planned(document, plans, context=parts(1), executor=Forgetful)
    assert result.data == {"parts": []}
    (difference,) = Forgetful.differences
    assert "Part 0" in difference
