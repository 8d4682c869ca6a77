"""Moving boundaries, to the microsecond: when a verdict changes by the clock alone, and that the clock looks there."""

from dataclasses import replace
from typing import Any

import pytest

from command_center.search.facts import Event
from command_center.search.index.time_boundaries import TimeKey, crossed_range, time_keys
from command_center.search.parser import parse_filter
from command_center.search.predicate import holds
from models.enums import EngagementKind, EngagementVerdict
from tests.support.generated_filters import EMPTY, NOW, PERSON, World

HOUR = 3_600_000_000
DATED = replace(EMPTY, created_at=NOW, sent_at=NOW, scheduled_at=NOW, failed_at=NOW)
FACTS = replace(
    World({1: PERSON}, (DATED,)).facts(DATED), events=(Event(EngagementKind.VIEW, EngagementVerdict.HUMAN, NOW),)
)


def changes(raw: dict[str, Any]) -> list[int]:
    """The first moments, from `NOW`, at which the verdict is another than one microsecond before."""
    filter = parse_filter(raw)
    edges = sorted({NOW + offset + step for offset in (-HOUR, 0, HOUR) for step in (-1, 0, 1, 2)})
    return [now - NOW for now in edges if holds(filter, FACTS, now) is not holds(filter, FACTS, now - 1)]


@pytest.mark.parametrize("field", ["createdAt", "sentAt", "failedAt"])
def test_a_date_exactly_a_span_ago_is_still_within_it(field: str) -> None:
    assert changes({field: {"within": "PT1H"}}) == [HOUR + 1]
    assert holds(parse_filter({field: {"within": "PT1H"}}), FACTS, NOW + HOUR)


@pytest.mark.parametrize("field", ["createdAt", "sentAt", "scheduledAt", "failedAt"])
def test_a_date_exactly_a_span_ago_is_not_yet_older(field: str) -> None:
    assert changes({field: {"olderThan": "PT1H"}}) == [HOUR + 1]
    assert not holds(parse_filter({field: {"olderThan": "PT1H"}}), FACTS, NOW + HOUR)


def test_the_next_hour_has_both_its_ends() -> None:
    assert changes({"scheduledAt": {"within": "PT1H"}}) == [-HOUR, 1]


def test_an_event_exactly_a_duration_ago_counts_but_no_older_one() -> None:
    assert changes({"engagement": [{"kind": "VIEW", "within": "PT1H"}]}) == [HOUR + 1]


def test_the_third_day_ends_and_the_silent_join() -> None:
    raw = {"sentAt": {"olderThan": "PT1H"}, "engagement": [{"kind": "REPLY", "atMost": 0, "afterSend": "PT1H"}]}
    assert changes(raw) == [HOUR + 1]


def test_fixed_dates_and_after_send_ask_nothing_of_the_clock() -> None:
    raw = {"sentAt": {"from": "2026-01-01T00:00:00Z"}, "engagement": [{"kind": "REPLY", "afterSend": "P3D"}]}
    assert time_keys(parse_filter(raw)) == frozenset()


def test_every_relative_date_is_a_key_however_deep() -> None:
    raw = {
        "sentAt": {"olderThan": "PT1H", "within": "P1D"},
        "any": [{"not": {"scheduledAt": {"within": "PT1H"}}}, {"engagement": [{"kind": "VIEW", "within": "PT1H"}]}],
    }
    assert time_keys(parse_filter(raw)) == {
        TimeKey("sent_at", HOUR),
        TimeKey("sent_at", 24 * HOUR),
        TimeKey("scheduled_at", -HOUR),
        TimeKey("scheduled_at", 0),
        TimeKey("occurred_at", HOUR),
    }


@pytest.mark.parametrize(
    "raw",
    [
        {"sentAt": {"within": "PT1H"}},
        {"sentAt": {"olderThan": "PT1H"}},
        {"scheduledAt": {"within": "PT1H"}},
        {"engagement": [{"kind": "VIEW", "within": "PT1H"}]},
    ],
)
def test_a_tick_of_one_microsecond_finds_what_it_crosses(raw: dict[str, Any]) -> None:
    for change in changes(raw):
        now = NOW + change
        ranges = [crossed_range(key, now - 1, now) for key in time_keys(parse_filter(raw))]
        assert any(low <= NOW <= high for low, high in ranges)
        assert all(high - low <= 1 for low, high in ranges)


def test_after_send_counts_up_to_the_edge_and_has_no_beginning() -> None:
    condition = parse_filter({"engagement": [{"kind": "VIEW", "afterSend": "PT1H"}]})
    for late, counts in ((-10 * HOUR, True), (HOUR, True), (HOUR + 1, False)):
        event = Event(EngagementKind.VIEW, EngagementVerdict.HUMAN, NOW + late)
        assert holds(condition, replace(FACTS, events=(event,)), NOW) is counts
    assert not holds(condition, replace(FACTS, sent_at=None), NOW)
