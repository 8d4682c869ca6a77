"""Fields that answer to one name: the verdict is the stock rule's, and the work does not grow with pairs."""

from collections.abc import Callable
from random import Random

import pytest
from graphql import (
    GraphQLSchema,
    NoUnusedVariablesRule,
    OverlappingFieldsCanBeMergedRule,
    parse,
    specified_rules,
    validate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.graphql_engine.overlap import OverlapChecker
from tests.requests.writing import Writer
from tests.support.law_settings import CASES
from tests.support.schemas import conflicting_schema, product_schema

OTHERS = tuple(set(specified_rules) - {OverlappingFieldsCanBeMergedRule, NoUnusedVariablesRule})


def mergeable(schema: GraphQLSchema, text: str) -> bool:
    return not list(OverlapChecker(schema, parse(text)).find_conflicts())


def stock(schema: GraphQLSchema, text: str) -> bool:
    return not validate(schema, parse(text), [OverlappingFieldsCanBeMergedRule])


def steps(text: str) -> int:
    overlap = OverlapChecker(product_schema(), parse(text))
    assert not list(overlap.find_conflicts())
    return overlap.steps


@pytest.mark.slow
@pytest.mark.parametrize("schema", [product_schema, conflicting_schema])
def test_the_verdict_is_that_of_the_stock_rule(schema: Callable[[], GraphQLSchema]) -> None:
    """A case is a seed: documents are made in hundreds of choices, more than Hypothesis can make quickly itself."""

    @settings(max_examples=CASES, deadline=None)
    @given(st.integers(0, 2**64))
    def law(seed: int) -> None:
        text = Writer(schema(), Random(seed)).document()
        assert not validate(schema(), parse(text), OTHERS), text
        assert mergeable(schema(), text) == stock(schema(), text), text

    law()


@pytest.mark.parametrize(
    "text,expected",
    [
        ("{a{x x}}", True),
        ("{a{v:x v:y}}", False),
        ("{a{id name(n:1) name(n:1)}}", True),
        ("{a{name(n:1) name}}", False),
        ("{a{name(n:1) name(n:2)}}", False),
        ("query($n:Int,$m:Int){a{kin(n:$n){id} kin(n:$m){id}}}", False),
        ("{b{name(n:1,m:2) name(m:2,n:1)}}", True),
        ("{node{...on A{v:x} ...on C{v:y}}}", True),
        ("{node{...on A{v:x} ...on B{v:x}}}", False),
        ("{node{...on A{v:name} ...on B{v:name}}}", False),
        ("{node{...on A{v:name} ...on C{v:name}}}", True),
        ("{node{...on A{v:name(n:1)} ...on C{v:name}}}", True),
        ("{node{id ...on A{id:x}}}", False),
        ("{node{...on Named{name} ...on A{name:id}}}", False),
        ("{either{...on A{list{id}} ...on B{list{id}}}}", False),
        ("{either{...on A{v:self{id}} ...on B{v:a{id}}}}", True),
        ("{either{...on A{v:self{w:x}} ...on B{v:a{w:id}}}}", False),
        ("{either{...on A{v:self{w:x}} ...on B{v:self{w:y}}}}", False),
        ("{either{...on A{v:a{w:x}} ...on B{v:a{w:y}}}}", False),
        ("{node{...on A{v:self{w:x}} ...on C{v:self{w:y}}}}", True),
        ("{node{...on A{v:self{w:x}} ...on Named{v:self{...on A{w:id}}}}}", False),
        ("{node{...F ...G}} fragment F on A{v:self{...H}} fragment G on C{v:self{w:y}} fragment H on A{w:x}", True),
        ("{a{...F} c{...G}} fragment F on Node{v:id ...G} fragment G on Node{v:__typename}", False),
        ("query A{a{v:x}} query B{a{v:y}}", True),
        ("{node{v:__typename ...on A{w:__typename} ...on C{w:x}}}", True),
        ("{v:node{id} v:named{id}}", False),
    ],
)
def test_mergeable_fields_are_distinguished_from_conflicts(text: str, expected: bool) -> None:
    assert stock(conflicting_schema(), text) is expected
    assert mergeable(conflicting_schema(), text) is expected


@pytest.mark.parametrize(
    "one,other,expected",
    [
        ("{success:true,folder:[DRAFT]}", "{folder:[DRAFT],success:true}", True),
        ("{folder:[DRAFT,SPAM]}", "{folder:[SPAM,DRAFT]}", False),
        ("{folder:[DRAFT]}", "{folder:DRAFT}", False),
        ('{subject:{equals:"s"}}', '{subject:{equals:"""s"""}}', False),
        ("{not:null}", "{not:{}}", False),
        ("{person:[$a]}", "{person:[$b]}", False),
    ],
)
def test_arguments_are_the_same_by_what_they_say(one: str, other: str, expected: bool) -> None:
    text = f"query($a:ID!,$b:ID!){{emails(filter:{one}){{nodes{{id}}}} emails(filter:{other}){{nodes{{id}}}}}}"
    assert stock(product_schema(), text) is expected
    assert mergeable(product_schema(), text) is expected


def test_each_conflict_is_reported_once_with_both_locations() -> None:
    document = parse("{viewer{b:id b:name ...F} viewer{b:role}} fragment F on User{c:id c:name}")
    told = [
        (error.message.partition(" because ")[0], [place.column for place in error.locations or ()])
        for error in OverlapChecker(product_schema(), document).find_conflicts()
    ]
    assert sorted(told) == [("Fields 'b' conflict", [9, 14]), ("Fields 'c' conflict", [62, 67])]


def test_a_repeated_field_is_compared_a_few_times() -> None:
    assert steps("{viewer{" + "id " * 1_900 + "}}") < 3 * 1_900


def test_mutually_recursive_fragments_are_visited_once() -> None:
    text = "{viewer{...F0}}" + "".join(
        f"fragment F{n} on User{{{' '.join(f'...F{each}' for each in range(n + 1, 41))}}}" for n in range(40)
    )
    assert steps(text + "fragment F40 on User{id}") < 1_000


def test_doubling_fragments_are_visited_once_each() -> None:
    doubling = "".join(
        f"fragment A{n} on Email{{a:campaign{{...B{n}}} b:campaign{{...B{n}}}}}"
        f"fragment B{n} on Campaign{{emails{{nodes{{...A{n + 1} ...A{n + 1}}}}}}}"
        for n in range(40)
    )
    assert steps("{email(id:1){...A0}}" + doubling + "fragment A40 on Email{id}") < 1_500


def test_a_large_fragment_in_many_places_is_visited_once() -> None:
    places = "campaign{id ...F} " * 160
    assert steps(f"{{email(id:1){{{places}}}}} fragment F on Campaign{{{'name ' * 800}}}") < 5_000


def test_too_many_field_sets_are_refused() -> None:
    text = "{viewer{id ...F}} fragment F on User{name}"
    assert not list(OverlapChecker(product_schema(), parse(text), max_steps=20).find_conflicts())
    (error,) = OverlapChecker(product_schema(), parse(text), max_steps=3).find_conflicts()
    assert error.message == "Fields overlap in more ways than can be looked at."
