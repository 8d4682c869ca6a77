"""From a text to an operation: what is refused, by which name, and what is kept."""

import re
from collections.abc import Callable

import pytest
from graphql import GraphQLError, get_introspection_query
from graphql.language import OperationType

from command_center.graphql_engine.documents import Documents, Rejected
from command_center.graphql_engine.limits import DocumentLimits
from command_center.graphql_engine.lru_cache import LruCache
from command_center.server.schema_hints import HINTS
from tests.support.documentation import Page
from tests.support.paths import ROOT
from tests.support.schemas import product_schema

INTROSPECTION = get_introspection_query(
    descriptions=True,
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
)


@pytest.fixture
def documents() -> Documents:
    return Documents(product_schema(), DocumentLimits(), HINTS)


def refused(documents: Documents, text: str, name: str | None = None) -> list[GraphQLError]:
    with pytest.raises(Rejected) as caught:
        documents.prepare(text, name)
    assert caught.value.errors
    return caught.value.errors


def told(errors: list[GraphQLError]) -> list[tuple[object, str]]:
    return [((error.extensions or {}).get("code"), error.message) for error in errors]


def code(errors: list[GraphQLError]) -> object:
    (only,) = {(error.extensions or {}).get("code") for error in errors}
    return only


def tokens(count: int) -> str:
    return "{viewer{" + "id " * (count - 5) + "}}"


def depth(count: int) -> str:
    """Campaign, emails, nodes: three levels a turn, within a viewer's first email."""
    inner = "id"
    for level in range(count - 1, 0, -1):
        inner = ("emails{%s}", "nodes{%s}", "campaign{%s}")[(level - 1) % 3] % inner
    return "{" + inner + "}"


def aliases(count: int) -> str:
    return "{viewer{" + " ".join(f"a{each}:id" for each in range(count)) + "}}"


def root_fields(count: int) -> str:
    return "{" + "viewer{id} " * count + "}"


def directives(count: int) -> str:
    return "{viewer{" + "id@skip(if:false) " * count + "}}"


@pytest.mark.parametrize(
    "make,most,error,message",
    [
        (tokens, 2_000, "DOCUMENT_TOO_LARGE", "The document has more than 2,000 tokens; 2,000 are allowed."),
        (depth, 12, "TOO_DEEP", "The document nests 13 deep; 12 is allowed."),
        (aliases, 30, "TOO_MANY_ALIASES", "The document has 31 aliases; 30 are allowed."),
        (root_fields, 20, "TOO_MANY_ROOT_FIELDS", "The document has 21 root fields; 20 are allowed."),
        (directives, 50, "TOO_MANY_DIRECTIVES", "The document has 51 directives; 50 are allowed."),
    ],
)
def test_each_limit_allows_its_number_and_no_more(
    documents: Documents, make: Callable[[int], str], most: int, error: str, message: str
) -> None:
    assert documents.prepare(make(most), None).kind is OperationType.QUERY
    assert told(refused(documents, make(most + 1))) == [(error, message)]


def test_comments_are_counted_apart(documents: Documents) -> None:
    documents.prepare("#\n" * 2_000 + "{viewer{id}}", None)
    assert told(refused(documents, "#\n" * 2_001 + "{viewer{id}}")) == [
        ("DOCUMENT_TOO_LARGE", "The document has more than 2,000 comments; 2,000 are allowed.")
    ]


@pytest.mark.parametrize("begun", ["{viewer{id}}#", "{viewer{id}}#,", '{email(id:"'])
def test_lexing_is_limited_by_characters(documents: Documents, begun: str) -> None:
    end = "" if "#" in begun else '"){id}}'
    filled = begun + "x" * (100_000 - len(begun) - len(end)) + end
    documents.prepare(filled, None)
    assert told(refused(documents, " " + filled)) == [
        (
            "DOCUMENT_TOO_LARGE",
            "The document has 100,001 characters; 100,000 are allowed. Long values belong in the variables.",
        )
    ]


def test_the_limits_are_those_given() -> None:
    documents = Documents(
        product_schema(), DocumentLimits(tokens=30, depth=3, aliases=1, root_fields=2, directives=0), HINTS
    )
    for make, most in ((tokens, 30), (depth, 3), (aliases, 1), (root_fields, 2)):
        documents.prepare(make(most), None)
        refused(documents, make(most + 1))
    assert code(refused(documents, directives(1))) == "TOO_MANY_DIRECTIVES"


def test_all_exceeded_limits_are_reported(documents: Documents) -> None:
    text = "{" + "a:viewer@skip(if:false){id} " * 51 + "}"
    assert [each for each, _ in told(refused(documents, text))] == [
        "TOO_MANY_ALIASES",
        "TOO_MANY_ROOT_FIELDS",
        "TOO_MANY_DIRECTIVES",
    ]


def test_depth_goes_through_fragments_and_inline_fragments(documents: Documents) -> None:
    spread = "{campaigns{nodes{...Deep}}} fragment Deep on Campaign{...{...Deeper}} fragment Deeper on Campaign %s"
    documents.prepare(spread % depth(10), None)
    assert told(refused(documents, spread % depth(11))) == [("TOO_DEEP", "The document nests 13 deep; 12 is allowed.")]


def test_the_deepest_operation_counts(documents: Documents) -> None:
    assert code(refused(documents, f"query A{{viewer{{id}}}} query B{depth(13)}", "A")) == "TOO_DEEP"


def test_root_fields_are_counted_in_each_fragment_once(documents: Documents) -> None:
    text = "{...{...F} ...G viewer{id}} fragment G on Query{...F} fragment F on Query{" + "viewer{id} " * 19 + "%s}"
    documents.prepare(text % "", None)
    assert code(refused(documents, text % "viewer{id}")) == "TOO_MANY_ROOT_FIELDS"


def test_root_fields_are_counted_for_each_operation(documents: Documents) -> None:
    text = f"query A{root_fields(20)} query B{root_fields(20)} query C{{...F}} fragment F on Query{root_fields(20)}"
    documents.prepare(text, "C")


def test_aliases_and_directives_are_counted_everywhere(documents: Documents) -> None:
    few = Documents(product_schema(), DocumentLimits(aliases=2, directives=3), HINTS)
    text = (
        "query($x:Boolean!){a:viewer{...F @skip(if:$x) ...on User@skip(if:$x){id}}}"
        " fragment F on User{b:id name@skip(if:$x) %s}"
    )
    few.prepare(text % "", None)
    assert told(refused(few, text % "c:id address@include(if:$x)")) == [
        ("TOO_MANY_ALIASES", "The document has 3 aliases; 2 are allowed."),
        ("TOO_MANY_DIRECTIVES", "The document has 4 directives; 3 are allowed."),
    ]


def test_the_standard_introspection_query_passes(documents: Documents) -> None:
    prepared = documents.prepare(INTROSPECTION, None)
    assert 1_000 < documents.check_cost(prepared, {}) < 5_000


def test_introspection_in_rounds_is_refused(documents: Documents) -> None:
    assert told(refused(documents, "{__schema{types{fields{type{fields{type{fields{name}}}}}}}}")) == [
        ("GRAPHQL_VALIDATION_FAILED", "Maximum introspection depth exceeded")
    ]


@pytest.mark.parametrize("text", ["", "{", "{viewer{id}} }", "{viewer{id ..F}}", "{a b(}", "{" * 500])
def test_invalid_syntax_is_a_parse_error_with_its_location(documents: Documents, text: str) -> None:
    (error,) = refused(documents, text)
    assert code([error]) == "GRAPHQL_PARSE_FAILED"
    assert error.locations


def test_a_text_like_another_error_is_not_mistaken_for_it(documents: Documents) -> None:
    words = '"Document contains more than 2000 tokens. Parsing aborted."'
    assert code(refused(documents, f"{{viewer{{id}}}} {words} {{")) == "GRAPHQL_PARSE_FAILED"


@pytest.mark.parametrize(
    "text",
    [
        "{viewer{nam}}",
        "{viewr{id}}",
        "{email(idd:1){id}}",
        "{viewer{...on Userr{id}}}",
        "query($a:Strin){viewer{id}}",
        "{folder(name:DELIVERD){id}}",
        "{emails(filter:{folderr:[DRAFT]}){nodes{id}}}",
        "{viewer{...F}}",
        "{viewer{id@skp(if:true)}}",
    ],
)
def test_schema_errors_contain_no_suggestions(documents: Documents, text: str) -> None:
    errors = refused(documents, text)
    assert code(errors) == "GRAPHQL_VALIDATION_FAILED"
    assert not [error for error in errors if "Did you mean" in error.message]
    assert all(error.locations for error in errors)


def test_the_number_of_errors_is_limited() -> None:
    text = "{viewer{" + " ".join(f"f{each}" for each in range(100)) + "}}"
    for most in (1, 20):
        assert len(refused(Documents(product_schema(), DocumentLimits(), HINTS, errors=most), text)) == most


@pytest.mark.parametrize("text", ['{emails(first:"%s"){nodes{id}}}', "{viewer{id}} %s"])
def test_error_messages_quote_only_short_texts(documents: Documents, text: str) -> None:
    (error,) = refused(documents, text % ("x" * 10_000))
    assert len(error.message) == 501


def test_fields_that_cannot_be_merged_are_refused(documents: Documents) -> None:
    (error,) = refused(documents, "{viewer{a:id a:name}}")
    assert code([error]) == "GRAPHQL_VALIDATION_FAILED"
    assert error.message.startswith("Fields 'a' conflict because 'id' and 'name' are different fields.")
    assert error.locations
    assert [(place.line, place.column) for place in error.locations] == [(1, 9), (1, 14)]


def test_fragments_that_spread_themselves_are_refused_as_such(documents: Documents) -> None:
    for text in (
        "{campaigns{nodes{...A}}} fragment A on Campaign{emails{nodes{campaign{...A}}}}",
        "{...A} fragment A on Query{viewer{id} ...B} fragment B on Query{...A}",
    ):
        assert code(refused(documents, text)) == "GRAPHQL_VALIDATION_FAILED"


def test_an_operation_is_found_by_name_or_if_it_is_the_only_one(documents: Documents) -> None:
    two = "query A{viewer{id}} mutation B($id:ID!){campaignEnd(id:$id){campaign{id}}}"
    assert documents.prepare(two, "A").kind is OperationType.QUERY
    assert documents.prepare(two, "B").kind is OperationType.MUTATION
    one = "subscription C{folderCounts{folders{id}}}"
    assert documents.prepare(one, "C") is documents.prepare(one, None)
    assert documents.prepare(one, None).kind is OperationType.SUBSCRIPTION


@pytest.mark.parametrize(
    "text,name,message",
    [
        (
            "query A{viewer{id}} query B{viewer{id}}",
            None,
            "There are 2 operations: `operationName` has to say which of them is meant.",
        ),
        ("query A{viewer{id}}", "B", "The document has no operation of the name given in `operationName`."),
        ("{viewer{id}}", "", "The document has no operation of the name given in `operationName`."),
    ],
)
def test_an_operation_that_is_not_there_is_refused(
    documents: Documents, text: str, name: str | None, message: str
) -> None:
    assert told(refused(documents, text, name)) == [("OPERATION_NOT_FOUND", message)]


def test_the_last_512_documents_are_prepared_once(documents: Documents) -> None:
    def text(number: int) -> str:
        return f"query Q{number}{{viewer{{id}}}}"

    first, second = documents.prepare(text(0), None), documents.prepare(text(1), None)
    for number in range(2, 512):
        documents.prepare(text(number), None)
    assert documents.prepare(text(0), None) is first
    documents.prepare(text(512), None)
    assert documents.prepare(text(0), None) is first
    assert documents.prepare(text(1), None) is not second


def test_the_cache_is_limited_by_weight() -> None:
    kept: LruCache[str, int] = LruCache(max_entries=10, max_weight=100)
    for number, key in enumerate("abc"):
        kept.add(key, number, weight=40)
    assert [kept.get(key) for key in "abc"] == [None, 1, 2]
    kept.get("b")
    kept.add("d", 3, weight=60)
    assert [kept.get(key) for key in "bcd"] == [1, None, 3]
    kept.add("e", 4, weight=101)
    assert (len(kept), kept.weight) == (0, 0)


def operations_of_graphiql() -> list[str]:
    script = (ROOT / "command_center/api/graphiql/operations.js").read_text()
    return re.findall(r"`([^`]*)`", script.split("OPERATIONS", 1)[1])


def operations_of_applications() -> list[str]:
    """Each application's document as one text: a bundler adds the fragments in the same way."""
    return [
        " ".join(re.findall(r"`([^`]*\{[^`]*)`", (ROOT / "tests/clients" / name).read_text()))
        for name in ("documents.ts", "relay.js")
    ]


def operations_of_the_documentation() -> list[str]:
    pages = [Page.read(str(path.relative_to(ROOT))) for path in (ROOT / "docs").glob("*.md")]
    texts = [example.document for page in pages for example in page.examples()]
    return [text for text in texts if "subjekt" not in text and "TooDear" not in text]


@pytest.mark.parametrize(
    "texts", [operations_of_graphiql(), operations_of_applications(), operations_of_the_documentation()]
)
def test_what_applications_ask_is_far_from_every_limit(texts: list[str]) -> None:
    """With a half of what is allowed they pass, and with a tenth of the cost."""
    most = DocumentLimits()
    limits = DocumentLimits(most.tokens // 2, 11, most.aliases // 2, most.root_fields // 2, most.directives // 2)
    documents = Documents(product_schema(), limits, HINTS)
    asked = [
        (text, name)
        for text in texts
        for name in re.findall(r"^\s*(?:query|mutation|subscription)\s+(\w+)", text, re.MULTILINE)
    ]
    assert len(asked) > 3
    for text, name in asked:
        assert documents.prepare(text, name).estimate_cost({}) <= most.cost / 10
