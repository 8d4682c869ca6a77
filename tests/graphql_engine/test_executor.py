"""Cases of execution that generated documents rarely contain, on schemas of plain graphql-core."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeGuard

import pytest
from graphql import (
    ExecutionResult,
    GraphQLDeferDirective,
    GraphQLError,
    GraphQLSchema,
    build_schema,
    parse,
    specified_directives,
    subscribe,
)

from command_center.graphql_engine.executor import PlannedExecutor
from command_center.graphql_engine.list_completion import BATCH_ITEMS
from command_center.graphql_engine.plans import DocumentPlans
from command_center.graphql_engine.stock_executor import StockExecutor
from command_center.graphql_engine.type_plans import TypePlans
from command_center.graphql_engine.yield_budget import MAX_VALUES_PER_TURN
from tests.graphql_engine.small_schema import ExpectedError, Info, RandomRow, create_schema, delay
from tests.support.graphql_execution import (
    begin,
    describe,
    execute_planned,
    execute_planned_subscription,
    execute_stock,
    is_awaitable,
    plan_document,
    wait_for_background_work,
)

SCHEMA = create_schema()


def create_query_schema(fields: str, **resolvers: Any) -> GraphQLSchema:
    """Return a schema with these fields of the query, and the resolvers of some of them."""
    schema = build_schema(f"type Query {{ {fields} }} type Pair {{ left: Int! right: Int! }}")
    assert schema.query_type is not None
    for name, resolver in resolvers.items():
        schema.query_type.fields[name].resolve = resolver
    return schema


async def execute_both(schema: GraphQLSchema, text: str, **arguments: Any) -> ExecutionResult:
    """Return the planned result, which must equal that of graphql-core."""
    document, plans = parse(text, experimental_fragment_arguments=True), plan_document(schema)
    stock = await execute_stock(schema, document, **arguments)
    await wait_for_background_work()
    first, second = [await execute_planned(document, plans, **arguments) for _ in range(2)]
    await wait_for_background_work()
    assert describe(first) == describe(second) == describe(stock)
    return first


def list_errors(result: ExecutionResult) -> list[GraphQLError]:
    return list(result.errors or ())


# Operations that plans do not support.


@pytest.mark.parametrize(
    "text",
    [
        "query @experimental_disableErrorPropagation { box { strict { name } } ball { name weight } }",
        "{ box { ...F(n: 1) } } fragment F($n: Int) on Box { items(first: $n) { name } }",
    ],
)
async def test_an_unsupported_operation_is_executed_by_graphql_core(text: str) -> None:
    document = parse(text, experimental_fragment_arguments=True)
    for seed in range(20):
        root = RandomRow(seed, 0.3, "", "Query")
        assert isinstance(begin(document, plan_document(SCHEMA), seed, root), StockExecutor)
        await execute_both(SCHEMA, text, context=seed, root=root)


async def test_a_deferred_fragment_is_part_of_the_response() -> None:
    schema = create_query_schema("number: Int")
    kwargs = schema.to_kwargs() | {"directives": (*specified_directives, GraphQLDeferDirective)}
    document = parse("{ number ... @defer { again: number } }")
    plans = plan_document(GraphQLSchema(**kwargs))
    assert isinstance(begin(document, plans), StockExecutor)
    result = await execute_planned(document, plans, root={"number": 7})
    assert result == ExecutionResult({"number": 7, "again": 7}, None)


@pytest.mark.parametrize(
    "text, operation_name",
    [("query A { box { name } }", "B"), ("query A { __typename } query B { __typename }", None)],
)
async def test_a_missing_operation_is_reported_by_graphql_core(text: str, operation_name: str | None) -> None:
    result = await execute_both(SCHEMA, text, operation_name=operation_name)
    assert result.errors


async def test_a_missing_root_type_is_reported_by_graphql_core() -> None:
    result = await execute_both(create_query_schema("number: Int"), "mutation { number }")
    assert result.errors


# Variables.


@pytest.mark.parametrize("variables", [{}, {"n": 1}, {"n": None}, {"n": "1"}, {"n": 2**40}, {"n": [1]}, {"other": 1}])
@pytest.mark.parametrize("declaration", ["$n: Int", "$n: Int = 2", "$n: Int!", "$n: Int! = 2"])
async def test_variables_and_their_errors_are_those_of_graphql_core(
    declaration: str, variables: dict[str, object]
) -> None:
    schema = create_query_schema("echo(n: Int = 3): String", echo=lambda _, __, **arguments: f"{arguments}")
    await execute_both(schema, f"query ({declaration}) {{ echo(n: $n) }}", variables=variables)


async def test_plans_keep_no_values_of_a_client() -> None:
    class Secret(str):
        __slots__ = ("__weakref__",)

    schema = create_query_schema("echo(text: String): String", echo=lambda *_, text: text)
    document, plans = parse("query ($text: String) { echo(text: $text) }"), plan_document(schema)
    secret = Secret("secret")
    reference = weakref.ref(secret)
    assert (await execute_planned(document, plans, variables={"text": secret})).data == {"echo": "secret"}
    del secret
    gc.collect()
    assert reference() is None


# Mutations and awaiting.


async def test_fields_of_a_mutation_are_executed_in_series() -> None:
    log: list[str] = []

    async def write(_: object, info: Info) -> str:
        log.append(f"begin {info.path.key}")
        await delay(None, 3)
        log.append(f"end {info.path.key}")
        return str(info.path.key)

    schema = build_schema("type Query { a: Int } type Mutation { write: String now: String }")
    assert schema.mutation_type is not None
    schema.mutation_type.fields["write"].resolve = write
    schema.mutation_type.fields["now"].resolve = lambda _, info: log.append(str(info.path.key))
    result = await execute_both(schema, "mutation { first: write now second: write }")
    assert list(result.data or ()) == ["first", "now", "second"]
    # Once by graphql-core, and twice by plans.
    assert log == ["begin first", "end first", "now", "begin second", "end second"] * 3


async def test_fields_of_a_query_are_executed_concurrently() -> None:
    both = asyncio.Barrier(2)

    async def wait(*_: object) -> int:
        return await asyncio.wait_for(both.wait(), 5)

    schema = create_query_schema("wait: Int", wait=wait)
    result = await execute_planned(parse("{ a: wait b: wait }"), plan_document(schema))
    assert sorted((result.data or {}).values()) == [0, 1]


def test_an_operation_without_awaitables_needs_no_event_loop() -> None:
    schema = create_query_schema("pairs: [Pair]", pairs=lambda *_: [{"left": 1, "right": 2}] * 3)
    begun = begin(parse("{ pairs { left right } }"), plan_document(schema))
    assert not isinstance(begun, ExecutionResult)
    result = begun.execute_operation()
    assert result == ExecutionResult({"pairs": [{"left": 1, "right": 2}] * 3}, None)


async def test_a_failed_field_does_not_wait_for_its_siblings() -> None:
    blocked = asyncio.Event()
    ended: list[bool] = []

    async def wait(*_: object) -> int:
        await blocked.wait()
        ended.append(True)
        return 1

    def fail(*_: object) -> int:
        raise ExpectedError("at once")

    schema = create_query_schema("wait: Int! fail: Int!", wait=wait, fail=fail)
    result = await asyncio.wait_for(execute_planned(parse("{ wait fail }"), plan_document(schema)), 5)
    assert result.data is None
    assert [error.message for error in list_errors(result)] == ["at once"]
    # The sibling is not cancelled, because it may be in the middle of something.
    blocked.set()
    await wait_for_background_work()
    assert ended == [True]


# Errors and nulls.


@pytest.mark.parametrize(
    "text, path",
    [
        ("{ pair { left right } }", ["pair", "right"]),
        ("{ pairs { right } }", ["pairs", 1, "right"]),
        ("{ strict { right } }", ["strict", "right"]),
        ("{ nested { right } }", ["nested", 0, 1, "right"]),
    ],
)
async def test_a_null_propagates_to_the_next_nullable_position(text: str, path: list[str | int]) -> None:
    good, bad = {"left": 1, "right": 2}, {"left": 1, "right": None}
    root = {"pair": bad, "pairs": [good, bad, good], "strict": bad, "nested": [[good, bad]]}
    schema = create_query_schema("pair: Pair pairs: [Pair] strict: Pair! nested: [[Pair!]!]")
    result = await execute_both(schema, text, root=root)
    (error,) = list_errors(result)
    assert error.path == path
    assert error.message == "Cannot return null for non-nullable field Pair.right."


async def test_of_two_errors_under_one_null_the_first_is_reported() -> None:
    def fail(_: object, info: Info) -> int:
        raise ExpectedError(str(info.path.key))

    schema = create_query_schema("pair: Pair other: Int", pair=lambda *_: {}, other=fail)
    pair = schema.type_map["Pair"]
    for field in pair.fields.values():  # type: ignore[attr-defined]
        field.resolve = fail
    result = await execute_both(schema, "{ pair { left right } other }")
    assert [error.message for error in list_errors(result)] == ["left", "other"]


async def test_a_repeated_fragment_is_collected_once() -> None:
    text = "{ pair { ...F ...F ... on Pair { ...F } } } fragment F on Pair { right }"
    result = await execute_both(create_query_schema("pair: Pair"), text, root={"pair": {"right": None}})
    (error,) = list_errors(result)
    assert len(error.locations or ()) == 1


async def test_an_error_keeps_its_own_extensions_and_path() -> None:
    def fail(*_: object) -> int:
        raise GraphQLError("own", path=["elsewhere"], extensions={"code": "OWN"})

    schema = create_query_schema("fail: Int", fail=fail)
    (error,) = list_errors(await execute_both(schema, "{ fail }"))
    assert (error.path, error.extensions) == (["elsewhere"], {"code": "OWN"})


@pytest.mark.parametrize("name", ["Fits", "Other", "Query", "Int", "Nothing", 7, None])
async def test_a_type_that_is_not_possible_is_an_error(name: object) -> None:
    schema = build_schema(
        "interface Item { a: Int } type Fits implements Item { a: Int } type Other { a: Int }"
        " type Query { item: Item other: Other }"
    )
    schema.type_map["Item"].resolve_type = lambda *_: name  # type: ignore[attr-defined]
    result = await execute_both(schema, "{ item { __typename a } }", root={"item": {"a": 1}})
    assert bool(result.errors) is (name != "Fits")


@pytest.mark.parametrize("value", [7, {}, {"a": 1}, "text", b"bytes", object()])
async def test_a_value_that_is_no_list_is_an_error(value: object) -> None:
    result = await execute_both(create_query_schema("numbers: [Int]"), "{ numbers }", root={"numbers": value})
    assert result.errors
    assert result.data == {"numbers": None}


@pytest.mark.parametrize("condition", [True, False, None, "absent"])
async def test_a_condition_that_is_null_is_an_error(condition: object) -> None:
    variables = {} if condition == "absent" else {"on": condition}
    text = "query ($on: Boolean = true) { pair { left @include(if: $on) right @skip(if: $on) } }"
    schema = create_query_schema("pair: Pair")
    result = await execute_both(schema, text, root={"pair": {"left": 1, "right": 2}}, variables=variables)
    assert bool(result.errors) is (condition is None)


async def test_deeply_nested_fragments_are_collected() -> None:
    text = "{ " + "... { " * 150 + "number" + " }" * 150 + " }"
    assert (await execute_both(create_query_schema("number: Int"), text, root={"number": 7})).data == {"number": 7}


# Long and asynchronous lists.


@pytest.mark.parametrize("count", [0, 1, BATCH_ITEMS - 1, BATCH_ITEMS, BATCH_ITEMS + 1, 2 * MAX_VALUES_PER_TURN])
@pytest.mark.parametrize("kind", [list, tuple, iter])
async def test_lists_of_any_length_are_complete(count: int, kind: Any) -> None:
    schema = create_query_schema("numbers: [Int]", numbers=lambda *_: kind(range(count)))
    result = await execute_planned(parse("{ numbers }"), plan_document(schema))
    assert result == ExecutionResult({"numbers": list(range(count))}, None)


async def test_a_long_asynchronous_list_lets_other_tasks_run() -> None:
    async def generate(*_: object) -> AsyncIterator[int]:
        for number in range(3 * MAX_VALUES_PER_TURN):
            yield number

    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count_turns())
    schema = create_query_schema("numbers: [Int]", numbers=generate)
    result = await execute_planned(parse("{ numbers }"), plan_document(schema))
    task.cancel()
    assert len((result.data or {})["numbers"]) == 3 * MAX_VALUES_PER_TURN
    assert turns >= 3


async def test_an_asynchronous_list_is_closed_after_an_invalid_item() -> None:
    closed: list[bool] = []

    async def generate(*_: object) -> AsyncIterator[object]:
        try:
            yield 1
            yield None
            yield 2
        finally:
            closed.append(True)

    schema = create_query_schema("numbers: [Int!]", numbers=generate)
    result = await execute_both(schema, "{ numbers }")
    assert result.data == {"numbers": None}
    assert closed == [True] * 3


async def test_rows_are_not_awaited() -> None:
    class AwaitableRow:
        left, right = 1, 2

        def __await__(self) -> Any:
            raise AssertionError("a row is not awaited")

    def is_awaited(value: object) -> TypeGuard[Awaitable[object]]:
        return is_awaitable(value) and not isinstance(value, AwaitableRow)

    schema = create_query_schema("pairs: [Pair]", pairs=lambda *_: [AwaitableRow() for _ in range(3)])
    plans = DocumentPlans(TypePlans(schema, "reference", (AwaitableRow,)), 100)
    begun = PlannedExecutor.begin(parse("{ pairs { left right } }"), None, plans, None, {}, is_awaited)
    assert isinstance(begun, PlannedExecutor)
    assert begun.execute_operation() == ExecutionResult({"pairs": [{"left": 1, "right": 2}] * 3}, None)


# Subscriptions.


@pytest.mark.parametrize(
    "text",
    [
        "subscription { boxes { name size items { name } } }",
        "subscription ($n: Int) { twice: boxes(n: $n) { strict { name } } }",
        "subscription { failing { name } }",
        "subscription { wrong { name } }",
    ],
)
async def test_events_are_those_of_graphql_core(text: str) -> None:
    for seed in range(10):
        started: Any = subscribe(SCHEMA, parse(text), context_value=seed, is_awaitable=is_awaitable)
        stock: Any = await started if is_awaitable(started) else started
        expected = [stock] if isinstance(stock, ExecutionResult) else [each async for each in stock]
        results = await execute_planned_subscription(parse(text), plan_document(SCHEMA), seed)
        await wait_for_background_work()
        assert [describe(each) for each in results] == [describe(each) for each in expected]


async def test_a_subscription_without_fields_is_an_error() -> None:
    text = "subscription ($on: Boolean!) { boxes @include(if: $on) { name } }"
    (result,) = await execute_planned_subscription(parse(text), plan_document(SCHEMA), None, variables={"on": False})
    assert result.errors


async def test_an_open_stream_does_not_keep_its_first_context() -> None:
    class Context:
        pass

    async def generate(*_: object) -> AsyncIterator[int]:
        yield 1

    schema = build_schema("type Query { a: Int } type Subscription { number: Int }")
    assert schema.subscription_type is not None
    schema.subscription_type.fields["number"].subscribe = generate
    schema.subscription_type.fields["number"].resolve = lambda event, info: event + info.context
    context = Context()
    reference = weakref.ref(context)
    begun = begin(parse("subscription { number }"), plan_document(schema), context)
    assert isinstance(begun, PlannedExecutor)
    stream = await begun.open_event_stream()
    assert isinstance(stream, AsyncIterator)
    assert [begun.execute_event(event, 10) async for event in stream] == [ExecutionResult({"number": 11}, None)]
    del context, stream
    gc.collect()
    assert reference() is None
