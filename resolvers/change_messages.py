"""Frames: what rows of the change log say. Each carries its cursor, and the ids of what may be gone when it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from command_center import ids
from command_center.changes.cursors import Cursor, LogIdentity, ReceivedCursor
from command_center.changes.entries import LogEntry
from models.engagements import Engagement
from models.enums import ChangeCauseKind, ChangeKind, EngagementVerdict
from models.searches import Membership, SavedSearch
from models.tasks import Task
from resolvers import searches
from resolvers.context import Context
from resolvers.searches import Cause


@dataclass(frozen=True, slots=True)
class ChangeMessage:
    """One thing that a stream says."""

    cursor: Cursor | ReceivedCursor


@dataclass(frozen=True, slots=True)
class CaughtUp(ChangeMessage):
    pass


@dataclass(frozen=True, slots=True)
class CursorExpired(ChangeMessage):
    pass


@dataclass(frozen=True, slots=True)
class SavedSearchMessage(ChangeMessage):
    """Something about one list."""

    search_key: int

    @property
    def saved_search_id(self) -> str:
        return ids.encode("SavedSearch", self.search_key)

    async def saved_search(self, context: Context) -> SavedSearch | None:
        return await context.loaders.row(SavedSearch, self.search_key)


@dataclass(frozen=True, slots=True)
class SavedSearchUpserted(SavedSearchMessage):
    pass


@dataclass(frozen=True, slots=True)
class SavedSearchReset(SavedSearchMessage):
    pass


@dataclass(frozen=True, slots=True)
class SavedSearchDeleted(SavedSearchMessage):
    pass


@dataclass(frozen=True, slots=True)
class MemberMessage(SavedSearchMessage):
    member_key: int
    email_key: int

    @property
    def member_id(self) -> str:
        return ids.encode("SavedSearchMember", self.member_key)

    @property
    def email_id(self) -> str:
        return ids.encode("Email", self.email_key)


@dataclass(frozen=True, slots=True)
class MemberJoined(MemberMessage):
    async def member(self, context: Context) -> Membership | None:
        """As it is now; None where the stay has ended."""
        member = await context.loaders.row(Membership, self.member_key)
        if member is None or await searches.email_of(context, member) is None:
            return None
        return member if await self.saved_search(context) is not None else None


@dataclass(frozen=True, slots=True)
class MemberLeft(MemberMessage):
    cause: Cause


@dataclass(frozen=True, slots=True)
class TaskMessage(ChangeMessage):
    """Something about one task."""

    task_key: int

    @property
    def task_id(self) -> str:
        return ids.encode("Task", self.task_key)


@dataclass(frozen=True, slots=True)
class TaskUpserted(TaskMessage):
    async def task(self, context: Context) -> Task | None:
        """As it is now; None where it is gone, or no longer the viewer's to see."""
        task = await context.loaders.row(Task, self.task_key)
        return task if task is not None and task.is_visible_to(context.viewer) else None


@dataclass(frozen=True, slots=True)
class TaskDeleted(TaskMessage):
    pass


@dataclass(frozen=True, slots=True)
class EngagementRecorded(ChangeMessage):
    engagement_key: int

    @property
    def engagement_id(self) -> str:
        return ids.encode("Engagement", self.engagement_key)

    async def engagement(self, context: Context) -> Engagement | None:
        """As it is now; None where its email is gone, or where it turned out to be the sender's own: the feed holds
        neither."""
        event = await context.loaders.row(Engagement, self.engagement_key)
        if event is None or event.sender_id != context.viewer.user_id or event.verdict is EngagementVerdict.SELF:
            return None
        return event


def _message(entry: LogEntry, cursor: Cursor) -> ChangeMessage:
    """What one row of the log says, on whatever stream."""
    search, member, email = entry.search_id or 0, entry.member_id or 0, entry.email_id or 0
    match entry.kind:
        case ChangeKind.MEMBER_JOINED:
            return MemberJoined(cursor, search, member, email)
        case ChangeKind.MEMBER_LEFT:
            cause = Cause(entry.cause_kind or ChangeCauseKind.EMAIL_CHANGED, entry.engagement_id)
            return MemberLeft(cursor, search, member, email, cause)
        case ChangeKind.SEARCH_UPSERTED:
            return SavedSearchUpserted(cursor, search)
        case ChangeKind.SEARCH_RESET:
            return SavedSearchReset(cursor, search)
        case ChangeKind.SEARCH_DELETED:
            return SavedSearchDeleted(cursor, search)
        case ChangeKind.TASK_UPSERTED:
            return TaskUpserted(cursor, entry.task_id or 0)
        case ChangeKind.TASK_DELETED:
            return TaskDeleted(cursor, entry.task_id or 0)
        case ChangeKind.ENGAGEMENT_RECORDED:
            return EngagementRecorded(cursor, entry.engagement_id or 0)
        case None:
            raise LookupError("an entry of an unknown kind belongs to no stream")


Place = tuple[str, int, int | None, type[ChangeMessage] | None]


class EntryBatch(NamedTuple):
    """What can be said at once, in order: rows of a log, or a frame that is none. Whoever shows it has the frames made,
    unless it knows by their places what they come to."""

    log: LogIdentity
    entries: Sequence[LogEntry] = ()
    frame: ChangeMessage | None = None

    def places(self) -> list[Place]:
        """What tells the frames apart, whoever follows: a row has one frame in whatever streams it belongs to."""
        if self.frame is not None:
            cursor = self.frame.cursor
            return [(self.log.log_id, cursor.position, cursor.check_value, type(self.frame))]
        return [(self.log.log_id, entry.position, entry.check_value, None) for entry in self.entries]

    def frames(self) -> dict[Place, ChangeMessage]:
        if self.frame is not None:
            return dict(zip(self.places(), (self.frame,), strict=True))
        made = [_message(entry, Cursor(self.log, entry.position, entry.check_value)) for entry in self.entries]
        return dict(zip(self.places(), made, strict=True))


def alone(frame: ChangeMessage) -> EntryBatch:
    return EntryBatch(LogIdentity(frame.cursor.log_id), frame=frame)
