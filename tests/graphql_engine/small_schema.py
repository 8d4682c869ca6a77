"""A schema of plain graphql-core, and rows whose fields fail, are null, late or of a wrong type by a seed."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from random import Random
from typing import Any

from graphql import GraphQLError, GraphQLField, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema, build_schema

Info = GraphQLResolveInfo[Any]

SDL = """
directive @experimental_disableErrorPropagation on QUERY | MUTATION | SUBSCRIPTION
enum Colour { RED BLUE }
scalar Json
input Choice { number: Int! = 3 colours: [Colour!] = [RED] inner: Choice extra: Json }
interface Item { name: String! size: Int colour: Colour next: Item items(first: Int = 2): [Item!] }
type Box implements Item {
  name: String! size: Int colour: Colour next: Item items(first: Int = 2): [Item!]
  strict: Box! loose: Box boxes: [Box]! grid: [[Int!]]! either: Either
  echo(choice: Choice, colour: Colour = BLUE, json: Json, many: [Int!]): String
}
type Ball implements Item {
  name: String! size: Int colour: Colour next: Item items(first: Int = 2): [Item!]
  weight: Float! owner: Box
}
union Either = Box | Ball
type Query { box: Box ball: Ball! item: Item either: Either boxes: [Box!] balls: [Ball]! }
type Mutation { first: Box second(n: Int): Ball third: Int! }
type Subscription { boxes(n: Int = 3): Box failing: Box wrong: Box }
"""


class ExpectedError(Exception):
    """An error that a resolver raises on purpose."""


class RandomRow:
    """An object whose fields have values that depend on a seed and its position, always the same ones."""

    def __init__(self, seed: int, trouble: float, position: str, kind: str) -> None:
        self.seed, self.trouble, self.position, self.kind = seed, trouble, position, kind

    def __repr__(self) -> str:
        return f"the {self.kind} at {self.position}"

    def random(self, field: str) -> Random:
        return Random(f"{self.seed} {self.position} {field}")

    def create(self, field: str, kind: str) -> "RandomRow":
        return RandomRow(self.seed, self.trouble, f"{self.position}.{field}", kind)


async def delay(value: Any, turns: int) -> Any:
    """Return the value, or raise the error, after some turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


def create_value(row: RandomRow, field: str, type_: str) -> Any:
    """Return a value for a type in GraphQL's notation. It may be wrong, or an error."""
    random = row.random(field)
    if random.random() < row.trouble:
        return random.choice(
            (None, ExpectedError(field), GraphQLError(field, extensions={"code": "EXPECTED"}), object(), 2**40, ["x"])
        )
    nullable = type_.removesuffix("!")
    if nullable is type_ and random.random() < 0.15:
        return None
    if nullable.startswith("["):
        inner = nullable[1:-1]
        items = [create_item(row, f"{field}.{index}", inner) for index in range(random.randrange(4))]
        return wrap_items(items, random)
    match nullable:
        case "Int":
            return random.randrange(-5, 100)
        case "Float":
            return random.random()
        case "Colour":
            return random.choice(("RED", "BLUE"))
        case "String":
            return random.choice(("a", "b", "ä"))
        case "Box" | "Ball":
            return row.create(field, nullable)
        case _:
            return row.create(field, random.choice(("Box", "Ball")))


def create_item(row: RandomRow, field: str, type_: str) -> Any:
    value, random = create_value(row, field, type_), row.random(f"{field} later")
    return delay(value, random.randrange(3)) if random.random() < 0.1 else value


def wrap_items(items: Sequence[Any], random: Random) -> Any:
    """Return the items as one of the kinds of iterables that a resolver may return."""

    def generate() -> Iterator[Any]:
        yield from items

    def generate_and_fail() -> Iterator[Any]:
        yield from items
        raise ExpectedError("no more items")

    async def generate_later() -> AsyncIterator[Any]:
        for item in items:
            await asyncio.sleep(0)
            yield item

    async def generate_later_and_fail() -> AsyncIterator[Any]:
        for item in items:
            yield item
        raise ExpectedError("no more items")

    chance = random.random()
    if chance < 0.7:
        return items
    kinds = (tuple, iter, lambda _: generate(), lambda _: generate_later())
    failing = (lambda _: generate_and_fail(), lambda _: generate_later_and_fail())
    return random.choice(kinds if chance < 0.95 else failing)(items)


def resolve(row: Any, info: Info, **arguments: Any) -> Any:
    """Resolve any field: by the row's seed, sometimes later, sometimes with an error."""
    row = row if isinstance(row, RandomRow) else RandomRow(info.context, 0, "", "Query")
    field = f"{info.field_name} {sorted(arguments.items())}" if arguments else info.field_name
    value = f"{arguments}" if info.field_name == "echo" else create_value(row, field, str(info.return_type))
    random = row.random(f"{field} resolved")
    chance = random.random()
    if chance < 0.2:
        return delay(value, random.randrange(4))
    if isinstance(value, Exception) and chance < 0.8:
        raise value
    return value


def find_kind(row: Any, info: Info, _: Any) -> Any:
    """Resolve the type of an item: sometimes later, and sometimes wrongly."""
    if not isinstance(row, RandomRow):
        return None
    random = row.random("kind")
    kind: Any = random.choice((None, 7, "Query", "Colour", "Nothing")) if random.random() < row.trouble else row.kind
    return delay(kind, 1) if random.random() < 0.1 else kind


def is_kind(kind: str) -> Any:
    def check(row: Any, _: Info) -> Any:
        if not isinstance(row, RandomRow):
            return False
        random = row.random("is kind")
        matches = row.kind == kind and random.random() >= row.trouble / 4
        return delay(matches, 1) if random.random() < 0.1 else matches

    return check


async def generate_events(root: Any, info: Info, n: int = 3) -> AsyncIterator[Any]:
    for number in range(n):
        yield RandomRow(info.context, 0.1, f"event {number}", "Box")


def create_schema() -> GraphQLSchema:
    """Return the schema with its resolvers."""
    schema = build_schema(SDL)
    for name in ("Query", "Mutation", "Box", "Ball"):
        type_ = schema.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        for field in type_.fields.values():
            field.resolve = resolve
    subscription = schema.subscription_type
    assert subscription is not None
    subscription.fields["boxes"] = replace_functions(subscription.fields["boxes"], generate_events)
    subscription.fields["failing"] = replace_functions(subscription.fields["failing"], raise_expected)
    subscription.fields["wrong"] = replace_functions(subscription.fields["wrong"], lambda *_: 7)
    for name in ("Item", "Either"):
        schema.type_map[name].resolve_type = find_kind  # type: ignore[attr-defined]
    for name in ("Box", "Ball"):
        schema.type_map[name].is_type_of = is_kind(name)  # type: ignore[attr-defined]
    return schema


def raise_expected(*_: Any) -> Any:
    raise ExpectedError("no stream")


def replace_functions(field: GraphQLField, subscribe: Any) -> GraphQLField:
    field.subscribe = subscribe
    field.resolve = lambda event, _, **__: event
    return field
