"""The events that callers want to record.

They are validated, and belong to a request that waits for their commit.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from command_center import ids
from command_center.actions.fair_queue import BatchPart
from command_center.actions.inputs import check_line, check_text
from command_center.actions.summaries import SummarizedEmail
from command_center.changes.idempotency import IdempotencyClaim
from command_center.errors import ErrorCollector, UserError
from models.enums import EngagementKind, EngagementVerdict, UserErrorCode
from models.viewers import Viewer

MAX_AHEAD_MICROS = 5 * 60 * 1_000_000
"""How far in the future an event may lie, because clocks differ."""
MAX_URL_CHARACTERS, MAX_DEDUPE_KEY_CHARACTERS = 4096, 255


class NewEvent(NamedTuple):
    """One observed event; `occurred_at` is in microseconds.

    `prefetch` means that the client declared a prefetch, and `head` that it sent a HEAD request. `device` is the key of
    the user whose signed cookie the client sent.
    """

    email_id: str
    kind: EngagementKind
    occurred_at: int
    dedupe_key: str
    verdict: EngagementVerdict | None = None
    url: str | None = None
    user_agent: str | None = None
    ip_address: str | None = None
    prefetch: bool = False
    head: bool = False
    device: int | None = None


@dataclass(slots=True)
class EngagementRecordResult:
    """Counts the events of one request, and holds the errors.

    `ignored` counts views and clicks of archived emails.
    """

    recorded: int = 0
    duplicates: int = 0
    ignored: int = 0
    errors: list[UserError] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class RecordRequest:
    """The valid events of one caller, who waits for `done`."""

    events: Sequence[tuple[int, int, NewEvent]]
    """Each event with its position in the request, and with the key of its email: 0 if the email's id is invalid."""
    viewer: Viewer | None
    outcome: EngagementRecordResult
    done: asyncio.Future[None]
    claim: IdempotencyClaim | None = None
    durable: bool = False
    """Whether the request stays in the retry buffer until it is stored, instead of failing if the database does."""
    dequeued_count: int = 0
    """Number of events that are committed or in the current batch."""

    @property
    def team_id(self) -> int | None:
        return None if self.viewer is None else self.viewer.team_id

    def resolve(self) -> None:
        """Complete the waiting caller's future."""
        if not self.done.done():
            self.done.set_result(None)

    def reset(self) -> "RecordRequest":
        """Mark all events of this request as not yet dequeued, and return the request.

        It is called before the request is queued again.
        """
        self.dequeued_count = 0
        return self

    def sees(self, email: SummarizedEmail) -> bool:
        """Return whether the caller may record events of this email.

        A request without a viewer comes from a signed link, which is sufficient permission.
        """
        return self.viewer is None or self.viewer.sees_mail_of(email.team_id, email.sender_id)


RequestPart: TypeAlias = BatchPart[RecordRequest]


def validate_event(event: NewEvent, index: int, errors: ErrorCollector) -> bool:
    """Return whether an event is valid, and add its errors.

    `index` is its position in the request.
    """
    path = ("events", str(index))
    before = len(errors)
    check_line(errors, event.dedupe_key, (*path, "dedupeKey"), "A dedupeKey", MAX_DEDUPE_KEY_CHARACTERS)
    if event.kind is EngagementKind.CLICK:
        check_line(errors, event.url or "", (*path, "url"), "The link of a click", MAX_URL_CHARACTERS)
    elif event.url is not None:
        errors.add(UserErrorCode.INVALID, (*path, "url"), "Only a click has a link.")
    if event.user_agent is not None:
        check_text(errors, event.user_agent, (*path, "userAgent"), "A user agent", MAX_URL_CHARACTERS)
    if event.ip_address is not None:
        check_text(errors, event.ip_address, (*path, "ipAddress"), "An IP address", 64)
    return len(errors) == before


def with_trimmed_key(event: NewEvent) -> NewEvent:
    """Return the event without white space around its dedupe key."""
    key = event.dedupe_key.strip()
    return event if key == event.dedupe_key else event._replace(dedupe_key=key)


def email_key(event: NewEvent) -> int:
    """Return the primary key of the event's email, or 0 if its global id is invalid."""
    return ids.decode_key("Email", event.email_id) or 0
