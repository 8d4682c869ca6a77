"""Turns entries of the change log into change messages.

Each message carries its cursor and the ids of its objects, which may have been deleted when a client receives it.
"""

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
from resolvers.searches import ChangeCause


@dataclass(frozen=True, slots=True)
class ChangeMessage:
    """One payload of a subscription.

    A client that passes `cursor` to a later subscription receives the messages after this one.
    """

    cursor: Cursor | ReceivedCursor


@dataclass(frozen=True, slots=True)
class CaughtUp(ChangeMessage):
    """All entries from before the subscription started have been sent."""


@dataclass(frozen=True, slots=True)
class CursorExpired(ChangeMessage):
    """The change log no longer contains the cursor's position.

    It is the last message of a stream.
    """


@dataclass(frozen=True, slots=True)
class SavedSearchMessage(ChangeMessage):
    """A message that concerns one list."""

    search_key: int

    @property
    def saved_search_id(self) -> str:
        return ids.encode("SavedSearch", self.search_key)

    async def load_saved_search(self, context: Context) -> SavedSearch | None:
        return await context.loaders.load_row(SavedSearch, self.search_key)


@dataclass(frozen=True, slots=True)
class SavedSearchUpserted(SavedSearchMessage):
    """A list was created or changed."""


@dataclass(frozen=True, slots=True)
class SavedSearchReset(SavedSearchMessage):
    """A list's members must be queried again."""


@dataclass(frozen=True, slots=True)
class SavedSearchDeleted(SavedSearchMessage):
    """A list was deleted."""


@dataclass(frozen=True, slots=True)
class MemberMessage(SavedSearchMessage):
    """A message that concerns one membership."""

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
    """A membership began."""

    async def load_member(self, context: Context) -> Membership | None:
        """Return the current state of the membership, or None if it has ended."""
        member = await context.loaders.load_row(Membership, self.member_key)
        if member is None or await searches.load_member_email(context, member) is None:
            return None
        return member if await self.load_saved_search(context) is not None else None


@dataclass(frozen=True, slots=True)
class MemberLeft(MemberMessage):
    """A membership ended."""

    cause: ChangeCause


@dataclass(frozen=True, slots=True)
class TaskMessage(ChangeMessage):
    """A message that concerns one task."""

    task_key: int

    @property
    def task_id(self) -> str:
        return ids.encode("Task", self.task_key)


@dataclass(frozen=True, slots=True)
class TaskUpserted(TaskMessage):
    """A task was created, changed or assigned to the viewer."""

    async def load_task(self, context: Context) -> Task | None:
        """Return the task, or None if it is deleted or the viewer may not see it."""
        task = await context.loaders.load_row(Task, self.task_key)
        return task if task is not None and task.is_visible_to(context.viewer) else None


@dataclass(frozen=True, slots=True)
class TaskDeleted(TaskMessage):
    """A task was deleted, or the viewer can no longer see it."""


@dataclass(frozen=True, slots=True)
class EngagementRecorded(ChangeMessage):
    """An event was recorded, changed or removed."""

    engagement_key: int

    @property
    def engagement_id(self) -> str:
        return ids.encode("Engagement", self.engagement_key)

    async def load_engagement(self, context: Context) -> Engagement | None:
        """Return the event, or None if the viewer's engagement feed lacks it.

        The feed contains neither events of deleted emails nor events whose verdict is that the sender acted.
        """
        event = await context.loaders.load_row(Engagement, self.engagement_key)
        if event is None or event.sender_id != context.viewer.user_id or event.verdict is EngagementVerdict.SELF:
            return None
        return event


def _message(entry: LogEntry, cursor: Cursor) -> ChangeMessage:
    """Return the change message of a log entry. It is the same on every stream.

    Raises: LookupError if this version does not know the kind of the entry.
    """
    search, member, email = entry.search_id or 0, entry.member_id or 0, entry.email_id or 0
    match entry.kind:
        case ChangeKind.MEMBER_JOINED:
            return MemberJoined(cursor, search, member, email)
        case ChangeKind.MEMBER_LEFT:
            cause = ChangeCause(entry.cause_kind or ChangeCauseKind.EMAIL_CHANGED, entry.engagement_id)
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


MessageKey = tuple[str, int, int | None, type[ChangeMessage] | None]
"""Identifies a message: the log's id, the position, the check value, and the type if it is not a log entry's."""


class EntryBatch(NamedTuple):
    """The change messages that are ready at one moment, in order.

    A batch has either log entries or one message that does not come from the log, such as CaughtUp. The entries are
    not converted to messages yet, because a broadcast group may have their rendered payloads already.
    """

    log: LogIdentity
    entries: Sequence[LogEntry] = ()
    message: ChangeMessage | None = None

    def message_keys(self) -> list[MessageKey]:
        """Return the keys under which the rendered messages are cached, in order.

        The key of a log entry is the same in all streams that contain the entry.
        """
        if self.message is not None:
            cursor = self.message.cursor
            return [(self.log.log_id, cursor.position, cursor.check_value, type(self.message))]
        return [(self.log.log_id, entry.position, entry.check_value, None) for entry in self.entries]

    def messages(self) -> dict[MessageKey, ChangeMessage]:
        """Create the messages and return them by key, in order."""
        if self.message is not None:
            return dict(zip(self.message_keys(), (self.message,), strict=True))
        messages = [_message(entry, Cursor(self.log, entry.position, entry.check_value)) for entry in self.entries]
        return dict(zip(self.message_keys(), messages, strict=True))


def make_single_batch(message: ChangeMessage) -> EntryBatch:
    """Return a batch of one message that does not come from the log."""
    return EntryBatch(LogIdentity(message.cursor.log_id), message=message)
