"""What the benchmarks measure with is what they say: filters as they are stored, and joins as they are foretold."""

import pytest

from benchmarks import clock, new_lists, pages, verifying
from benchmarks.filling import FIRST_SELLER, TEAM, fill
from benchmarks.populations import POPULATIONS, VIEWS, campaigns, every, sellers
from command_center.database.connections import database, open_database
from command_center.ids import encode
from command_center.search.canonical import to_value
from command_center.search.durations import as_span
from command_center.search.facts import Event, Facts
from command_center.search.parser import parse_filter
from command_center.search.predicate import compile_predicate
from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SendKind

pytestmark = pytest.mark.slow

SEARCHES = 2_000
NOW = 1_800_000_000_000_000


@pytest.mark.parametrize("population", POPULATIONS)
def test_every_filter_is_in_its_canonical_form(population: str) -> None:
    made = list(every(population, SEARCHES))
    assert len(made) == SEARCHES
    for search in made:
        assert to_value(parse_filter(search.definition)) == search.definition


@pytest.mark.parametrize("population", POPULATIONS)
def test_a_search_matches_from_the_predicted_view_on(population: str) -> None:
    for search in every(population, SEARCHES):
        holds = compile_predicate(parse_filter(search.definition))
        first = next((views for views in range(VIEWS + 1) if holds(_seen(search.campaign or 0, views), NOW)), None)
        assert first == search.views


def test_nine_searches_of_ten_are_in_one_campaign_of_a_hundred() -> None:
    made = list(every("skewed", 10_000))
    hot = [search for search in made if search.campaign is not None and search.campaign % 100 == 0]
    assert len({search.campaign for search in hot}) == campaigns(10_000) // 100
    assert 0.9 <= len(hot) / len(made) < 0.91


@pytest.mark.parametrize("population, share", [("1 % without a key", 100), ("10 % without a key", 10)])
def test_so_many_searches_have_no_key(population: str, share: int) -> None:
    assert sum("campaign" not in search.definition for search in every(population, SEARCHES)) == SEARCHES // share


async def test_a_view_joins_two_lists_of_a_watched_seller(database_url: str) -> None:
    made = await fill(database_url, "uniform", SEARCHES, 50)
    assert len(made.followed) == 10
    assert all(len(made.joins[made.campaign_of[email], view]) == 2 for email in made.timed for view in (1, VIEWS))
    async with open_database(database_url):
        row = await database().fetch_one("SELECT COUNT(*) AS count FROM saved_searches WHERE team_id = ?", TEAM)
        assert row == {"count": SEARCHES}
        row = await database().fetch_one("SELECT MAX(id) AS last FROM users")
        assert row == {"last": FIRST_SELLER + sellers(SEARCHES) - 1}


async def test_all_ways_to_a_page_give_the_same_page(sqlite_url: str) -> None:
    ratios = await pages.run(sqlite_url, pairs=1)
    assert len(ratios) == 2


async def test_measurements_with_wrong_lists_or_messages_are_invalid(sqlite_url: str) -> None:
    made = await fill(sqlite_url, "uniform", SEARCHES, 50)
    assert await verifying.lists(made, []) < SEARCHES
    assert await verifying.lists(made, [], whole=True) == SEARCHES
    frame = {"memberId": encode("SavedSearchMember", 1), "savedSearchId": encode("SavedSearch", 1)}
    joined = {"__typename": "MemberJoined", "emailId": encode("Email", made.timed[0]), **frame}
    with pytest.raises(verifying.Wrong):
        await verifying.lists(made, [joined])
    async with open_database(sqlite_url):
        await database().execute(
            "INSERT INTO memberships (search_id, email_id, joined_at, cause_kind) VALUES (?, ?, 0, 1)",
            *(SEARCHES, made.spread[-1]),
        )
    for whole in (False, True):
        with pytest.raises(verifying.Wrong):
            await verifying.lists(made, [], whole)


def test_the_last_message_of_an_email_decides_for_new_lists() -> None:
    upserted = {"__typename": "SavedSearchUpserted"}
    reset = {"__typename": "SavedSearchReset", "savedSearchId": "s"}
    moved = {"savedSearchId": "s", "emailId": encode("Email", 7), "memberId": encode("SavedSearchMember", 9)}
    joined, left = {"__typename": "MemberJoined", **moved}, {"__typename": "MemberLeft", **moved}
    assert new_lists.last_said([upserted, reset, joined], "s") == {7: 9}
    assert new_lists.last_said([reset, joined, left], "s") == {7: None}
    assert new_lists.last_said([reset, joined, {**reset, "savedSearchId": "t"}], "t") == {}
    for wrong in ([joined, reset], [reset, reset]):
        with pytest.raises(verifying.Wrong):
            new_lists.last_said(wrong, "s")


def test_a_small_clock_benchmark_is_right_for_every_size(sqlite_url: str) -> None:
    ticked = clock.measure(sqlite_url, 1_000)
    assert set(ticked.ticks) == set(clock.CROSSING)


def test_every_span_that_a_filter_may_use_is_looked_for() -> None:
    assert {str(as_span(span)) for span in clock.SPANS} == set(clock.SPANS)
    assert len(clock.SPANS) == 59 + 59 + 47 + 730


def _seen(campaign: int, views: int) -> Facts:
    seen = Event(EngagementKind.VIEW, EngagementVerdict.HUMAN, NOW - 1)
    return Facts(
        *(1, 1, 1, 1, campaign + 1, None, None, SendKind.CAMPAIGN, EmailStatus.SENT, False, False),
        *("an offer for you", "pat@example.com", None, NOW, NOW, None, None, frozenset()),
        (seen,) * views,
    )
