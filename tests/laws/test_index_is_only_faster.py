"""Law 2: the index is only faster. Its candidates hold every search that may join; the predicate leaves no others."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from command_center.ids import encode
from command_center.lists.membership_diff import Cause, diff_memberships
from command_center.search.facts import Event, Facts
from command_center.search.filter_ast import Filter
from command_center.search.index.dnf import MAX_CONJUNCTIONS
from command_center.search.index.entries import IndexEntry
from command_center.search.index.search_index import Index, _as_tuple
from command_center.search.index.time_boundaries import crossed_range
from command_center.search.parser import parse_filter
from command_center.search.predicate import holds
from command_center.search.scope import Owner, Scope, resolve_scope
from models.enums import ChangeCauseKind, EngagementKind, EngagementVerdict
from tests.support.generated_filters import (
    CAMPAIGNS,
    GROUPS,
    NOW,
    PEOPLE,
    TEAM,
    USERS,
    facts,
    filters,
    flat_filters,
    moments,
    one_of_each,
)
from tests.support.law_settings import law_settings

Searches = dict[int, tuple[Scope, Filter]]


@st.composite
def ranges(draw: st.DrawFn, raw: dict[str, Any]) -> tuple[Scope, Filter]:
    # Another team's searches stand in the same index.
    owner = Owner(draw(st.sampled_from(USERS)), draw(st.sampled_from((TEAM, TEAM, TEAM + 1))), draw(st.booleans()))
    filter = parse_filter(raw)
    return resolve_scope(filter, owner), filter


@st.composite
def strangers(draw: st.DrawFn) -> Searches:
    """Searches that have nothing to do with each other."""
    return {id: draw(ranges(draw(filters()))) for id in range(1, draw(st.integers(1, 6)) + 1)}


@st.composite
def crowds(draw: st.DrawFn) -> Searches:
    """Searches that differ in little: many thresholds under one key, the same conjunctions in one range and another."""
    keys = st.sampled_from(({}, {"success": True}, {"not": {"success": True}}, {"sendKind": ["GROUP", "CAMPAIGN"]}))
    alike = [draw(keys), draw(keys | flat_filters())]
    made: Searches = {}
    for id in range(1, draw(st.integers(4, 12)) + 1):
        asked = {"engagement": draw(st.lists(counters(), max_size=2))}
        signed = draw(st.sampled_from((asked, asked, {"not": asked})))
        made[id] = draw(ranges({"everySender": draw(st.booleans()), "all": [draw(st.sampled_from(alike)), signed]}))
    return made


@st.composite
def counters(draw: st.DrawFn) -> dict[str, Any]:
    kind, bound = draw(st.sampled_from(("VIEW", "VIEW", "CLICK", "REPLY"))), draw(st.integers(0, 3))
    more: dict[str, Any] = draw(st.sampled_from(({}, {}, {"atMost": bound + 1}, {"within": "P1D"})))
    return {"kind": kind, draw(st.sampled_from(("atLeast", "atMost"))): bound, **more}


@st.composite
def at_the_bound(draw: st.DrawFn) -> Searches:
    """Searches with as many alternatives as are told apart, with fewer, and with too many."""
    alternatives = st.lists(flat_filters(), min_size=3, max_size=5)
    wide = st.lists(flat_filters(), min_size=MAX_CONJUNCTIONS - 1, max_size=MAX_CONJUNCTIONS + 2)
    chosen = st.fixed_dictionaries({"all": st.lists(st.fixed_dictionaries({"any": alternatives}), max_size=2)})
    every = [
        {name: [encode(noun, key)], "success": success}
        for name, noun, keys in (
            ("person", "Person", PEOPLE),
            ("campaign", "Campaign", CAMPAIGNS),
            ("sender", "User", USERS),
        )
        for key, success in product(keys, (True, False))
    ]
    keyed = st.permutations(every).map(lambda chosen: chosen[: MAX_CONJUNCTIONS + 2])
    refused = st.fixed_dictionaries({"not": st.fixed_dictionaries({"all": wide})})
    wide_or_keyed = st.fixed_dictionaries({"any": wide | keyed})
    raws = draw(st.lists(chosen | refused | wide_or_keyed, min_size=1, max_size=3))
    return {id: draw(ranges(raw)) for id, raw in enumerate(raws, 1)}


def with_every_count(email: Facts) -> Iterator[Facts]:
    """The email with so many human events of each kind that it stands before, on and behind each threshold."""
    for views, clicks, replies in product(range(4), range(3), range(2)):
        kinds = [EngagementKind.VIEW] * views + [EngagementKind.CLICK] * clicks + [EngagementKind.REPLY] * replies
        yield replace(email, events=tuple(Event(kind, EngagementVerdict.HUMAN, NOW) for kind in kinds))


def searches() -> st.SearchStrategy[Searches]:
    return strangers() | crowds() | at_the_bound()


def indexed(standing: Searches) -> Index:
    index = Index()
    for id, (range, filter) in standing.items():
        index.add(id, range, filter)
    return index


def brute_force(standing: Searches, email: Facts, now: int) -> set[int]:
    return {
        id
        for id, (range, filter) in standing.items()
        if range.covers(email.team_id, email.sender_id) and holds(filter, email, now)
    }


def through_index(index: Index, email: Facts, members_of: set[int], now: int) -> set[int]:
    """The lists an email is in once the matcher has looked at it."""
    current = {search: 1_000 + search for search in members_of}
    verdicts = diff_memberships(index, email.id, Cause(ChangeCauseKind.ENGAGEMENT), email, current, now)
    joined, left = {each.search_id for each in verdicts.joins}, {each.search_id for each in verdicts.leaves}
    assert not joined & members_of
    assert left <= members_of
    return members_of - left | joined


def contents(index: Index) -> tuple[Any, ...]:
    """Everything an index holds, spelt so that two that stand for the same searches are equal."""

    def spelt(filed: IndexEntry) -> tuple[Any, ...]:
        return filed.scope, frozenset(each.part for each in filed.conditions), frozenset(filed.searches)

    return (
        {id: {spelt(each) for each in _as_tuple(filed)} for id, filed in index._entries_by_search.items()},
        {scope: Counter(spelt(each) for each in filed.values()) for scope, filed in index._entries_by_scope.items()},
        {
            (range_, key): Counter(map(spelt, [there] if isinstance(there, IndexEntry) else there))
            for range_, buckets in index._partitions.items()
            for key, there in buckets.items()
        },
        {condition.part: condition.uses for condition in index._conditions},
        (index._conditions.groups, index._conditions.time_keys, index.unindexed, index.conjunctions),
    )


@law_settings
@given(searches(), facts(), moments())
def test_candidates_hold_every_search_that_matches(standing: Searches, email: Facts, now: int) -> None:
    index = indexed(standing)
    assert brute_force(standing, email, now) <= index.candidates(email)
    assert {id for id in index.candidates(email) if index.matches(id, email, now)} == brute_force(standing, email, now)
    assert index.matching(email, now) == brute_force(standing, email, now)


@law_settings
@given(crowds(), facts(), moments())
def test_each_of_a_crowd_finds_its_emails(standing: Searches, email: Facts, now: int) -> None:
    index = indexed(standing)
    for each in with_every_count(email):
        assert index.matching(each, now) == brute_force(standing, each, now)


@law_settings
@given(at_the_bound(), facts(), moments())
def test_however_many_alternatives_each_finds_its_emails(standing: Searches, email: Facts, now: int) -> None:
    assert indexed(standing).matching(email, now) == brute_force(standing, email, now)


@law_settings
@given(one_of_each(), facts(), moments())
def test_every_field_finds_its_emails(raws: tuple[dict[str, Any], ...], email: Facts, now: int) -> None:
    standing = {id: (Scope(TEAM, None), parse_filter(raw)) for id, raw in enumerate(raws)}
    index = indexed(standing)
    assert brute_force(standing, email, now) <= index.candidates(email)
    assert index.matching(email, now) == brute_force(standing, email, now)


@law_settings
@given(one_of_each(), st.integers(1, 24), facts(), moments())
def test_each_of_two_alternatives_finds_its_emails(
    raws: tuple[dict[str, Any], ...], shift: int, email: Facts, now: int
) -> None:
    others = (*raws[shift:], *raws[:shift])
    pairs = enumerate(zip(raws, others, strict=True))
    standing = {id: (Scope(TEAM, None), parse_filter({"any": list(pair)})) for id, pair in pairs}
    assert brute_force(standing, email, now) <= indexed(standing).candidates(email)


@law_settings
@given(searches(), facts(), facts(), moments())
def test_every_edit_begins_and_ends_the_right_memberships(
    standing: Searches, before: Facts, after: Facts, now: int
) -> None:
    index = indexed(standing)
    members_of = through_index(index, before, set(), now)
    assert through_index(index, after, members_of, now) == brute_force(standing, after, now)


@law_settings
@given(searches(), facts(), facts(), moments())
def test_new_events_begin_and_end_the_right_memberships(
    standing: Searches, email: Facts, other: Facts, now: int
) -> None:
    index = indexed(standing)
    members_of = through_index(index, email, set(), now)
    for event in other.events:
        email = replace(email, events=(*email.events, event))
        members_of = through_index(index, email, members_of, now)
        assert members_of == brute_force(standing, email, now)


@law_settings
@given(searches(), facts(), st.lists(moments(), min_size=2, max_size=4).map(sorted))
def test_between_two_ticks_only_emails_in_a_crossed_range_change(
    standing: Searches, email: Facts, ticks: list[int]
) -> None:
    index = indexed(standing)
    for previous, now in pairwise(ticks):
        if brute_force(standing, email, previous) != brute_force(standing, email, now):
            assert any(
                low <= date <= high
                for key in index.time_keys()
                for low, high in [crossed_range(key, previous, now)]
                for date in dates_of(email, key.source)
            )


def dates_of(email: Facts, source: str) -> list[int]:
    if source == "occurred_at":
        return [event.occurred_at for event in email.events]
    date = getattr(email, source)
    return [] if date is None else [date]


@law_settings
@given(searches(), searches())
def test_taking_searches_out_leaves_the_index_as_it_was(standing: Searches, others: Searches) -> None:
    index = indexed(standing)
    before = contents(indexed(standing))
    for id, (range, filter) in others.items():
        index.add(100 + id, range, filter)
    for id in others:
        index.remove(100 + id)
    assert contents(index) == before
    for id in standing:
        index.remove(id)
    assert contents(index) == contents(Index())


@law_settings
@given(searches(), searches(), facts(), moments())
def test_adding_again_replaces(standing: Searches, refined: Searches, email: Facts, now: int) -> None:
    index = indexed(standing)
    for id in standing.keys() & refined.keys():
        index.remove(id)
        index.add(id, *standing[id])
    for id, (range, filter) in refined.items():
        index.add(id, range, filter)
    assert contents(index) == contents(indexed(standing | refined))
    assert through_index(index, email, set(), now) == brute_force(standing | refined, email, now)


@law_settings
@given(searches(), facts(), st.sampled_from(GROUPS), moments())
def test_a_group_no_search_mentions_changes_no_verdict(standing: Searches, email: Facts, group: int, now: int) -> None:
    if not indexed(standing).mentions_group(group):
        moved = replace(email, groups=email.groups ^ {group})
        assert brute_force(standing, email, now) == brute_force(standing, moved, now)
