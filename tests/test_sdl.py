"""The published schema explains itself, and the measurement of what the tests exercise of it measures."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLNamedType,
    GraphQLScalarType,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
)

from tests.support.schema_coverage import SchemaCoverage, all_coordinates, published_schema
from tests.support.schema_coverage_report import report_lines

SAYS_NOTHING = """a an the of its it is are this that one ones which what who in to for by as with and or be was were
    their them they all any every each some on at from has have"""
TOY = """
type Query { pet(id: ID, kind: Kind = CAT): Pet pets(filter: Filter): [Pet!]! any: Thing }
enum Kind { CAT DOG }
input Filter { name: String kind: [Kind!] not: Filter }
interface Named { name: String }
type Pet implements Named { name: String kind: Kind owner: Owner }
type Owner implements Named { name: String since: Day }
union Thing = Pet | Owner
scalar Day
"""


def words(text: str) -> set[str]:
    """The words of a text or of a name, singular and plural alike."""
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    return {word.rstrip("s") for word in re.findall(r"[a-z]+", parted.lower())}


def described() -> Iterator[tuple[str, str, str | None]]:
    """Each type, field, argument, input field and enum value: what it is called, its name in words, its description."""
    for named in published_schema().type_map.values():
        if is_introspection_type(named) or is_specified_scalar_type(named):
            continue
        yield named.name, named.name, named.description
        yield from _parts(named)


def _parts(named: GraphQLNamedType) -> Iterator[tuple[str, str, str | None]]:
    values: dict[str, Any] = getattr(named, "values", None) or getattr(named, "fields", None) or {}
    for name, part in values.items():
        yield f"{named.name}.{name}", f"{named.name} {name}", part.description
        for argument, given in getattr(part, "args", {}).items():
            yield f"{named.name}.{name}({argument}:)", f"{named.name} {name} {argument}", given.description


def test_every_description_adds_to_the_name() -> None:
    seen = list(described())
    assert {coordinate for coordinate, _, _ in seen} == all_coordinates(published_schema())
    empty = [
        f"{coordinate}: {text!r}"
        for coordinate, name, text in seen
        if not text or not words(text) - words(SAYS_NOTHING) - words(name)
    ]
    assert empty == []


def test_every_custom_scalar_has_its_specification() -> None:
    ours = [
        named
        for named in published_schema().type_map.values()
        if isinstance(named, GraphQLScalarType) and not is_specified_scalar_type(named)
    ]
    assert len(ours) >= 4
    assert [named.name for named in ours if not str(named.specified_by_url).startswith("https://")] == []


def met(document: str, answer: dict[str, Any], **variables: Any) -> set[str]:
    """What one request exercises of the toy schema."""
    exercised = SchemaCoverage(build_schema(TOY))
    exercised.answer(document, variables, {"data": answer})
    return exercised.met


def test_received_fields_count_and_fields_only_requested_do_not() -> None:
    document = "{pet{name owner{name}}}"
    assert met(document, {"pet": {"name": "Tom", "owner": None}}) == {
        "Query", "Query.pet", "Pet", "Named", "Pet.name", "Named.name", "Pet.owner"
    }  # fmt: skip
    assert met(document, {"pet": None}) == {"Query", "Query.pet"}
    refused = SchemaCoverage(build_schema(TOY))
    refused.answer(document, {}, {"data": None, "errors": [{"message": "No."}]})
    assert refused.met == set()


def test_given_values_count_in_documents_and_in_variables() -> None:
    assert "Query.pet(id:)" in met('{pet(id:"1"){name}}', {"pet": None})
    assert "Query.pet(id:)" in met("query($i:ID){pet(id:$i){name}}", {"pet": None}, i="1")
    assert "Query.pet(id:)" not in met("query($i:ID){pet(id:$i){name}}", {"pet": None})
    nested = {"not": {"kind": ["DOG"]}}
    found = met("query($f:Filter){pets(filter:$f){name}}", {"pets": []}, f=nested)
    assert {"Filter", "Filter.not", "Filter.kind", "Kind", "Kind.DOG"} < found
    assert not found & {"Kind.CAT", "Filter.name", "Pet"}
    assert "Kind.CAT" not in met("{pet{name}}", {"pet": None})


@pytest.mark.parametrize(
    "document, thing",
    [
        ("{any{__typename ... on Owner{since}}}", {"__typename": "Owner", "since": "2026-01-01"}),
        ("{any{... on Owner{since} ... on Pet{kind}}}", {"since": "2026-01-01"}),
        ("{any{...O}} fragment O on Owner{since}", {"since": "2026-01-01"}),
    ],
)
def test_of_a_union_that_member_counts_that_came(document: str, thing: dict[str, Any]) -> None:
    found = met(document, {"any": thing})
    assert {"Thing", "Owner", "Owner.since", "Day"} < found
    assert not found & {"Pet", "Pet.kind"}


def test_an_answer_after_the_first_of_a_document_still_counts() -> None:
    exercised = SchemaCoverage(build_schema(TOY))
    for kind in ("CAT", "CAT", "DOG"):
        exercised.answer("{pet{kind}}", {}, {"data": {"pet": {"kind": kind}}})
    assert {"Kind.CAT", "Kind.DOG"} < exercised.met


def test_the_report_counts_and_names_what_is_missing() -> None:
    whole = all_coordinates(published_schema())
    said = report_lines(whole, ["Email.subject", "Role.ADMIN"])
    assert said[-2:] == ["never exercised: Email.subject", "never exercised: Role.ADMIN"]
    counts = {line[:13].strip(): line[13:] for line in said[:5]}
    assert [name for name, count in counts.items() if not count.endswith("100.00 %")] == ["fields", "enum values"]
    assert sum(int(count.split(" of ")[1].split()[0]) for count in counts.values()) == len(whole)
