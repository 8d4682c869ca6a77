"""Arguments reach resolvers as Strawberry itself would hand them over, whatever was given."""

import enum
from random import Random
from typing import Any

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    Undefined,
    is_list_type,
    is_non_null_type,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import convert_arguments

from command_center.graphql_engine.arguments import ArgumentConversions
from schema.build import create_schema


def value(random: Random, type_: Any, depth: int = 0) -> Any:
    """What graphql-core might hand over for a type."""
    if is_non_null_type(type_):
        return value(random, type_.of_type, depth)
    if random.random() < 0.15:
        return None
    if is_list_type(type_):
        return [value(random, type_.of_type, depth) for _ in range(random.randint(0, 3 - min(depth, 3)))]
    if isinstance(type_, GraphQLInputObjectType):
        given: dict[str, Any] = {}
        for name, field in type_.fields.items():
            if is_non_null_type(field.type) or random.random() < (0.5 if depth < 3 else 0.05):
                given[name] = value(random, field.type, depth + 1)
        return given
    if isinstance(type_, GraphQLEnumType):
        return random.choice([each.value for each in type_.values.values()])
    return random.choice([7, "text", True, 0.5])


def compared(schema: strawberry.Schema, random: Random, cases: int) -> tuple[int, list[str]]:
    """How many fields are converted here, and those that are left to Strawberry."""
    converter = schema.schema_converter
    conversions = ArgumentConversions(schema)
    known, left = 0, []
    for type_ in schema._schema.type_map.values():
        if not isinstance(type_, GraphQLObjectType) or type_.name.startswith("__"):
            continue
        for name, definition in type_.fields.items():
            field = definition.extensions.get("strawberry-definition")
            if not definition.args or field is None:
                continue
            convert = conversions.create_conversion(field)
            if convert is None:
                left.append(f"{type_.name}.{name}")
                continue
            known += 1
            for _ in range(cases):
                given = {
                    called: value(random, each.type)
                    for called, each in definition.args.items()
                    if random.random() < 0.8
                }
                stock = convert_arguments(given, field.arguments, converter.scalar_registry, converter.config)
                assert convert(given) == stock, f"{type_.name}.{name}: {given}"
    return known, left


def test_all_schema_fields_convert_arguments_as_strawberry() -> None:
    known, left = compared(create_schema(), Random(1), 40)
    assert known > 60
    assert left == []


@strawberry.enum
class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@strawberry.input
class Leaf:
    name: str
    colours: list[Colour] | None = None
    number: int | None = strawberry.UNSET
    kept: list[str] = strawberry.field(default_factory=list, name="others")


@strawberry.input
class Tree:
    leaf: Leaf
    nullable: Leaf | None
    below: list["Tree | None"] | None = strawberry.UNSET


@strawberry.input
class Perhaps:
    value: strawberry.Maybe[int]


@strawberry.type
class Query:
    @strawberry.field
    def plain(self, text: str = "a", many: list[int] | None = None, colour: Colour = Colour.RED) -> int:
        return 1

    @strawberry.field
    def nested(self, tree: Tree | None = strawberry.UNSET, trees: list[list[Tree]] | None = None) -> int:
        return 1

    @strawberry.field
    def perhaps(self, perhaps: Perhaps | None = None, tree: Tree | None = None) -> int:
        return 1


@pytest.mark.parametrize("camel", [True, False])
def test_odd_arguments_are_converted_as_strawberry_or_left_to_it(camel: bool) -> None:
    schema = strawberry.Schema(Query, config=StrawberryConfig(auto_camel_case=camel))
    assert compared(schema, Random(2), 400) == (2, ["Query.perhaps"])


def test_resolvers_cannot_change_a_default() -> None:
    schema = strawberry.Schema(Query)
    field = strawberry.Schema(Query)._schema.query_type.fields["plain"].extensions["strawberry-definition"]  # type: ignore[union-attr]
    convert = ArgumentConversions(schema).create_conversion(field)
    assert convert is not None
    default = [1, 2]
    many: Any = convert({"many": default})["many"]
    many.append(3)
    assert default == [1, 2]
    assert convert({}) == {}
    assert Undefined not in convert({}).values()
