"""Filters in English, and explanations leaf by leaf."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from command_center.ids import encode
from command_center.search.describe import describe_filter
from command_center.search.explain import explain
from command_center.search.facts import Event, Facts
from command_center.search.filter_ast import leaves
from command_center.search.parser import parse_filter
from command_center.search.predicate import holds
from models.enums import EngagementKind, EngagementVerdict
from tests.support.generated_filters import EMPTY, NOW, PERSON, World, facts, filters
from tests.support.law_settings import CASES

NAMES = {("Campaign", 1): "Spring", ("User", 2): "Bo", ("Person", 3): "Ana", ("Group", 4): "VIPs"}
OWN = "The owner's emails"


@pytest.mark.parametrize(
    "raw, expected",
    [
        ({}, f"{OWN}."),
        ({"everySender": True}, "Emails from any sender."),
        ({"sender": [encode("User", 2)]}, "Emails from Bo."),
        (
            {
                "campaign": [encode("Campaign", 1)],
                "engagement": [{"kind": "VIEW"}, {"kind": "CLICK"}, {"kind": "REPLY", "atMost": 0}],
            },
            f"{OWN}, in campaign “Spring”, with at least 1 view, with at least 1 click, with no reply.",
        ),
        ({"campaign": [encode("Campaign", 9)]}, f"{OWN}, in campaign something not visible."),
        ({"person": [encode("Person", 3)], "personGroup": []}, f"{OWN}, to Ana, to people in group none."),
        ({"folder": ["IN_PROGRESS", "SPAM"], "success": False},
         f"{OWN}, in In Progress or Spam, not marked as a success."),
        ({"sentAt": {"olderThan": "P3D"}, "scheduledAt": {"within": "PT1H"}},
         f"{OWN}, sent more than 3 days ago, scheduled within the next 1 hour."),
        ({"createdAt": {"from": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}},
         f"{OWN}, created at or after 2026-01-01T00:00:00Z and before 2026-02-01T00:00:00Z."),
        ({"subject": {"contains": "x", "endsWith": "y"}}, f"{OWN}, whose subject contains “x” and ends with “y”."),
        ({"any": [{"success": True}, {"not": {"sendKind": ["SELECT_AND_SEND"]}}]},
         f"{OWN}, either (marked as a success or not (sent as Select and Send))."),
        ({"all": [{"success": True, "folder": ["SPAM"]}, {}]},
         f"{OWN}, all of (in Spam, marked as a success; whatever they are)."),
        ({"any": []}, f"{OWN}, which none is."),
        ({"engagement": [{"kind": "VIEW", "atLeast": 2, "atMost": 3, "verdict": ["MACHINE", "SELF"], "within": "P1D"}]},
         f"{OWN}, with 2 to 3 views by a machine or the sender in the last 1 day."),
        ({"engagement": [{"kind": "CLICK", "atLeast": 2, "atMost": 2, "url": {"contains": "x"}, "afterSend": "P3D"}]},
         f"{OWN}, with exactly 2 clicks on a link that contains “x” up to 3 days after it was sent."),
    ],
)  # fmt: skip
def test_a_filter_reads_as_a_sentence(raw: dict[str, Any], expected: str) -> None:
    assert describe_filter(parse_filter(raw), NAMES) == expected


def test_an_explanation_has_a_line_for_each_leaf() -> None:
    email = World({1: PERSON}, (EMPTY,)).facts(EMPTY)
    view = Event(EngagementKind.VIEW, EngagementVerdict.HUMAN, NOW)
    email = replace(email, campaign_id=1, groups=frozenset({4}), events=(view, view), company="acme")
    raw = {
        "campaign": [encode("Campaign", 9)],
        "personGroup": [encode("Group", 4)],
        "company": {"contains": "AC"},
        "sentAt": {"olderThan": "P3D"},
        "any": [{"engagement": [{"kind": "VIEW"}, {"kind": "REPLY", "afterSend": "P1D"}]}],
    }
    lines = {line.path: (line.holds, line.actual) for line in explain(parse_filter(raw), email, NOW, NAMES)}
    assert lines == {
        ("campaign",): (False, "Spring"),
        ("personGroup",): (True, "VIPs"),
        ("company",): (True, "acme"),
        ("sentAt",): (False, "never"),
        ("any", "0", "engagement", "0"): (True, "has 2"),
        ("any", "0", "engagement", "1"): (False, "not sent"),
    }


@pytest.mark.parametrize(
    "raw, wanted, actual",
    [
        ({"kind": "CLICK"}, "clicks by a person: at least 1", "has 0"),
        ({"kind": "VIEW", "atLeast": 2, "atMost": 5, "within": "P1D"},
         "views by a person in the last 1 day: 2 to 5", "has 1"),
        ({"kind": "VIEW", "atMost": 0, "verdict": ["MACHINE", "SELF"]},
         "views by a machine or the sender: none", "has 0"),
        ({"kind": "VIEW", "atLeast": 0}, "views by a person: any number", "has 1"),
        ({"kind": "REPLY", "atMost": 1, "afterSend": "P3D"},
         "replies by a person up to 3 days after it was sent: at most 1", "not sent"),
    ],
)  # fmt: skip
def test_an_engagement_condition_shows_its_bounds_and_the_counts(raw: dict[str, Any], wanted: str, actual: str) -> None:
    view = Event(EngagementKind.VIEW, EngagementVerdict.HUMAN, NOW)
    email = replace(World({1: PERSON}, (EMPTY,)).facts(EMPTY), events=(view,))
    (line,) = explain(parse_filter({"engagement": [raw]}), email, NOW, {})
    assert (line.summary, line.actual) == (wanted, actual)


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(filters(), facts())
def test_every_filter_can_be_described_and_explained(raw: dict[str, Any], email: Facts) -> None:
    filter = parse_filter(raw)
    assert describe_filter(filter, {}).endswith(".")
    lines = explain(filter, email, NOW, {})
    assert [line.path for line in lines] == [leaf.path for leaf in leaves(filter)]
    if not raw.keys() & {"any", "not", "all"}:
        assert all(line.holds for line in lines) is holds(filter, email, NOW)
