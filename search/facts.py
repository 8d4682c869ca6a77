"""What is known of one email when a filter is judged: its own row, its person, their groups, its events."""

from dataclasses import dataclass, field

from models.enums import EmailStatus, SendKind
from search.event_counts import Event, EventTimes, UrlMatches

__all__ = ["Event", "Facts"]


@dataclass(slots=True)
class Facts:
    """Texts are folded, moments are microseconds. Not frozen: the matcher makes these by the thousand."""

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
        """The events by series, sorted when they are first counted."""
        return self.count_with(None)

    def count_with(self, matches: UrlMatches | None) -> EventTimes:
        """Like `times`. `matches` are those of an earlier pass, if they were kept."""
        if self._times is None:
            self._times = EventTimes(self.events, matches)
        return self._times
