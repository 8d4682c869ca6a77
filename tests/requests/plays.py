"""A schema in which everything can happen everywhere: what its rows answer is made up from a seed, always the same."""

import asyncio
from collections import deque
from collections.abc import Generator
from enum import Enum
from functools import cache
from random import Random
from typing import Annotated, Any, Union

import strawberry
from graphql import GraphQLError, GraphQLSchema, Undefined
from strawberry.schema.config import StrawberryConfig


class Trouble(Exception):
    """What goes wrong on purpose."""


class Later:
    """What comes to a value after some turns of the event loop, or fails."""

    def __init__(self, value: Any, turns: int) -> None:
        self._value = value
        self._turns = turns

    def __repr__(self) -> str:
        return "something later"

    def __await__(self) -> Generator[Any, None, Any]:
        for _ in range(self._turns):
            yield from asyncio.sleep(0).__await__()
        if isinstance(self._value, Trouble) and self._turns % 2:
            raise self._value
        return self._value


class Row:
    """An object whose every attribute is made up: it may fail, be nothing, an error, awaitable, or of a wrong type."""

    def __init__(self, seed: int, trouble: float, place: str = "", kind: str = "A") -> None:
        self.seed, self.trouble, self.place, self.kind = seed, trouble, place, kind

    def __repr__(self) -> str:
        return f"the {self.kind} at {self.place}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.made(name)

    def made(self, name: str, extra: object = "") -> Any:
        """What the attribute of that name is, this time and every time."""
        random = Random(f"{self.seed} {self.place} {name} {extra}")
        if random.random() < self.trouble:
            return self._trouble(f"{self.place}.{name}", random)
        value = self._value(name, random)
        return Later(value, random.randint(0, 2)) if random.random() < 0.04 else value

    def _trouble(self, what: str, random: Random) -> Any:
        match random.randint(0, 9):
            case 0:
                raise Trouble(what)
            case 1:
                raise GraphQLError(what, extensions={"code": "SAID"})
            case 2:
                return Trouble(f"{what}, handed over")
            case 3:
                return Undefined
            case 4:
                return random.choice((17, "text", 1.5, b"", [], {}, object, ["a"], Row(self.seed, 0, what, "C")))
            case 5:
                return Later(Trouble(f"{what}, later"), random.randint(0, 3))
            case _:
                return None

    def _value(self, name: str, random: Random) -> Any:
        for part, values in VALUES.items():
            if part in name:
                return random.choice(values)
        if "list" in name or "words" in name or "grid" in name:
            return self._list(name, random, 1 if "grid" in name else 0)
        return self._one(name, random)

    def _one(self, name: str, random: Random) -> "Row":
        kind = "A" if "_a" in name else "B" if "_b" in name else random.choice("AB")
        return Row(self.seed, self.trouble, f"{self.place}.{name}", kind)

    def _list(self, name: str, random: Random, depth: int) -> Any:
        made = [self._member(f"{name}.{index}", random, depth) for index in range(random.choice((0, 1, 2, 3)))]
        return random.choice((tuple, iter, deque))(made) if not depth and random.random() < 0.1 else made

    def _member(self, name: str, random: Random, depth: int) -> Any:
        value: Any
        if random.random() < self.trouble:
            value = random.choice((None, Undefined, 7, Trouble(f"{self.place}.{name}")))
        elif depth:
            value = self._list(name, random, depth - 1)
        else:
            value = random.choice(("x", "y")) if "words" in name else self._one(name, random)
        return Later(value, random.randint(0, 3)) if random.random() < 0.1 else value


@strawberry.enum
class Colour(Enum):
    RED = 1
    BLUE = 2


VALUES: dict[str, tuple[Any, ...]] = {
    "text": ("a", "b", "c", "d", 5),
    "id": ("a", "b", 5),
    "count": (0, 1, 2, True, 2**31),
    "ratio": (1.5, 2, float("nan")),
    "flag": (True, False, 1),
    "colour": (Colour.RED, Colour.BLUE, 1),
}
Either = Annotated[Union["A", "B"], strawberry.union("Either")]


async def slowly(row: Any, name: str, extra: object = "") -> Any:
    """As a resolver of the product: it waits a while, then answers or fails."""
    for _ in range(Random(f"{row.seed} {row.place} {name}").choice((0, 0, 1, 2, 5))):
        await asyncio.sleep(0)
    return row.made(name, extra)


@strawberry.interface
class Node:
    id: strawberry.ID
    text: str
    text_or_none: str | None
    count: int | None
    ratio: float | None
    flag: bool
    colour: Colour | None
    words: list[str | None] | None
    grid: list[list["Node"] | None] | None
    grid_all: list[list[Either]] | None
    one_a: "A"
    one_b: "B | None"
    node: "Node | None"
    either: Either | None
    list_a: list["A"] | None
    list_b: list["B | None"]
    list_either: list[Either | None] | None

    @strawberry.field
    def read_text(self: Any) -> str:
        return self.made("text, read")  # type: ignore[no-any-return]

    @strawberry.field
    def read_node(self: Any) -> "Node | None":
        return self.made("node, read")  # type: ignore[no-any-return]

    @strawberry.field
    def asked_text(self: Any, info: strawberry.Info) -> str | None:
        return self.made("text, asked", (info.field_name, info.path.key, info.python_name))  # type: ignore[no-any-return]

    @strawberry.field
    def counted_text(self: Any, info: strawberry.Info, n: int = 1) -> str | None:
        return self.made("text, counted", n)  # type: ignore[no-any-return]

    @strawberry.field
    async def slow_text(self: Any) -> str:
        return await slowly(self, "text, slow")  # type: ignore[no-any-return]

    @strawberry.field
    async def slow_text_or_none(self: Any, info: strawberry.Info) -> str | None:
        return await slowly(self, "text, slow, or none", info.path.key)  # type: ignore[no-any-return]

    @strawberry.field
    async def slow_a(self: Any, info: strawberry.Info) -> "A | None":
        return await slowly(self, "slow_a", info.field_name)  # type: ignore[no-any-return]

    @strawberry.field
    async def slow_either(self: Any, n: int | None = 2) -> Either:
        return await slowly(self, "slow_either", n)  # type: ignore[no-any-return]

    @strawberry.field
    async def slow_list_b(self: Any) -> list["B"] | None:
        return await slowly(self, "slow_list_b")  # type: ignore[no-any-return]


def fits(row: Any, kind: str) -> Any:
    if not isinstance(row, Row):
        return False
    chance = Random(f"{row.seed} {row.place} fits").random()
    if chance < row.trouble / 10:
        raise Trouble(f"{row.place} is hard to tell")
    return Later(row.kind == kind, 1) if chance > 0.97 else row.kind == kind


@strawberry.type
class A(Node):
    @classmethod
    def is_type_of(cls, row: Any, _: object) -> Any:
        return fits(row, "A")


@strawberry.type
class B(Node):
    @classmethod
    def is_type_of(cls, row: Any, _: object) -> Any:
        return fits(row, "B")


@strawberry.type
class Query(Node):
    @classmethod
    def is_type_of(cls, row: Any, _: object) -> bool:
        return False


@strawberry.type
class Mutation(Node):
    @classmethod
    def is_type_of(cls, row: Any, _: object) -> bool:
        return False


@cache
def schema() -> GraphQLSchema:
    built = strawberry.Schema(Query, Mutation, types=[A, B], config=StrawberryConfig(disable_field_suggestions=True))
    return built._schema
