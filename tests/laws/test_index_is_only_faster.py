"""Law 2: the index is only faster. Its candidates hold every search that may join; the predicate leaves no others."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.check import check
from search.clock import crossed_range
from search.facts import Facts
from search.index import Index
from search.predicate import holds
from search.scope import Owner, Scope, scope
from search.tree import Filter
from tests.laws.counts import CASES
from tests.laws.filters import GROUPS, TEAM, USERS, facts, filters, moments, one_of_each

law = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))

Searches = dict[int, tuple[Scope, Filter]]


@st.composite
def searches(draw: st.DrawFn) -> Searches:
    made: Searches = {}
    for id in range(1, draw(st.integers(1, 6)) + 1):
        filter = check(draw(filters()))
        # Another team's searches stand in the same index.
        owner = Owner(draw(st.sampled_from(USERS)), draw(st.sampled_from((TEAM, TEAM, TEAM + 1))), draw(st.booleans()))
        made[id] = (scope(filter, owner), filter)
    return made


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
    """What the matcher does: lists it may join and lists it may leave, then the predicate."""
    return {id for id in index.candidates(email) | members_of if index.matches(id, email, now)}


def contents(index: Index) -> tuple[Any, ...]:
    return (set(index), index._buckets, dict(index._groups), dict(index._time_keys))


@law
@given(searches(), facts(), moments())
def test_candidates_hold_every_search_that_matches(standing: Searches, email: Facts, now: int) -> None:
    index = indexed(standing)
    assert brute_force(standing, email, now) <= index.candidates(email)
    assert through_index(index, email, set(), now) == brute_force(standing, email, now)


@law
@given(one_of_each(), facts(), moments())
def test_every_field_finds_its_emails(raws: tuple[dict[str, Any], ...], email: Facts, now: int) -> None:
    standing = {id: (Scope(TEAM, None), check(raw)) for id, raw in enumerate(raws)}
    assert brute_force(standing, email, now) <= indexed(standing).candidates(email)


@law
@given(one_of_each(), st.integers(1, 24), facts(), moments())
def test_each_of_two_alternatives_finds_its_emails(
    raws: tuple[dict[str, Any], ...], shift: int, email: Facts, now: int
) -> None:
    others = (*raws[shift:], *raws[:shift])
    pairs = enumerate(zip(raws, others, strict=True))
    standing = {id: (Scope(TEAM, None), check({"any": list(pair)})) for id, pair in pairs}
    assert brute_force(standing, email, now) <= indexed(standing).candidates(email)


@law
@given(searches(), facts(), facts(), moments())
def test_an_edit_of_anything_is_followed_into_and_out_of_lists(
    standing: Searches, before: Facts, after: Facts, now: int
) -> None:
    index = indexed(standing)
    members_of = through_index(index, before, set(), now)
    assert through_index(index, after, members_of, now) == brute_force(standing, after, now)


@law
@given(searches(), facts(), facts(), moments())
def test_events_that_arrive_are_followed_into_and_out_of_lists(
    standing: Searches, email: Facts, other: Facts, now: int
) -> None:
    index = indexed(standing)
    members_of = through_index(index, email, set(), now)
    for event in other.events:
        email = replace(email, events=(*email.events, event))
        members_of = through_index(index, email, members_of, now)
        assert members_of == brute_force(standing, email, now)


@law
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


@law
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


@law
@given(searches(), searches(), facts(), moments())
def test_adding_again_replaces(standing: Searches, refined: Searches, email: Facts, now: int) -> None:
    index = indexed(standing)
    for id, (range, filter) in refined.items():
        index.add(id, range, filter)
    assert contents(index) == contents(indexed(standing | refined))
    assert through_index(index, email, set(), now) == brute_force(standing | refined, email, now)


@law
@given(searches(), facts(), st.sampled_from(GROUPS), moments())
def test_a_group_no_search_mentions_changes_no_verdict(standing: Searches, email: Facts, group: int, now: int) -> None:
    if not indexed(standing).mentions_group(group):
        moved = replace(email, groups=email.groups ^ {group})
        assert brute_force(standing, email, now) == brute_force(standing, moved, now)
