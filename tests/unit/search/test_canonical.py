"""The canonical form: defaults written out, order kept, and saving it again changes nothing."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings

from command_center.ids import encode
from command_center.search.canonical import to_value
from command_center.search.parser import FIELDS, parse_filter, parse_stored_filter
from tests.support.generated_filters import filters
from tests.support.law_settings import CASES


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(filters())
def test_a_returned_filter_can_be_saved_without_a_change(raw: dict[str, Any]) -> None:
    filter = parse_filter(raw)
    value = to_value(filter)
    stored = json.loads(json.dumps(value))
    assert parse_filter(stored) == parse_stored_filter(stored) == filter
    assert to_value(parse_filter(stored)) == value


def test_defaults_are_written_out_and_nulls_left_out() -> None:
    raw = {"engagement": [{"atMost": None, "kind": "VIEW"}, {"kind": "REPLY", "atMost": 0}], "campaign": None}
    assert to_value(parse_filter(raw)) == {
        "engagement": [
            {"kind": "VIEW", "atLeast": 1, "verdict": ["HUMAN"]},
            {"kind": "REPLY", "atMost": 0, "verdict": ["HUMAN"]},
        ]
    }


def test_fields_have_the_schemas_order_and_lists_their_own() -> None:
    every: dict[str, Any] = {name: [] for name in FIELDS}
    every |= {name: {} for name in ("not", "subject", "address", "company")}
    every |= {name: {} for name in ("createdAt", "sentAt", "scheduledAt", "failedAt")}
    every |= {"everySender": True, "success": False, "folder": ["SPAM", "DRAFT", "SPAM"]}
    value = to_value(parse_filter(dict(reversed(every.items()))))
    assert list(value) == list(FIELDS)
    assert value == every


def test_the_inner_fields_are_in_order_too() -> None:
    condition = {"verdict": ["SELF"], "url": {"endsWith": "b", "equals": "a"}, "afterSend": "P1D", "within": "PT1H"}
    raw = {"engagement": [{**condition, "atMost": 2, "atLeast": 1, "kind": "CLICK"}]}
    conditions = to_value(parse_filter(raw))["engagement"]
    assert isinstance(conditions, list)
    [value] = conditions
    assert list(value) == ["kind", "atLeast", "atMost", "within", "afterSend", "url", "verdict"]
    assert list(value["url"]) == ["equals", "endsWith"]


def test_datetimes_become_utc_and_durations_and_texts_are_kept() -> None:
    raw = {"subject": {"equals": "Straße"}, "sentAt": {"olderThan": "PT24H", "from": "2026-01-01T01:00:00.50+01:00"}}
    assert to_value(parse_filter(raw)) == {
        "subject": {"equals": "Straße"},
        "sentAt": {"from": "2026-01-01T00:00:00.500000Z", "olderThan": "PT24H"},
    }


def test_ids_are_returned_as_they_came() -> None:
    texts = [encode("Campaign", 2), encode("Campaign", 1), encode("Campaign", 2), "gone"]
    assert to_value(parse_filter({"campaign": texts})) == {"campaign": texts}
