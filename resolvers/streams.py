"""Streams: the change log as frames. A frame carries its cursor, and the ids of what may be gone when it is read."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import identifiers
from changes import log
from changes.cursors import Cursor, MalformedCursor, parse
from changes.entries import Entry, Family, Topic
from changes.hub import Expired, Follower
from models.engagements import Engagement
from models.enums import ChangeCauseKind, ChangeKind, EngagementVerdict, UserErrorCode
from models.searches import Membership, SavedSearch
from models.tasks import Task
from refusals import not_found, refused
from resolvers import searches
from resolvers.context import Context
from resolvers.searches import Cause


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing that a stream says."""

    cursor: Cursor


@dataclass(frozen=True, slots=True)
class CaughtUp(Frame):
    pass


@dataclass(frozen=True, slots=True)
class CursorExpired(Frame):
    pass


@dataclass(frozen=True, slots=True)
class SearchFrame(Frame):
    """Something about one list."""

    search_key: int

    @property
    def saved_search_id(self) -> str:
        return identifiers.encode("SavedSearch", self.search_key)

    async def saved_search(self, context: Context) -> SavedSearch | None:
        return await context.loaders.row(SavedSearch, self.search_key)


@dataclass(frozen=True, slots=True)
class SavedSearchUpserted(SearchFrame):
    pass


@dataclass(frozen=True, slots=True)
class SavedSearchReset(SearchFrame):
    pass


@dataclass(frozen=True, slots=True)
class SavedSearchDeleted(SearchFrame):
    pass


@dataclass(frozen=True, slots=True)
class MemberFrame(SearchFrame):
    member_key: int
    email_key: int

    @property
    def member_id(self) -> str:
        return identifiers.encode("SavedSearchMember", self.member_key)

    @property
    def email_id(self) -> str:
        return identifiers.encode("Email", self.email_key)


@dataclass(frozen=True, slots=True)
class MemberJoined(MemberFrame):
    async def member(self, context: Context) -> Membership | None:
        """As it is now; None where the stay has ended."""
        member = await context.loaders.row(Membership, self.member_key)
        if member is None or await searches.email_of(context, member) is None:
            return None
        return member if await self.saved_search(context) is not None else None


@dataclass(frozen=True, slots=True)
class MemberLeft(MemberFrame):
    cause: Cause


@dataclass(frozen=True, slots=True)
class TaskFrame(Frame):
    """Something about one task."""

    task_key: int

    @property
    def task_id(self) -> str:
        return identifiers.encode("Task", self.task_key)


@dataclass(frozen=True, slots=True)
class TaskUpserted(TaskFrame):
    async def task(self, context: Context) -> Task | None:
        """As it is now; None where it is gone, or no longer the viewer's to see."""
        task = await context.loaders.row(Task, self.task_key)
        return task if task is not None and task.seen_by(context.viewer) else None


@dataclass(frozen=True, slots=True)
class TaskDeleted(TaskFrame):
    pass


@dataclass(frozen=True, slots=True)
class EngagementRecorded(Frame):
    engagement_key: int

    @property
    def engagement_id(self) -> str:
        return identifiers.encode("Engagement", self.engagement_key)

    async def engagement(self, context: Context) -> Engagement | None:
        """As it is now; None where its email is gone, or where it turned out to be the sender's own: the feed holds
        neither."""
        event = await context.loaders.row(Engagement, self.engagement_key)
        if event is None or event.sender_id != context.viewer.user_id or event.verdict is EngagementVerdict.SELF:
            return None
        return event


def _frame(entry: Entry, cursor: Cursor) -> Frame:
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
        case other:
            raise LookupError(f"no frame says {other.name}")


Place = tuple[str, int, type[Frame] | None]


@dataclass(frozen=True, slots=True)
class Burst:
    """What can be said at once, in order: rows of a log, or a frame that is none. Whoever shows it has the frames made,
    unless it knows by their places what they come to."""

    log_id: str
    entries: Sequence[Entry] = ()
    frame: Frame | None = None

    def places(self) -> list[Place]:
        """What tells the frames apart, whoever follows: a row has one frame in whatever streams it belongs to."""
        if self.frame is not None:
            return [(self.log_id, self.frame.cursor.position, type(self.frame))]
        return [(self.log_id, entry.position, None) for entry in self.entries]

    def frames(self) -> dict[Place, Frame]:
        if self.frame is not None:
            return dict(zip(self.places(), (self.frame,), strict=True))
        made = [_frame(entry, Cursor(self.log_id, entry.position)) for entry in self.entries]
        return dict(zip(self.places(), made, strict=True))


def _burst(frame: Frame) -> Burst:
    return Burst(frame.cursor.log_id, frame=frame)


async def one_list(context: Context, search_id: str, after: str | None) -> AsyncGenerator[Burst, None]:
    """The changes of one of the viewer's lists; ends after its deletion. Raises Refused before the first frame."""
    cursor = _parsed(after)
    search = await searches.one(context, search_id)
    key = identifiers.decode_key("SavedSearch", search_id) or 0
    # A list that was deleted while its reader was away is still followed to its end.
    if search is None and (cursor is None or not await _may_follow(context, key, cursor)):
        raise not_found(("savedSearchId",), "saved search")
    topic = Topic(context.viewer.user_id, Family.SEARCHES, key)
    return _follow(context, topic, cursor, last=ChangeKind.SEARCH_DELETED, over=search is None)


async def all_lists(context: Context, after: str | None) -> AsyncGenerator[Burst, None]:
    """The changes of all the viewer's lists, those to come included."""
    return _follow(context, Topic(context.viewer.user_id, Family.SEARCHES), _parsed(after), last=None)


async def tasks(context: Context, after: str | None) -> AsyncGenerator[Burst, None]:
    """The changes of all the viewer's tasks, those to come included. Never ends by itself."""
    return _follow(context, Topic(context.viewer.user_id, Family.TASKS), _parsed(after), last=None)


async def engagement_feed(context: Context, after: str | None) -> AsyncGenerator[Burst, None]:
    """What is recorded of the viewer's own emails, without their own doings."""
    return _follow(context, Topic(context.viewer.user_id, Family.ENGAGEMENTS), _parsed(after), last=None)


def _parsed(after: str | None) -> Cursor | None:
    try:
        return None if after is None else parse(after)
    except MalformedCursor as exc:
        raise refused(UserErrorCode.INVALID, ("after",), str(exc)) from exc


async def _may_follow(context: Context, key: int, after: Cursor) -> bool:
    """Whether a list that is not there was the viewer's, by the log. Of a cursor that the log does not reach back to it
    knows nothing any more: that is answered the same whatever the list."""
    state = await log.state(context.viewer.team_id)
    if not state.reaches(after):
        return True
    topic = Topic(context.viewer.user_id, Family.SEARCHES, key)
    return bool(await log.read(topic, context.viewer.team_id, state.trimmed_to, state.position, 1))


def _follow(
    context: Context, topic: Topic, after: Cursor | None, last: ChangeKind | None, over: bool = False
) -> AsyncGenerator[Burst, None]:
    # Whoever shows the frames sets the bell before asking for the first.
    def start() -> Awaitable[Follower]:
        return context.services.hub.follow(context.viewer.team_id, topic, after, context.bell)

    return _frames(start, after, last, over)


async def _frames(
    start: Callable[[], Awaitable[Follower]], after: Cursor | None, last: ChangeKind | None, over: bool
) -> AsyncGenerator[Burst, None]:
    """`last` is the kind of entry after which nothing follows; `over`: it has been written already. Whoever shows a
    frame looks at the rights of that moment."""
    try:
        follower = await start()
    except Expired:
        if after is not None:
            yield _burst(CursorExpired(after))
        return
    reached = follower.start.position if after is None else after.position
    try:
        if after is None and last is not None:
            # It may have been deleted since it was looked for, and then nothing more is ever said of it.
            newest = await log.latest(follower.topic, follower.feed.team_id, follower.start.position)
            over = newest is not None and newest.kind is last
        async for entries in follower.past():
            said = _upto(entries, last)
            reached = said[-1].position
            yield Burst(follower.start.log_id, said)
            if said[-1].kind is last:
                return
        yield _burst(CaughtUp(follower.cursor(follower.start.position)))
        while not over and (entries := await follower.next()):
            said = _upto(entries, last)
            reached = said[-1].position
            yield Burst(follower.start.log_id, said)
            over = said[-1].kind is last
    except Expired:
        yield _burst(CursorExpired(follower.cursor(reached)))
    finally:
        follower.close()


def _upto(entries: Sequence[Entry], last: ChangeKind | None) -> Sequence[Entry]:
    """Up to and including the first of a kind."""
    for place, entry in enumerate(entries):
        if entry.kind is last:
            return entries[: place + 1]
    return entries
