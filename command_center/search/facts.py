"""The facts of one email that a filter is evaluated against.

They come from its row, its person, their groups, and its events.
"""

from dataclasses import dataclass, field

from command_center.search.event_counts import Event, EventTimes, UrlMatches
from models.enums import EmailStatus, SendKind

__all__ = ["Event", "Facts"]

URL_TESTS = 10_000
"""URL tests made in one step. They take 0.5 to 5 ms, depending on the length of the URLs."""


@dataclass(slots=True)
class Facts:
    """The facts of one email. Texts are folded; moments are in microseconds.

    The class is not frozen, because the matcher creates thousands of instances and frozen ones are slower to create.
    """

    id: int
    team_id: int
    sender_id: int
    person_id: int
    campaign_id: int | None
    template_id: int | None
    bulk_send_id: int | None
    send_kind: SendKind
    status: EmailStatus
    archived: bool
    success: bool
    subject: str
    address: str
    company: str | None
    created_at: int
    sent_at: int | None
    scheduled_at: int | None
    failed_at: int | None
    groups: frozenset[int]
    events: tuple[Event, ...]
    _times: EventTimes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def times(self) -> EventTimes:
        """The times of the events by series, sorted when they are first counted."""
        if self._times is None:
            self._times = EventTimes(self.events)
        return self._times

    def count_in_steps(self, matches: UrlMatches | None = None) -> None:
        """Make the counting of events raise `Unfinished` after a few milliseconds.

        `matches` has results for the email's URLs from an earlier evaluation, which are reused.
        """
        self._times = EventTimes(self.events, matches)
        self.renew_allowance()

    def renew_allowance(self) -> None:
        """Permit another few milliseconds of counting, after it raised `Unfinished`."""
        self.times.matches.allowance = URL_TESTS
