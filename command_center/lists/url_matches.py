"""Caches which clicked URLs of an email match the conditions of searches.

Only emails with many events are cached. The next batch then tests only the URLs of new events.
"""

from command_center.search.event_counts import UrlMatches
from command_center.search.facts import Facts

SMALL_EMAIL_EVENTS = 16
"""Emails with at most this number of events are evaluated without steps and never cached."""
MIN_CACHED_TESTS = 10_000
"""At most this number of tests is repeated rather than cached, because repeating them is cheaper."""
MAX_WEIGHT = 400_000
"""The total weight of the cache: about 40 MB (see `UrlMatches.weight`)."""


class UrlMatchesCache:
    """The results of URL tests of the emails that were evaluated last.

    Their total weight is at most `max_weight`.
    """

    def __init__(self, max_weight: int = MAX_WEIGHT) -> None:
        self._max_weight = max_weight
        self._weight = 0
        # Ordered by last use, oldest first.
        self._by_email: dict[int, tuple[UrlMatches, int]] = {}

    def prepare(self, facts: Facts) -> None:
        """Have an email with many events evaluated in steps, with its cached results."""
        if len(facts.events) > SMALL_EMAIL_EVENTS:
            matches, weight = self._by_email.pop(facts.id, (None, 0))
            self._weight -= weight
            facts.count_in_steps(matches)

    def store(self, facts: Facts) -> None:
        """Cache the URL test results of an evaluated email, if it took enough tests."""
        if len(facts.events) <= SMALL_EMAIL_EVENTS or (matches := facts.times.matches).tests <= MIN_CACHED_TESTS:
            return
        self._by_email[facts.id] = matches, matches.weight
        self._weight += matches.weight
        while self._weight > self._max_weight:
            oldest = next(iter(self._by_email))
            self._weight -= self._by_email.pop(oldest)[1]
