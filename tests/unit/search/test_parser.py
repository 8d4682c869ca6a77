"""What a filter may say: each rule from both sides, with every problem at its place."""

from typing import Any

import pytest

from command_center.errors import UserErrors
from command_center.ids import encode
from command_center.search.filter_ast import NO_KEY, EngagementCondition, Filter, Ids, leaves
from command_center.search.parser import FilterLimits, parse_filter, parse_stored_filter
from models.enums import EngagementKind, EngagementVerdict, UserErrorCode


def problems(raw: Any, **arguments: Any) -> list[tuple[str, str]]:
    """The place and the code of everything wrong; empty where nothing is."""
    try:
        parse_filter(raw, **arguments)
    except UserErrors as refusal:
        return [(".".join(problem.path), problem.code.value) for problem in refusal.errors]
    return []


def condition(**fields: Any) -> dict[str, Any]:
    return {"engagement": [{"kind": "CLICK", **fields}]}


def only_condition(**fields: Any) -> EngagementCondition:
    [leaf] = leaves(parse_filter(condition(**fields)))
    assert isinstance(leaf, EngagementCondition)
    return leaf


def nested(depth: int, key: str = "not") -> dict[str, Any]:
    raw: dict[str, Any] = {}
    for _ in range(depth - 1):
        raw = {key: raw if key == "not" else [raw]}
    return raw


def ids(count: int) -> list[str]:
    return [encode("Person", key) for key in range(count)]


FINE: list[dict[str, Any]] = [
    {},
    {"campaign": None, "everySender": None, "all": None},
    {"all": [], "any": [], "not": {}, "campaign": [], "folder": [], "engagement": []},
    {"subject": {}, "sentAt": {}},
    {"subject": {"equals": "x" * 1_000, "contains": None}},
    {"sentAt": {"within": "PT59S", "olderThan": "P730D", "from": "2026-01-01T00:00:00Z", "until": None}},
    condition(atLeast=0),
    condition(atLeast=2, atMost=2),
    condition(url={"contains": "x"}, verdict=["HUMAN", "HUMAN"]),
    condition(within=None, url=None, verdict=None),
    nested(8),
    nested(8, "any"),
    {"all": [{"success": True}] * 64},
    {"person": ids(1_000)},
    {"person": ["no id", encode("Email", 1), encode("Person", 1), encode("Person", 1)]},
]

WRONG: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    *(
        ({"sentAt": {"within": span}}, [("sentAt.within", "INVALID")])
        for span in ("PT60S", "P1M", "P1W", "P0D", "soon", 3)
    ),
    ({"sentAt": {"from": "2026-01-01T00:00:00"}}, [("sentAt.from", "INVALID")]),
    ({"sentAt": {"until": 5}}, [("sentAt.until", "INVALID")]),
    (condition(atLeast=-1), [("engagement.0.atLeast", "INVALID")]),
    (condition(atMost=-1), [("engagement.0.atMost", "INVALID")]),
    (condition(atLeast=3, atMost=2), [("engagement.0.atLeast", "INVALID")]),
    (condition(atLeast=True), [("engagement.0.atLeast", "INVALID")]),
    (condition(atLeast=2**31), [("engagement.0.atLeast", "INVALID")]),
    (condition(atLeast=1.0), [("engagement.0.atLeast", "INVALID")]),
    (condition(verdict=[]), [("engagement.0.verdict", "INVALID")]),
    (condition(verdict=["ROBOT"]), [("engagement.0.verdict.0", "INVALID")]),
    (condition(afterSend="PT1.5H"), [("engagement.0.afterSend", "INVALID")]),
    ({"engagement": [{"kind": "VIEW", "url": {"contains": "x"}}]}, [("engagement.0.url", "INVALID")]),
    ({"engagement": [{"kind": "REPLY", "url": {}}]}, [("engagement.0.url", "INVALID")]),
    ({"engagement": [{"atLeast": 1}]}, [("engagement.0.kind", "INVALID")]),
    ({"engagement": [None]}, [("engagement.0", "INVALID")]),
    ({"subject": {"equals": ""}}, [("subject.equals", "INVALID")]),
    ({"subject": {"contains": "a\0b"}}, [("subject.contains", "INVALID")]),
    ({"subject": {"contains": "a\ud800"}}, [("subject.contains", "INVALID")]),
    ({"subject": {"startsWith": "x" * 1_001}}, [("subject.startsWith", "TOO_LONG")]),
    ({"subject": {"like": "x"}}, [("subject.like", "INVALID")]),
    ({"subject": "x"}, [("subject", "INVALID")]),
    ({"subject": {"endsWith": 1}}, [("subject.endsWith", "INVALID")]),
    ({"person": ids(1_001)}, [("person", "INVALID")]),
    ({"person": [1]}, [("person.0", "INVALID")]),
    ({"person": "x"}, [("person", "INVALID")]),
    ({"folder": ["DELIVERED", "INBOX"]}, [("folder.1", "INVALID")]),
    ({"folder": [1]}, [("folder.0", "INVALID")]),
    ({"success": 1}, [("success", "INVALID")]),
    ({"everySender": "yes"}, [("everySender", "INVALID")]),
    ({"any": {}}, [("any", "INVALID")]),
    ({"any": [None, {"not": []}]}, [("any.0", "INVALID"), ("any.1.not", "INVALID")]),
    ({"colour": None}, [("colour", "INVALID")]),
    (nested(9), [(".".join(["not"] * 8), "LIMIT_REACHED")]),
    (nested(9, "any"), [(".".join(["any", "0"] * 8), "LIMIT_REACHED")]),
    ({"all": [{"success": True}] * 65}, [("", "LIMIT_REACHED")]),
    ({"any": [{"engagement": [{"kind": "VIEW"}] * 33, "success": True}] * 2}, [("", "LIMIT_REACHED")]),
]


@pytest.mark.parametrize("raw", FINE, ids=lambda raw: str(raw)[:60])
def test_a_filter_that_keeps_the_rules_is_fine(raw: dict[str, Any]) -> None:
    assert problems(raw) == []


@pytest.mark.parametrize("raw, expected", WRONG, ids=lambda value: str(value)[:60])
def test_a_filter_that_breaks_one_is_refused_at_its_place(raw: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert problems(raw) == expected


@pytest.mark.parametrize("raw", [None, [], "x", 1])
def test_non_objects_are_refused(raw: Any) -> None:
    assert problems(raw) == [("", "INVALID")]


def test_all_problems_come_at_once_under_the_callers_path() -> None:
    raw = {
        "sentAt": {"within": "PT60S"},
        "any": [{"subject": {"equals": ""}}],
        "engagement": [{"kind": "VIEW"}, {"kind": "VIEW", "atLeast": -1, "verdict": []}],
    }
    assert problems(raw, path=("filter",)) == [
        ("filter.any.0.subject.equals", "INVALID"),
        ("filter.sentAt.within", "INVALID"),
        ("filter.engagement.1.atLeast", "INVALID"),
        ("filter.engagement.1.verdict", "INVALID"),
    ]


def test_a_limit_reached_is_named_with_its_number() -> None:
    with pytest.raises(UserErrors, match="at most 2 levels") as depth:
        parse_filter(nested(3), limits=FilterLimits(depth=2))
    with pytest.raises(UserErrors, match="at most 1 conditions"):
        parse_filter({"success": True, "campaign": []}, limits=FilterLimits(leaves=1))
    assert depth.value.errors[0].code is UserErrorCode.LIMIT_REACHED


def test_no_depth_of_input_exhausts_the_stack() -> None:
    assert problems(nested(50_000)) == [(".".join(["not"] * 8), "LIMIT_REACHED")]


def test_a_stored_filter_outlives_lower_limits() -> None:
    assert parse_stored_filter(nested(9)) != Filter()


def test_the_defaults_of_a_condition_are_filled_in() -> None:
    assert (only_condition().at_least, only_condition().at_most) == (1, None)
    assert only_condition().verdicts == (EngagementVerdict.HUMAN,)
    assert only_condition().kind is EngagementKind.CLICK
    assert (only_condition(atMost=2).least, only_condition(atMost=2).at_most) == (0, 2)


def test_ids_keep_their_texts_and_bad_ones_match_no_row() -> None:
    texts = (encode("Person", 5), encode("User", 5), "?")
    [leaf] = leaves(parse_filter({"person": list(texts)}))
    assert leaf == Ids("person", (5, NO_KEY, NO_KEY), texts)
    assert isinstance(leaf, Ids)
    assert leaf.keys == {5}


def test_a_leaf_knows_its_place_and_is_equal_elsewhere() -> None:
    raw = {"any": [{"engagement": [{"kind": "VIEW"}, {"kind": "VIEW"}]}], "success": True}
    first, second, last = leaves(parse_filter(raw))
    assert [leaf.path for leaf in (first, second, last)] == [
        ("any", "0", "engagement", "0"),
        ("any", "0", "engagement", "1"),
        ("success",),
    ]
    assert first == second
    assert hash(first) == hash(second)
