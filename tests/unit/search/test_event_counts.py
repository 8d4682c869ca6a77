"""Counting an email's events: each distinct URL is tested once for each test, whatever asks for the count."""

from dataclasses import replace
from typing import Any

import pytest

from command_center.search.event_counts import Unfinished, UrlMatches
from command_center.search.facts import Event, Facts
from command_center.search.parser import parse_filter
from command_center.search.predicate import Predicate, compile_predicate
from models.enums import EngagementKind, EngagementVerdict
from tests.support.generated_filters import FACTS

NOW = 1_000_000_000


class CountedUrl(str):
    """A URL that counts how often a substring is looked for in it."""

    __slots__ = ()
    tested = 0

    def __contains__(self, needle: object) -> bool:
        CountedUrl.tested += 1
        return super().__contains__(needle)  # type: ignore[operator]


def clicked(*urls: str, times: int = 1) -> Facts:
    clicks = [
        Event(EngagementKind.CLICK, EngagementVerdict.HUMAN, NOW - place, url) for place, url in enumerate(urls * times)
    ]
    return replace(FACTS, sent_at=NOW - 50, events=tuple(clicks))


def condition(**more: Any) -> dict[str, Any]:
    return {"engagement": [{"kind": "CLICK", **more}]}


def test_each_distinct_url_is_tested_once_for_each_test() -> None:
    CountedUrl.tested = 0
    email = clicked(*(CountedUrl(f"https://x.test/{number}") for number in range(10)), times=100)
    tests = [parse_filter(condition(url={"contains": f"/no-{number}"})) for number in range(20)]
    holds = [compile_predicate(test) for test in tests]
    for _ in range(3):
        assert not any(each(email, NOW) for each in holds)
    assert CountedUrl.tested == 10 * 20


def test_a_later_pass_tests_only_new_urls() -> None:
    urls = [CountedUrl(f"https://x.test/{number}") for number in range(10)]
    holds = compile_predicate(parse_filter(condition(url={"contains": "/10"})))
    kept = UrlMatches()
    email = clicked(*urls)
    email.count_in_steps(kept)
    assert not holds(email, NOW)
    CountedUrl.tested = 0
    again = clicked(*urls, CountedUrl("https://x.test/10"))
    again.count_in_steps(kept)
    assert holds(again, NOW)
    assert CountedUrl.tested == 1
    # An event that is gone does not count, though its URL is still known.
    gone = clicked(*urls)
    gone.count_in_steps(kept)
    assert not holds(gone, NOW)


@pytest.mark.parametrize(
    "more, expected",
    [
        ({"atLeast": 30}, True),
        ({"atLeast": 31}, False),
        ({"atLeast": 20, "atMost": 20, "url": {"contains": "X.test/"}}, True),
        ({"atLeast": 10, "atMost": 10, "url": {"startsWith": "https://x", "endsWith": "a"}}, True),
        ({"atMost": 0, "url": {"equals": "https://x.test/c"}}, True),
        ({"atLeast": 11, "atMost": 11, "within": "PT1S"}, False),
        ({"atLeast": 30, "within": "PT1S"}, True),
        ({"atLeast": 1, "verdict": ["MACHINE", "SELF"]}, False),
        ({"atLeast": 30, "verdict": ["MACHINE", "HUMAN"]}, True),
        ({"atLeast": 30, "afterSend": "PT1S"}, True),
    ],
)
def test_counts_are_those_of_all_events_that_fit(more: dict[str, Any], expected: bool) -> None:
    email = clicked("https://x.test/a", "https://x.test/b", "https://y.test/", times=10)
    assert compile_predicate(parse_filter(condition(**more)))(email, NOW) is expected


def test_counting_continues_where_the_allowance_was_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("command_center.search.facts.URL_TESTS", 3)
    CountedUrl.tested = 0
    email = clicked(*(CountedUrl(f"https://x.test/{number}") for number in range(10)))
    email.count_in_steps()
    holds = compile_predicate(
        parse_filter(condition(atLeast=2, atMost=2, url={"startsWith": "https", "contains": "9"}))
    )
    assert not any(attempt is not None for attempt in (_attempt(holds, email) for _ in range(3)))
    assert _attempt(holds, email) is False
    email.renew_allowance()
    number = compile_predicate(parse_filter(condition(atLeast=1, url={"contains": "/9"})))
    assert [_attempt(number, email) for _ in range(4)] == [None, None, None, True]
    assert CountedUrl.tested == 10 + 10


def _attempt(holds: Predicate, email: Facts) -> bool | None:
    try:
        return holds(email, NOW)
    except Unfinished:
        email.renew_allowance()
        return None
