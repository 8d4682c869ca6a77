"""Counts the events of one email under many conditions, each in a few steps.

It sorts the times of the events once, and tests each distinct URL once for each condition on URLs. What a condition
means is defined in `predicate`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, TypeAlias

from command_center.search.filter_ast import EngagementCondition, TextTest
from command_center.search.text import fold
from models.enums import EngagementKind, EngagementVerdict

_NONE: tuple[int, ...] = ()


class Event(NamedTuple):
    """One engagement event. `url` is folded, and present only for clicks."""

    kind: EngagementKind
    verdict: EngagementVerdict
    occurred_at: int
    url: str | None = None


UrlTest: TypeAlias = Callable[[str], bool]
"""Returns True if a folded URL fits."""


class Unfinished(Exception):
    """Raised when the permitted number of URL tests is used up.

    The results so far are cached. Once more tests are permitted, another attempt continues from there.
    """


class EventSeries:
    """The kind, verdicts and URLs of the events that an engagement condition counts.

    Its bounds in time are not part of it. Two series are equal only if they are the same object.
    """

    __slots__ = ("contains", "fits", "kind", "verdicts")

    def __init__(
        self,
        kind: EngagementKind,
        verdicts: frozenset[EngagementVerdict],
        contains: str | None = None,
        fits: UrlTest | None = None,
    ) -> None:
        self.kind = kind
        self.verdicts = verdicts
        # By far the most frequent test, stored apart because it needs no function call for each URL.
        self.contains = contains
        self.fits = fits

    @property
    def tests_urls(self) -> bool:
        """True if only events with certain URLs belong to the series."""
        return self.contains is not None or self.fits is not None


def series_of(condition: EngagementCondition, fits: UrlTest) -> EventSeries:
    """Return the series of events that a condition counts, apart from their times.

    `fits` tests a folded URL; it is used only if the condition names a URL.
    """
    verdicts = frozenset(condition.verdicts)
    if not condition.url:
        return _untested(condition.kind, verdicts)
    if condition.url == TextTest(contains=condition.url.contains):
        return EventSeries(condition.kind, verdicts, contains=fold(condition.url.contains or ""))
    return EventSeries(condition.kind, verdicts, fits=fits)


@lru_cache(maxsize=64)
def _untested(kind: EngagementKind, verdicts: frozenset[EngagementVerdict]) -> EventSeries:
    return EventSeries(kind, verdicts)


class UrlMatches:
    """Caches which of an email's URLs belong to which event series.

    If the object is reused when the email is evaluated again, only new URLs are tested.
    """

    __slots__ = ("_by_series", "_numbers", "allowance", "urls")

    def __init__(self) -> None:
        self.allowance: int | None = None
        """How many tests may be made until `Unfinished` is raised, or None for any number."""
        self.urls: list[str] = []
        """The distinct URLs, in the order of their numbers."""
        self._numbers: dict[str, int] = {}
        # How many URLs were tested, and the indexes of those that fit, if there are any.
        self._by_series: dict[EventSeries, int | tuple[int, tuple[int, ...]]] = {}

    @property
    def tests(self) -> int:
        """The number of tests made. A URL that occurs several times is tested once."""
        return len(self._by_series) * len(self.urls)

    @property
    def weight(self) -> int:
        """The approximate memory use, in hundreds of bytes."""
        return len(self._by_series) + sum(map(len, self.urls)) // 100 + len(self.urls)

    def number(self, url: str) -> int:
        """Return the index of a URL in `urls`, to which it is added if it is new."""
        number = self._numbers.get(url)
        if number is None:
            number = self._numbers[url] = len(self.urls)
            self.urls.append(url)
        return number

    def fitting(self, series: EventSeries) -> Sequence[int]:
        """Return the indexes in `urls` of the URLs that belong to a series.

        Raises: Unfinished if this needs more URL tests than `allowance` permits.
        """
        cached = self._by_series.get(series, 0)
        tested, matching = (cached, _NONE) if isinstance(cached, int) else cached
        count = end = len(self.urls)
        if tested == count:
            return matching
        if self.allowance is not None:
            end = min(count, tested + self.allowance)
            self.allowance -= end - tested
        matching += tuple(_fitting(series, islice(self.urls, tested, end), tested))
        self._by_series[series] = (end, matching) if matching else end
        if end < count:
            raise Unfinished
        return matching


def _fitting(series: EventSeries, urls: Iterable[str], start: int) -> list[int]:
    """Return the indexes of the URLs that belong to a series.

    The index of the first URL is `start`.
    """
    needle, fits = series.contains, series.fits
    if needle is not None:
        return [number for number, url in enumerate(urls, start) if needle in url]
    return [number for number, url in enumerate(urls, start) if fits is None or fits(url)]


class EventTimes:
    """The sorted times of one email's events, by series."""

    __slots__ = ("_by_kind", "_by_series", "_by_url", "_events", "matches")

    def __init__(self, events: Iterable[Event], matches: UrlMatches | None = None) -> None:
        self._events = events
        self._by_kind: dict[tuple[EngagementKind, EngagementVerdict], list[int]] | None = None
        self._by_url: dict[int, list[Event]] = {}
        self._by_series: dict[EventSeries, Sequence[int]] = {}
        self.matches = UrlMatches() if matches is None else matches

    def count(self, series: EventSeries, since: int | None = None, until: int | None = None) -> int:
        """Return the number of events of a series between two moments, both included.

        Raises: Unfinished if this needs more URL tests than are permitted.
        """
        times = self._by_series.get(series)
        if times is None:
            times = self._by_series[series] = self._times(series)
        if not times:
            return 0
        first = 0 if since is None else bisect_left(times, since)
        last = len(times) if until is None else bisect_right(times, until)
        return max(0, last - first)

    def _times(self, series: EventSeries) -> Sequence[int]:
        by_kind = self._sorted()
        if not series.tests_urls:
            time_lists = [by_kind[key] for verdict in series.verdicts if (key := (series.kind, verdict)) in by_kind]
            return time_lists[0] if len(time_lists) == 1 else sorted(time for times in time_lists for time in times)
        return sorted(
            event.occurred_at
            for number in self.matches.fitting(series)
            for event in self._by_url.get(number, ())
            if event.kind == series.kind and event.verdict in series.verdicts
        )

    def _sorted(self) -> dict[tuple[EngagementKind, EngagementVerdict], list[int]]:
        if self._by_kind is None:
            by_kind = self._by_kind = {}
            for event in self._events:
                by_kind.setdefault((event.kind, event.verdict), []).append(event.occurred_at)
                if event.url is not None:
                    self._by_url.setdefault(self.matches.number(event.url), []).append(event)
            for times in by_kind.values():
                times.sort()
        return self._by_kind
