"""Lists of objects are read column by column: one row that is out of the ordinary changes nothing for the others."""

import asyncio
import gc
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import strawberry
from graphql import Undefined, parse

from command_center.graphql_engine.plans import DocumentPlans
from command_center.graphql_engine.type_plans import TypePlans
from resolvers.references import REFERENCE_METADATA_KEY
from tests.requests.plays import Later, Trouble
from tests.support.graphql_execution import describe, execute_planned, execute_stock, wait_for_background_work

ROWS, ODD = 5, 2
"""How many rows there are, and which of them is the odd one."""


class Row:
    """What a resolver answers. Each read of it answers the same, or makes it anew where that is a function."""

    def __init__(self, number: int, made: dict[str, Any]) -> None:
        self.number, self.made = number, made

    def told(self, name: str) -> Any:
        value = self.made[name]
        return value() if callable(value) else value

    name = property(lambda self: self.told("name"))
    note = property(lambda self: self.told("note"))
    made_at = property(lambda self: self.told("made_at"))
    must = property(lambda self: self.told("must"))
    may = property(lambda self: self.told("may"))


@strawberry.type
class Thing:
    name: str
    note: str | None
    made_at: datetime
    must: "Thing"
    may: "Thing | None"

    @classmethod
    def is_type_of(cls, row: Any, _: object) -> Any:
        return row.told("fits")

    @strawberry.field
    def told(self: Any) -> str:
        return self.told("method")  # type: ignore[no-any-return]

    @strawberry.field
    def within(self: Any) -> "Thing | None":
        return self.told("within")  # type: ignore[no-any-return]

    @strawberry.field
    def asked(self: Any, info: strawberry.Info, n: int = 1) -> str:
        if info.context["odd"] == "asked" and self.number == ODD:
            raise Trouble(f"{n}")
        return f"{self.number}"

    @strawberry.field
    async def slow(self: Any, info: strawberry.Info) -> str:
        if info.context["odd"] == "slow" and self.number == ODD:
            raise Trouble("slowly")
        await asyncio.sleep(0)
        return f"{self.number}"


@strawberry.type
class Query:
    @strawberry.field
    def things(self, info: strawberry.Info) -> list[Thing | None]:
        return info.context["rows"]  # type: ignore[no-any-return]


SCHEMA = strawberry.Schema(Query)._schema
PLANS = {
    text: DocumentPlans(TypePlans(SCHEMA, REFERENCE_METADATA_KEY), 100)
    for text in (
        "{things{name note madeAt}}",
        "{things{told within{name} note __typename}}",
        "{things{must{name note} may{name madeAt may{note}}}}",
        "{things{note must{asked name may{name}} may{told slow name} name}}",
        "{things{slow name asked(n:2) told must{must{slow asked}}}}",
        "{things{note@skip(if:true)}}",
    )
}


async def late(value: Any) -> Any:
    await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


def failing() -> Any:
    raise Trouble("in the row")


ODDITIES: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "undefined": lambda: Undefined,
    "an error": lambda: Trouble("handed over"),
    "failing": lambda: failing,
    "awaitable": lambda: Later("text", 1),
    "awaitable and failing": lambda: Later(Trouble("late"), 1),
    "a coroutine": lambda: lambda: late("text"),
    "a failing coroutine": lambda: lambda: late(Trouble("late")),
    "a number": lambda: 7,
    "a list": lambda: ["text"],
    "no": lambda: False,
}
METHODS = {"method", "within", "fits"}


def row(number: int, depth: int = 2) -> Row:
    below = row(number, depth - 1) if depth else None
    plain = {
        "name": f"Thing {number}",
        "note": None,
        "made_at": datetime(2026, 1, number + 1, tzinfo=UTC),
        "fits": True,
    }
    return Row(number, plain | {"method": "told", "must": below, "may": below, "within": below})


def rows(place: tuple[str, ...], make: Callable[[], Any]) -> list[Any]:
    """Rows of which one, or what it holds, is odd in one place."""
    made: list[Any] = [row(number) for number in range(ROWS)]
    if not place:
        made[ODD] = make()
        return made
    found = made[ODD]
    for name in place[:-1]:
        found = found.made[name]
    found.made[place[-1]] = make()
    return made


async def answered(text: str, odd: str, made: list[Any], planned: bool) -> Any:
    context = {"rows": made, "odd": odd}
    if planned:
        result = await execute_planned(parse(text), PLANS[text], context=context)
    else:
        result = await execute_stock(SCHEMA, parse(text), context)
    await wait_for_background_work()
    return describe(result)


PLACES: list[tuple[str, ...]] = [
    (),
    *((name,) for name in ("name", "note", "made_at", "must", "may", "method", "within", "fits")),
]
PLACES += [("must", "name"), ("may", "note"), ("may", "may"), ("must", "must"), ("must", "fits"), ("may", "method")]


@pytest.mark.slow
@pytest.mark.parametrize("text", PLANS)
@pytest.mark.parametrize("odd", ODDITIES)
async def test_an_unusual_row_gets_the_response_of_the_stock_executor(text: str, odd: str) -> None:
    for place in PLACES:
        if "coroutine" in odd and not {*place[-1:]} & METHODS:
            # An attribute is the same whenever it is read; a coroutine could be awaited only once.
            continue
        stock, planned = [await answered(text, "", rows(place, ODDITIES[odd]), planned) for planned in (False, True)]
        assert planned == stock, place
    # Python tells of a coroutine that nobody awaited when it is collected.
    gc.collect()


@pytest.mark.parametrize("text", PLANS)
@pytest.mark.parametrize("odd", ["", "asked", "slow"])
async def test_a_field_of_a_single_row_may_fail(text: str, odd: str) -> None:
    made = [row(number) for number in range(ROWS)]
    stock, planned = [await answered(text, odd, made, planned) for planned in (False, True)]
    assert planned == stock
    assert bool(stock[1]) == (odd != "" and odd in text)


async def test_plain_attributes_of_a_row_are_read_once() -> None:
    made = [row(number) for number in range(ROWS)]
    read: list[int] = []

    def noted(number: int) -> str:
        read.append(number)
        return "told"

    for each in made:
        each.made["method"] = partial(noted, each.number)
    data, errors = await answered("{things{told within{name} note __typename}}", "", made, planned=True)
    assert (len(data["things"]), errors) == (ROWS, [])
    assert read == list(range(ROWS))
