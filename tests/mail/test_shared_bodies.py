"""A body that is prepared once for many says to each what it would say if it were prepared for that person alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.actions import template_fields
from command_center.actions.markup import filling, shared_bodies
from command_center.actions.markup.filling import with_values
from command_center.actions.markup.prepared import PreparedBody, prepare
from command_center.actions.markup.shared_bodies import prepare_shared

PIECES = st.sampled_from(
    [
        *(
            "<p>",
            "</p>",
            "<b>",
            "</b>",
            "<div>",
            "</div>",
            "<ul><li>",
            "</ul>",
            "<pre>",
            "</pre>",
            "<br>",
            "<table><td>",
        ),
        *(
            "{{first_name}}",
            "{{title}}",
            "{{company}}",
            '{{company | default: "us"}}',
            '{{title | default: "<i>x</i>"}}',
        ),
        *("Dear ", " ", "\n", "hello", "a & b", "&lt;", "&nbsp;", " > ", "https://ex.example/x"),
        *('<a href="https://ex.example/{{company}}?n={{first_name}}">', '<a href="{{company}}">', "</a>"),
        *('<a href="https://{{company}}.example/">', '<a href="mailto:x@y.example?subject={{company}}">'),
        *('<img src="https://ex.example/{{title}}.png" alt="{{company}}">', '<p title="{{first_name}}">'),
        *("<a href=https://ex.example/{{company}}>https://ex.example/{{company}}</a>", "<ol><li value={{title}}>"),
    ]
)
VALUES = st.sampled_from(
    [
        "",
        "Acme",
        "A & B",
        "<b>x</b>",
        "acme.example",
        "O\u2019Neil  Sons",
        "\u05d0\u05d1",
        ">",
        "9",
        "M\u00fcller/Co?",
        "x\u00a0y",
    ]
)


def prepared_both_ways(body: str, known: dict[str, str]) -> tuple[PreparedBody, PreparedBody]:
    template = filling.cached_template(body)
    values = list(zip(template.fields, template.values(known), strict=True))
    shared = prepare_shared(body, [(field.start, field.end, value) for field, value in values])
    return shared, prepare(with_values(body, values))


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=12).map("".join), VALUES, VALUES, VALUES)
def test_shared_bodies_equal_bodies_of_their_own(body: str, first: str, title: str, company: str) -> None:
    known = dict(zip(template_fields.FIELD_NAMES, (first, "", title, company, "Sam"), strict=True))
    shared, own = prepared_both_ways("<p>Hi</p>" + body, known)
    assert (shared.html(str), shared.text, shared.sheet) == (own.html(str), own.text, own.sheet)


@pytest.mark.parametrize("company", ["Acme", "Bolt & Sons", "<b> Bo"])
def test_a_body_is_prepared_once_for_ordinary_values(company: str) -> None:
    body = '<p>Hello {{first_name}} of <a href="https://ex.example/?c={{company}}">{{company}}</a>.</p>'
    prepared_both_ways(
        body, {**dict.fromkeys(template_fields.FIELD_NAMES, ""), "first_name": "Ada", "company": "First One"}
    )
    before = shared_bodies._prepared.cache_info().misses
    shared, own = prepared_both_ways(
        body, {**dict.fromkeys(template_fields.FIELD_NAMES, ""), "first_name": "Bo", "company": company}
    )
    assert shared.html(str) == own.html(str)
    if company != "Acme":
        # The link of Acme shows what is in its address, so it has the same word for both.
        assert shared_bodies._prepared.cache_info().misses == before


def test_plain_text_is_prepared_with_its_values() -> None:
    known = {**dict.fromkeys(template_fields.FIELD_NAMES, ""), "company": "A & <b>x</b>"}
    shared, _ = prepared_both_ways("At {{company}}: https://ex.example/", known)
    assert (shared.html(str), shared.text) == (
        '<div>At A &amp; &lt;b&gt;x&lt;/b&gt;: <a href="https://ex.example/">https://ex.example/</a></div>',
        "At A & <b>x</b>: https://ex.example/\n",
    )
    assert prepare_shared("a < b", []) == prepare_shared("a < b", []) == prepare("a < b")
