"""Variables are made as graphql-core itself makes them, whatever a client sends."""

from random import Random
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLSchema,
    Undefined,
    build_schema,
    coerce_input_value,
    is_input_type,
    is_list_type,
    is_non_null_type,
    parse,
)
from graphql.execution import VariableValues, get_variable_values

from command_center.graphql_engine.variables import InputCoercions
from schema.build import create_schema

ODD: tuple[Any, ...] = (
    None,
    7,
    -1,
    2**40,
    0.5,
    True,
    "",
    "text",
    "RED",
    [],
    {},
    [None],
    {"name": None},
    {"unknown": 1},
)
TEXTS = ("text", "2026-01-31T09:30:00Z", "2026-01-31", "P3D", "RED", "7")


def sent(random: Random, type_: Any, odd: float, depth: int = 0) -> Any:
    """What a client might send for a type; now and then something else."""
    if random.random() < odd:
        return random.choice(ODD)
    if is_non_null_type(type_):
        return sent(random, type_.of_type, odd, depth)
    if random.random() < 0.1:
        return None
    if is_list_type(type_):
        return [sent(random, type_.of_type, odd, depth) for _ in range(random.randint(0, 3 - min(depth, 3)))]
    if isinstance(type_, GraphQLInputObjectType):
        names = list(type_.fields)
        if type_.is_one_of:
            names = [random.choice(names)]
        return {
            name: sent(random, type_.fields[name].type, odd, depth + 1)
            for name in random.sample(names, len(names))
            if is_non_null_type(type_.fields[name].type) or type_.is_one_of or random.random() < 0.5**depth
        }
    if isinstance(type_, GraphQLEnumType):
        return random.choice(list(type_.values))
    return {"Int": 7, "Float": 0.5, "Boolean": True}.get(type_.name) or random.choice(TEXTS)


SMALL = """
enum Colour { RED BLUE }
input Leaf { name: String! = "leaf" colours: [Colour!] = [RED] number: Int others: [[Int]] }
input Tree { leaf: Leaf! trees: [Tree!] by: Choice }
input Choice @oneOf { name: String number: Int leaf: Leaf }
type Query { tree(tree: Tree, choice: Choice, id: ID): Int }
"""


def compared(schema: GraphQLSchema, odd: float, cases: int) -> tuple[int, int]:
    """How many values were made here, and how many were left to graphql-core."""
    random, coercions = Random(3), InputCoercions()
    made = left = 0
    for name, named in schema.type_map.items():
        if not is_input_type(named) or name.startswith("__"):
            continue
        type_: Any = named
        for each in (type_, GraphQLNonNull(type_)):
            coerce = coercions.create_coercion(each)
            for _ in range(cases):
                given = sent(random, each, odd)
                stock = coerce_input_value(given, each)
                try:
                    mine = coerce(given)
                except Exception:
                    left += 1
                    continue
                made += 1
                assert (type(mine), repr(mine)) == (type(stock), repr(stock)), f"{each}: {given}"
                assert stock is not Undefined, f"{each}: {given}"
    return made, left


@pytest.mark.parametrize("odd", [0.0, 0.05, 0.3])
def test_values_of_all_schema_types_equal_those_of_the_library(odd: float) -> None:
    made, _ = compared(create_schema()._schema, odd, 60)
    assert made > 1_500


@pytest.mark.parametrize("odd", [0.0, 0.1])
def test_values_of_odd_types_are_those_of_the_library(odd: float) -> None:
    made, left = compared(build_schema(SMALL), odd, 400)
    assert made > 2_000
    assert left > 200


@pytest.mark.parametrize(
    "given, plain",
    [
        ({"id": "a", "many": ["RED"]}, True),
        ({"id": "a", "many": None, "unknown": 1}, True),
        ({"id": "a", "many": "RED"}, False),
        ({"id": "a"}, False),
        ({"id": 7, "many": []}, False),
        ({"many": []}, False),
        ({"id": None, "many": []}, False),
        ({"id": "a", "many": ["GREEN"]}, False),
    ],
)
def test_plain_values_are_coerced_here_and_others_by_the_library(given: dict[str, Any], plain: bool) -> None:
    schema = build_schema(SMALL)
    document = parse("query ($id: ID!, $many: [Colour!] = [BLUE], $tree: Tree) { tree(tree: $tree) }")
    definitions = document.definitions[0].variable_definitions  # type: ignore[attr-defined]
    example = get_variable_values(schema, definitions, {"id": "b", "many": []})
    assert isinstance(example, VariableValues)
    values = InputCoercions().create_variable_coercion(example).coerce(given)
    assert (values is not None) is plain
    if values is not None:
        stock = get_variable_values(schema, definitions, given)
        assert isinstance(stock, VariableValues)
        assert values.coerced == stock.coerced
        assert {name: each.value for name, each in values.sources.items()} == {
            name: each.value for name, each in stock.sources.items()
        }
