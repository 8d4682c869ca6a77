"""The planned executor returns the same data and errors as graphql-core's, for generated documents and rows."""

import asyncio
import gc
from collections import Counter
from typing import Any

import pytest
from graphql import (
    NoUnusedFragmentsRule,
    NoUnusedVariablesRule,
    parse,
    specified_rules,
    validate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graphql_engine.document_strategies import GeneratedOperation, generate_operations
from tests.graphql_engine.small_schema import RandomRow, create_schema
from tests.support.graphql_execution import (
    describe,
    execute_planned,
    execute_stock,
    plan_document,
    wait_for_background_work,
)
from tests.support.law_settings import CASES

SCHEMA = create_schema()
RULES = [rule for rule in specified_rules if rule not in (NoUnusedVariablesRule, NoUnusedFragmentsRule)]


async def execute_both(operation: GeneratedOperation, rows: list[RandomRow]) -> list[list[tuple[Any, Any]]]:
    """Return the planned and the stock result for each row.

    All planned executions share their plans, also those with different conditions of `@skip` and `@include`.
    """
    document = parse(operation.text)
    plans = plan_document(SCHEMA)
    pairs = []
    for number, row in enumerate(rows):
        variables = operation.variables | {"yes": operation.variables["yes"] is (number % 2 == 0)}
        pair = []
        for planned in (True, False):
            arguments: dict[str, Any] = {"context": row.seed, "root": row, "variables": variables}
            if planned:
                result = await execute_planned(document, plans, **arguments)
            else:
                result = await execute_stock(SCHEMA, document, **arguments)
            await wait_for_background_work()
            pair.append(describe(result))
        pairs.append(pair)
    return pairs


# A task that is cancelled before it starts never awaits its coroutine, in both executors.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_results_equal_those_of_graphql_core() -> None:
    seen = Counter[str]()

    @settings(max_examples=CASES, deadline=None)
    @given(generate_operations(SCHEMA), st.integers(0, 2**32), st.sampled_from((0.0, 0.05, 0.2)))
    def compare(operation: GeneratedOperation, seed: int, trouble: float) -> None:
        if validate(SCHEMA, parse(operation.text), RULES):
            seen["invalid"] += 1
            return
        rows = [RandomRow(seed + number, trouble, "", "Query") for number in range(3)]
        for planned, stock in asyncio.run(execute_both(operation, rows)):
            assert planned == stock, operation
            assert list_keys(planned[0]) == list_keys(stock[0])
            seen["data" if planned[0] else "null"] += 1
            seen["errors"] += bool(planned[1])

    compare()
    gc.collect()
    assert seen["data"] > CASES / 2
    assert seen["errors"] > CASES / 4
    assert seen["invalid"] < CASES


def list_keys(value: Any) -> list[str]:
    """Return all keys of a response, in their order."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*(value if isinstance(value, dict) else ()), *(key for each in inner for key in list_keys(each))]
