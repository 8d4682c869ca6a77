"""What is known of one email when a filter is judged: its own row, its person, their groups, its events."""

from dataclasses import dataclass
from typing import NamedTuple

from models.enums import EmailStatus, EngagementKind, EngagementVerdict, SendKind


class Event(NamedTuple):
    """One engagement. `url` is folded, and present on clicks only."""

    kind: EngagementKind
    verdict: EngagementVerdict
    occurred_at: int
    url: str | None = None


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
