"""The index's choice of keys, and what it answers for itself."""

from dataclasses import replace
from typing import Any

import pytest

from command_center.ids import encode
from command_center.search.facts import Event, Facts
from command_center.search.index.keys import index_keys
from command_center.search.index.search_index import Index
from command_center.search.index.time_boundaries import TimeKey
from command_center.search.parser import parse_filter
from command_center.search.scope import Owner, Scope, resolve_scope
from models.enums import EngagementKind, EngagementVerdict, FolderName
from tests.support.generated_filters import EMPTY, FACTS, TEAM

CAMPAIGN = {"campaign": [encode("Campaign", 1)]}
PEOPLE = {"person": [encode("Person", 1), encode("Person", 2)]}


@pytest.mark.parametrize(
    "raw, keys",
    [
        ({}, None),
        (CAMPAIGN, {("campaign", 1)}),
        ({**CAMPAIGN, **PEOPLE, "folder": ["SPAM"]}, {("person", 1), ("person", 2)}),
        ({**CAMPAIGN, "bulkSend": [encode("BulkSend", 3)]}, {("bulkSend", 3)}),
        ({**CAMPAIGN, "address": {"equals": "A@X.test"}}, {("address", "a@x.test")}),
        ({"address": {"contains": "A"}}, None),
        ({"not": CAMPAIGN}, None),
        ({"not": CAMPAIGN, "success": True}, {("success", 1)}),
        ({"any": [CAMPAIGN, PEOPLE]}, {("campaign", 1), ("person", 1), ("person", 2)}),
        ({"any": [CAMPAIGN, {}]}, None),
        ({"any": [CAMPAIGN, {"not": {}}], "folder": ["SPAM"]}, {("folder", FolderName.SPAM)}),
        ({"all": [CAMPAIGN, PEOPLE]}, {("person", 1), ("person", 2)}),
        ({"all": []}, None),
        ({"any": []}, set()),
        ({"campaign": [], "success": True}, set()),
        ({"campaign": ["no id"]}, set()),
        ({"folderGroup": ["SENT"]}, {("folder", FolderName.DELIVERED), ("folder", FolderName.ARCHIVED)}),
        ({"engagement": [{"kind": "REPLY"}]}, {("engaged", EngagementKind.REPLY)}),
        ({"engagement": [{"kind": "REPLY", "atMost": 1}, {"kind": "VIEW", "atLeast": 0}]}, None),
        ({"engagement": []}, None),
    ],
)
def test_a_filter_is_filed_under_its_narrowest_necessary_keys(raw: dict[str, Any], keys: set[Any] | None) -> None:
    assert index_keys(parse_filter(raw)) == keys


def index_of(**searches: tuple[dict[str, Any], frozenset[int] | None]) -> Index:
    index = Index()
    for number, (raw, senders) in searches.items():
        index.add(int(number.removeprefix("s")), Scope(TEAM, senders), parse_filter(raw))
    return index


def test_an_email_wakes_few_of_its_teams_searches() -> None:
    own, others = frozenset({EMPTY.sender_id}), frozenset({77})
    searches = {f"s{id}": ({"campaign": [encode("Campaign", id)]}, own) for id in range(1, 200)}
    index = index_of(**searches, s300=(CAMPAIGN, others), s301=(CAMPAIGN, None), s302=({}, own))
    assert index.candidates(FACTS) == {1, 301, 302}


def test_many_senders_with_many_ids_are_filed_by_sender_alone() -> None:
    people = {"person": [encode("Person", id) for id in range(100, 1_100)]}
    index = index_of(s1=(people, frozenset(range(1, 100))))
    assert index.candidates(FACTS) == {1}
    assert sum(map(len, index._partitions.values())) == 99


def test_the_top_levels_senders_are_the_range_and_no_key() -> None:
    filter = parse_filter({"sender": [encode("User", id) for id in range(1, 51)]})
    index = Index()
    index.add(1, resolve_scope(filter, Owner(1, TEAM, admin=True)), filter)
    assert sum(map(len, index._partitions.values())) == 50
    assert index.candidates(FACTS) == {1}


def test_an_unknown_search_matches_nothing_and_may_be_removed() -> None:
    index = index_of(s1=({}, None))
    index.remove(2)
    assert not index.matches(2, FACTS, 0)
    assert index.matches(1, FACTS, 0)
    assert not index.matches(1, replace(FACTS, team_id=TEAM + 1), 0)
    assert (len(index), 1 in index, 2 in index, list(index)) == (1, True, False, [1])


def seen(views: int, clicks: int = 0) -> Facts:
    view = Event(EngagementKind.VIEW, EngagementVerdict.HUMAN, 1)
    click = Event(EngagementKind.CLICK, EngagementVerdict.HUMAN, 1, "https://x.test/")
    return replace(FACTS, events=(*(view,) * views, *(click,) * clicks))


def test_only_reached_thresholds_are_evaluated() -> None:
    at_least = {f"s{n}": ({**CAMPAIGN, "engagement": [{"kind": "VIEW", "atLeast": n}]}, None) for n in range(1, 10)}
    at_most = {f"s1{n}": ({**CAMPAIGN, "engagement": [{"kind": "VIEW", "atMost": n}]}, None) for n in range(9)}
    index = index_of(**at_least, **at_most)
    assert index.candidates(seen(0)) == set(range(10, 19))
    assert index.candidates(seen(2)) == {1, 2, *range(12, 19)}
    assert index.candidates(seen(50)) == set(range(1, 10))


def test_the_rarest_of_several_thresholds_decides() -> None:
    both = {**CAMPAIGN, "engagement": [{"kind": "VIEW"}, {"kind": "CLICK", "atLeast": 2}]}
    index = index_of(s1=(both, None), s2=({**both, "success": True}, None))
    assert index.candidates(seen(5, 1)) == set()
    assert index.candidates(seen(0, 2)) == {1, 2}
    assert index.matching(seen(1, 2), 0) == {1}


def test_equal_searches_of_one_range_are_one_conjunction() -> None:
    own, others = frozenset({EMPTY.sender_id}), frozenset({77})
    again = {"all": [{"success": False}, {"all": [CAMPAIGN]}]}
    index = index_of(s1=({**CAMPAIGN, "success": False}, own), s2=(again, own), s3=(again, own), s4=(again, others))
    assert index.conjunctions == 2
    assert index.matching(FACTS, 0) == {1, 2, 3}
    index.remove(1)
    index.remove(3)
    assert index.matching(FACTS, 0) == {2}
    index.remove(2)
    assert index.conjunctions == 1


def test_what_neither_key_nor_threshold_narrows_is_counted() -> None:
    part = {"subject": {"contains": "a"}}
    viewed = {**part, "engagement": [{"kind": "VIEW", "atMost": 3}]}
    index = index_of(s1=(part, None), s2=({"any": [part, CAMPAIGN]}, None), s3=(viewed, None), s4=({}, None))
    # The second shares what cannot be narrowed with the first.
    assert index.unindexed == 2
    index.remove(1)
    assert index.unindexed == 2
    index.remove(2)
    index.remove(4)
    assert index.unindexed == 0


def test_time_keys_and_groups_are_counted_by_their_searches() -> None:
    raw = {"sentAt": {"within": "PT1S"}, "not": {"personGroup": [encode("Group", 5)]}}
    index = index_of(s1=(raw, None), s2=(raw, None))
    for search in (1, 2):
        assert list(index.time_keys()) == [TimeKey("sent_at", 1_000_000)]
        assert index.mentions_group(5)
        index.remove(search)
    assert not list(index.time_keys())
    assert not index.mentions_group(5)
