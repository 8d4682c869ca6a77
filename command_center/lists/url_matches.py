"""Keeps the URL tests of emails with many events from one pass to the next."""

from command_center.search.event_counts import UrlMatches
from command_center.search.facts import Facts

FEW_EVENTS = 16
"""Emails with at most so many are evaluated without steps, and nothing of them is kept."""
FEW_TESTS = 10_000
"""Repeated sooner than they are worth keeping."""
MAX_WEIGHT = 400_000
"""Some 40 MB (see `UrlMatches.weight`)."""


class UrlMatchesCache:
    """The matches of the emails that were evaluated last, at most `MAX_WEIGHT` of them."""

    def __init__(self, max_weight: int = MAX_WEIGHT) -> None:
        self._max_weight = max_weight
        self._weight = 0
        # In the order of their use.
        self._by_email: dict[int, tuple[UrlMatches, int]] = {}

    def prepare(self, facts: Facts) -> None:
        """Lets an email with many events be evaluated in steps, with what is known of its URLs."""
        if len(facts.events) > FEW_EVENTS:
            matches, weight = self._by_email.pop(facts.id, (None, 0))
            self._weight -= weight
            facts.count_in_steps(matches)

    def keep(self, facts: Facts) -> None:
        """Keeps the tests of an email that was evaluated, if they are worth it."""
        if len(facts.events) <= FEW_EVENTS or (matches := facts.times.matches).tests <= FEW_TESTS:
            return
        self._by_email[facts.id] = matches, matches.weight
        self._weight += matches.weight
        while self._weight > self._max_weight:
            oldest = next(iter(self._by_email))
            self._weight -= self._by_email.pop(oldest)[1]
