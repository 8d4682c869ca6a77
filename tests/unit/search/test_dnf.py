"""The normal form: what it makes of a filter, where it stops, and that it means what the filter means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.ids import encode
from command_center.search.facts import Facts
from command_center.search.filter_ast import All, Filter
from command_center.search.index.dnf import MAX_CONJUNCTIONS, conjunctions
from command_center.search.parser import parse_filter
from command_center.search.predicate import holds
from tests.support.generated_filters import facts, filters, moments
from tests.support.law_settings import law_settings

VIEWED = {"kind": "VIEW", "atLeast": 2}
CAMPAIGN, PERSON = {"campaign": [encode("Campaign", 1)]}, {"person": [encode("Person", 1)]}


def two_ways(number: int) -> dict[str, Any]:
    return {"any": [{"subject": {"contains": f"a{number}"}}, {"subject": {"contains": f"b{number}"}}]}


@pytest.mark.parametrize(
    "raw, same",
    [
        ({"all": [CAMPAIGN, PERSON]}, {**CAMPAIGN, **PERSON}),
        ({"not": {"any": [{"success": True}, CAMPAIGN]}}, {"success": False, "not": CAMPAIGN}),
        ({"not": {"not": CAMPAIGN}}, CAMPAIGN),
        ({"campaign": [*CAMPAIGN["campaign"], "no id"]}, CAMPAIGN),
        ({"not": {"folderGroup": ["SENT", "UNDELIVERED"]}}, {"folder": ["SCHEDULED", "IN_PROGRESS", "DRAFT"]}),
        ({"subject": {"contains": "STRASSE"}}, {"subject": {"contains": "straße"}}),
        ({"engagement": [VIEWED, {"kind": "VIEW", "atMost": 5}]}, {"engagement": [{**VIEWED, "atMost": 5}]}),
        ({"not": {"engagement": [VIEWED]}}, {"engagement": [{"kind": "VIEW", "atMost": 1}]}),
        ({"engagement": [{"kind": "VIEW", "atLeast": 0}]}, {}),
        ({"engagement": [VIEWED, {"kind": "VIEW", "atMost": 1}]}, {"any": []}),
        ({"any": [CAMPAIGN, {"any": []}]}, CAMPAIGN),
        ({"not": {}}, {"campaign": []}),
    ],
)
def test_equivalent_filters_have_the_same_form(raw: dict[str, Any], same: dict[str, Any]) -> None:
    assert conjunctions(parse_filter(raw)) == conjunctions(parse_filter(same))


def test_a_form_over_the_limit_of_conjunctions_is_not_expanded() -> None:
    fits, explodes = ({"all": [two_ways(number) for number in range(ways)]} for ways in (4, 5))
    assert len(conjunctions(parse_filter(fits))) == MAX_CONJUNCTIONS == 16
    (whole,) = conjunctions(parse_filter(explodes))
    assert whole == {All((parse_filter(explodes),))}


@law_settings
@given(filters(), facts(), moments())
def test_the_form_holds_when_the_filter_does(raw: dict[str, Any], email: Facts, now: int) -> None:
    form = conjunctions(parse_filter(raw))
    assert any(holds(Filter(tuple(each)), email, now) for each in form) is holds(parse_filter(raw), email, now)


@law_settings
@given(st.lists(filters(depth=2), min_size=3, max_size=6), facts(), moments())
def test_the_form_holds_at_the_limit_of_conjunctions(raws: list[dict[str, Any]], email: Facts, now: int) -> None:
    for raw in ({"all": [{"any": raws[:3]}, {"any": raws[3:]}]}, {"not": {"all": raws}}):
        form = conjunctions(parse_filter(raw))
        assert len(form) <= MAX_CONJUNCTIONS
        assert any(holds(Filter(tuple(each)), email, now) for each in form) is holds(parse_filter(raw), email, now)
