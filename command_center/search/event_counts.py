"""Counts the events of one email under many conditions, each in a few steps.

Responsible for: sorting the times of the events once, and testing each distinct URL against each test once. Not
responsible for: what a condition means, which `predicate` defines.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, TypeAlias

from command_center.search.filter_ast import Engaged, TextTest
from command_center.search.text import fold
from models.enums import EngagementKind, EngagementVerdict

_NONE: tuple[int, ...] = ()


class Event(NamedTuple):
    """One engagement. `url` is folded, and present on clicks only."""

    kind: EngagementKind
    verdict: EngagementVerdict
    occurred_at: int
    url: str | None = None


UrlTest: TypeAlias = Callable[[str], bool]


class Unfinished(Exception):
    """The allowance of URL tests is spent. What was tested is kept, so that another attempt continues."""


class EventSeries:
    """The events that a condition may count, whatever its bounds in time. Two are equal only if they are one object."""

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
        # The commonest test by far, which needs no call for each URL.
        self.contains = contains
        self.fits = fits

    @property
    def tests_urls(self) -> bool:
        return self.contains is not None or self.fits is not None


def series_of(condition: Engaged, fits: UrlTest) -> EventSeries:
    """The series of a condition. `fits` is its test of a folded URL, used only if the condition has one."""
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
    """Which of an email's URLs fit which series. A later pass with the same matches tests only new URLs."""

    __slots__ = ("_fitting", "_numbers", "allowance", "urls")

    def __init__(self) -> None:
        self.allowance: int | None = None
        """How many tests may be made until `Unfinished` is raised; None for any number."""
        self.urls: list[str] = []
        self._numbers: dict[str, int] = {}
        # How many URLs were tested; beside it those that fit, if there are any.
        self._fitting: dict[EventSeries, int | tuple[int, tuple[int, ...]]] = {}

    @property
    def tests(self) -> int:
        """The number of tests that were made, apart from those of URLs that came twice."""
        return len(self._fitting) * len(self.urls)

    @property
    def weight(self) -> int:
        """Roughly the memory this takes, in hundreds of bytes."""
        return len(self._fitting) + sum(map(len, self.urls)) // 100 + len(self.urls)

    def number(self, url: str) -> int:
        """Returns the place of a URL in `urls`, where it is put if it is new."""
        number = self._numbers.get(url)
        if number is None:
            number = self._numbers[url] = len(self.urls)
            self.urls.append(url)
        return number

    def fitting(self, series: EventSeries) -> Sequence[int]:
        """Returns the places of the URLs that fit. Raises: Unfinished."""
        known = self._fitting.get(series, 0)
        tested, found = (known, _NONE) if isinstance(known, int) else known
        count = upto = len(self.urls)
        if tested == count:
            return found
        if self.allowance is not None:
            upto = min(count, tested + self.allowance)
            self.allowance -= upto - tested
        found += tuple(_fitting(series, islice(self.urls, tested, upto), tested))
        self._fitting[series] = (upto, found) if found else upto
        if upto < count:
            raise Unfinished
        return found


def _fitting(series: EventSeries, urls: Iterable[str], start: int) -> list[int]:
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
        """Returns the number of events of a series, both bounds included. Raises: Unfinished."""
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
            found = [by_kind[key] for verdict in series.verdicts if (key := (series.kind, verdict)) in by_kind]
            return found[0] if len(found) == 1 else sorted(time for times in found for time in times)
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
