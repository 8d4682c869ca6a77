"""What an operation costs: by what is written, by the variables, by the schema."""

from collections.abc import Mapping
from typing import Any

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    graphql_sync,
    is_composite_type,
    is_list_type,
)

from command_center.graphql_engine.documents import Documents, Rejected
from command_center.graphql_engine.limits import DocumentLimits
from command_center.graphql_engine.list_sizes import is_connection
from command_center.server.schema_hints import HINTS, LISTS
from tests.support.schemas import product_schema


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents(product_schema(), DocumentLimits(), HINTS)


def cost(documents: Documents, text: str, variables: Mapping[str, Any] | None = None) -> int:
    return documents.prepare(text, None).estimate_cost(variables or {})


@pytest.mark.parametrize(
    "text,expected",
    [
        ("{viewer{id name}}", 1),
        ("{__typename}", 0),
        ("{email(id:1){id sender{id} person{id owner{id}}}}", 4),
        ("{emails{nodes{id}}}", 50),
        ("{emails(first:7){nodes{id}}}", 7),
        ("{emails(last:7){nodes{id}}}", 7),
        ("{emails(first:3,last:7){nodes{id}}}", 7),
        ("{emails(first:0){nodes{id}}}", 0),
        ("{emails(first:null){nodes{id}}}", 50),
        ("{emails(first:200){nodes{id}}}", 200),
        ("{emails(first:201){nodes{id}}}", 200),
        ("{emails(first:-1){nodes{id}}}", 200),
        ("{emails(first:10){edges{cursor node{id sender{id}}} pageInfo{endCursor}}}", 20),
        ("{emails(first:10){edges{node{id}} nodes{id}}}", 20),
        ("{emails(first:10){pageInfo{endCursor}}}", 0),
        ("{emails(first:10){nodes{tasks(first:5){nodes{person{id}}}}}}", 10 * (1 + 5 * 2)),
        ("{emails(first:10){nodes{tasks{nodes{id}}}}}", 10 * 51),
        ("{folders{id folders{id}}}", 3 * (1 + 3)),
        ("{person(id:1){groups{id owner{id}}}}", 1 + 10 * 2),
        ("{savedSearch(id:1){explain(emailId:1){leaves{path}}}}", 1 + 1 + 64),
        ('{nodes(ids:["a","b","c"]){id}}', 3),
        ('{nodes(ids:"a"){id ...on Email{sender{id}}}}', 2),
        ("{nodes(ids:[]){id}}", 0),
        ('{node(id:"a"){...on Email{sender{id}} ...on Task{person{id} assignee{id}}}}', 4),
        ("{viewer@skip(if:true){id}}", 1),
        ("{viewer{id} viewer{id}}", 2),
        ("{viewer{id}...F...F} fragment F on Query{viewer{id}}", 3),
        ('mutation{emailArchive(ids:["a","b"]){emails{id person{id}} userErrors{path}}}', 1 + 2 * 2 + 2),
        ('mutation{emailArchive(ids:["a","b"]){...F}} fragment F on EmailsPayload{...{emails{id}}}', 1 + 2),
        ('mutation{groupAddPeople(id:1,personIds:["a"]){group{people{nodes{id}}} userErrors{path}}}', 1 + 1 + 50 + 1),
        ('mutation{campaignEnd(id:"a"){campaign{id} userErrors{path}}}', 1 + 1 + 10),
        ("subscription{folderCounts{folders{id} groups{id folders{id}}}}", 1 + 8 + 3 * (1 + 3)),
        ("subscription{savedSearchChanges(savedSearchId:1){...on Change{cursor} ...on MemberJoined{member{id}}}}", 2),
    ],
)
def test_an_answer_costs_the_objects_it_may_hold(documents: Documents, text: str, expected: int) -> None:
    assert cost(documents, text) == expected


@pytest.mark.parametrize(
    "variables,expected",
    [
        ({}, 30),
        ({"n": 10}, 10),
        ({"n": 10.0}, 10),
        ({"n": None}, 50),
        ({"n": 0}, 0),
        ({"n": 201}, 200),
        ({"n": -1}, 200),
        ({"n": 10**400}, 200),
        ({"n": float("nan")}, 200),
        ({"n": float("inf")}, 200),
        ({"n": True}, 200),
        ({"n": "10"}, 200),
        ({"n": [[], {}]}, 200),
        ({"n": {"a": [{}]}}, 200),
        ({"other": {"a": [{}]}}, 30),
    ],
)
def test_a_page_is_as_long_as_its_variable_says(
    documents: Documents, variables: Mapping[str, Any], expected: int
) -> None:
    text = "query($n:Int=30){emails(first:$n){nodes{id}}}"
    assert cost(documents, text, variables) == expected
    assert cost(documents, text, variables) == expected


def test_a_variable_without_a_value_is_an_absent_argument(documents: Documents) -> None:
    assert cost(documents, "query($n:Int){emails(first:$n){nodes{id}}}") == 50
    assert cost(documents, "query($n:Int,$m:Int=7){emails(first:$n,last:$m){nodes{id}}}") == 7


@pytest.mark.parametrize(
    "ids,expected", [(["a", "b"], 2), ([], 0), ("a", 1), ({"a": "b"}, 1), (None, 50), ([None, [], {}], 3)]
)
def test_a_list_is_as_long_as_its_variable(documents: Documents, ids: Any, expected: int) -> None:
    assert cost(documents, "query($ids:[ID!]!){nodes(ids:$ids){id}}", {"ids": ids}) == expected


def test_a_fragment_is_counted_for_each_length_of_a_batch(documents: Documents) -> None:
    text = (
        "mutation($a:[ID!]!,$b:[ID!]!){emailArchive(ids:$a){...F} emailUnarchive(ids:$b){...F}}"
        " fragment F on EmailsPayload{emails{id}}"
    )
    assert cost(documents, text, {"a": ["x"] * 3, "b": ["x"] * 5}) == 2 + 3 + 5


def test_a_batch_ends_with_the_answer_of_its_mutation(documents: Documents) -> None:
    text = "mutation($ids:[ID!]!){taskComplete(ids:$ids){tasks{person{groups{id}}}}}"
    assert cost(documents, text, {"ids": ["x"] * 4}) == 1 + 4 * (1 + 1 + 10)


def test_20000_objects_may_be_asked_for_and_no_more(documents: Documents) -> None:
    prepared = documents.prepare("query($ids:[ID!]!){nodes(ids:$ids){id}}", None)
    assert documents.check_cost(prepared, {"ids": ["a"] * 20_000}) == 20_000
    with pytest.raises(Rejected) as caught:
        documents.check_cost(prepared, {"ids": ["a"] * 20_001})
    (error,) = caught.value.errors
    assert error.message == "The answer may hold 20,001 objects; 20,000 are allowed."
    assert error.extensions == {"code": "COST_EXCEEDED"}


def test_doubling_fragments_are_counted_once_at_their_full_cost(documents: Documents) -> None:
    text = "{email(id:1){...F0}}" + "".join(f"fragment F{n} on Email{{...F{n + 1} ...F{n + 1}}}" for n in range(25))
    assert cost(documents, f"{text} fragment F25 on Email{{sender{{id}}}}") == 1 + 2**25


def test_a_cost_that_no_reader_of_json_could_hold_is_cut(documents: Documents) -> None:
    text = "{email(id:1){...F0}}" + "".join(f"fragment F{n} on Email{{...F{n + 1} ...F{n + 1}}}" for n in range(100))
    prepared = documents.prepare(f"{text} fragment F100 on Email{{sender{{id}}}}", None)
    assert prepared.estimate_cost({}) == 1_000_000_000
    with pytest.raises(Rejected, match="may hold 1,000,000,000 objects or more; 20,000 are allowed"):
        documents.check_cost(prepared, {})


def objects(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(objects, value))
    return 1 + sum(map(objects, value.values())) if isinstance(value, dict) else 0


@pytest.mark.parametrize(
    "text",
    [
        get_introspection_query(input_value_deprecation=True),
        "{__schema{queryType{name} directives{name args(includeDeprecated:true){name type{kind ofType{name}}}}}}",
        "{__schema{types{...F}}} fragment F on __Type{interfaces{name} ...{possibleTypes{fields{name}}}}",
        '{__type(name:"Email"){fields{type{fields{type{name}}}}}}',
        '{__type(name:"Nothing"){name}}',
    ],
)
def test_introspection_costs_the_objects_it_answers_with(documents: Documents, text: str) -> None:
    answer = graphql_sync(product_schema(), text)
    assert not answer.errors
    assert cost(documents, text) == objects(answer.data) - 1


def test_the_type_that_is_introspected_may_come_from_a_variable(documents: Documents) -> None:
    text = "query($name:String!){__type(name:$name){fields{name}}}"
    email = product_schema().type_map["Email"]
    assert isinstance(email, GraphQLObjectType)
    assert cost(documents, text, {"name": "Email"}) == 1 + len(email.fields)
    assert cost(documents, text, {"name": ["nonsense"]}) == 0


def test_what_nests_as_deep_as_can_be_parsed_is_counted(documents: Documents) -> None:
    text = "{__schema{types{fields{type" + "{ofType" * 190 + "{name}" + "}" * 190 + "}}}}"
    assert 1_000 < cost(documents, text) < 5_000


@pytest.mark.parametrize("spread", ["types{fields{type{name}}} " * 190, "types{...F0} "])
def test_expensive_introspection_is_not_counted_to_its_end(documents: Documents, spread: str) -> None:
    text = f"{{__schema{{{spread}}}}}"
    if "F0" in text:
        text += "".join(f"fragment F{n} on __Type{{...F{n + 1} ...F{n + 1}}}" for n in range(150))
        text += "fragment F150 on __Type{fields{name}}"
    with pytest.raises(Rejected, match="1,000,000,000 objects or more"):
        documents.check_cost(documents.prepare(text, None), {})


def lists(schema: GraphQLSchema) -> set[str]:
    return {
        f"{name}.{field}"
        for name, type_ in schema.type_map.items()
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__")
        for field, definition in type_.fields.items()
        if is_list_type(get_nullable_type(definition.type)) and is_composite_type(get_named_type(definition.type))
    }


def test_the_length_of_every_list_is_known() -> None:
    """A new list of objects is one more line of LISTS."""
    pages = {
        f"{name}.{field}" for name in product_schema().type_map if is_connection(name) for field in ("edges", "nodes")
    }
    errors = {each for each in lists(product_schema()) if each.endswith(".userErrors")}
    assert lists(product_schema()) - pages - errors == set(LISTS)


def test_every_connection_is_a_page() -> None:
    for name, type_ in product_schema().type_map.items():
        for field, definition in getattr(type_, "fields", {}).items():
            if is_connection(get_named_type(definition.type).name):
                assert {"first", "last"} <= set(definition.args), f"{name}.{field}"
