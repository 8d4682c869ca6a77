"""Streams: the change log from a cursor on, as what can be said at once."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from command_center import ids
from command_center.changes import log
from command_center.changes.cursors import MalformedCursor, ReceivedCursor, parse
from command_center.changes.entries import LogEntry, StreamKind, Topic
from command_center.changes.subscribers import Expired, Subscriber
from command_center.errors import not_found, user_error
from models.enums import ChangeKind, UserErrorCode
from resolvers import searches
from resolvers.change_messages import CaughtUp, CursorExpired, EntryBatch, alone
from resolvers.context import Context


async def one_list(context: Context, search_id: str, after: str | None) -> AsyncGenerator[EntryBatch, None]:
    """The changes of one of the viewer's lists; ends after its deletion. Raises Refused before the first frame."""
    cursor = _parsed(after)
    search = await searches.one(context, search_id)
    key = ids.decode_key("SavedSearch", search_id) or 0
    # A list that was deleted while its reader was away is still followed to its end.
    if search is None and (cursor is None or not await _may_follow(context, key, cursor)):
        raise not_found(("savedSearchId",), "saved search")
    topic = Topic(context.viewer.user_id, StreamKind.SEARCHES, key)
    return _follow(context, topic, cursor, last=ChangeKind.SEARCH_DELETED, over=search is None)


async def all_lists(context: Context, after: str | None) -> AsyncGenerator[EntryBatch, None]:
    """The changes of all the viewer's lists, those to come included."""
    return _follow(context, Topic(context.viewer.user_id, StreamKind.SEARCHES), _parsed(after), last=None)


async def tasks(context: Context, after: str | None) -> AsyncGenerator[EntryBatch, None]:
    """The changes of all the viewer's tasks, those to come included. Never ends by itself."""
    return _follow(context, Topic(context.viewer.user_id, StreamKind.TASKS), _parsed(after), last=None)


async def engagement_feed(context: Context, after: str | None) -> AsyncGenerator[EntryBatch, None]:
    """What is recorded of the viewer's own emails, without their own doings."""
    return _follow(context, Topic(context.viewer.user_id, StreamKind.ENGAGEMENTS), _parsed(after), last=None)


def _parsed(after: str | None) -> ReceivedCursor | None:
    try:
        return None if after is None else parse(after)
    except MalformedCursor as exc:
        raise user_error(UserErrorCode.INVALID, ("after",), str(exc)) from exc


async def _may_follow(context: Context, key: int, after: ReceivedCursor) -> bool:
    """Whether a list that is not there was the viewer's, by the log. Of a cursor that the log does not reach back to it
    knows nothing any more: that is answered the same whatever the list."""
    state, reach = await log.locate(context.viewer.team_id, after)
    if reach is not log.Reach.REACHED:
        return True
    topic = Topic(context.viewer.user_id, StreamKind.SEARCHES, key)
    return bool(await log.read(topic, context.viewer.team_id, state.trimmed_to, state.position, 1))


def _follow(
    context: Context, topic: Topic, after: ReceivedCursor | None, last: ChangeKind | None, over: bool = False
) -> AsyncGenerator[EntryBatch, None]:
    # Whoever shows the frames sets the bell before asking for the first.
    def start() -> Awaitable[Subscriber]:
        return context.services.hub.subscribe(context.viewer.team_id, topic, after, context.bell, context.sink)

    return _frames(start, after, last, over)


async def _frames(
    start: Callable[[], Awaitable[Subscriber]], after: ReceivedCursor | None, last: ChangeKind | None, over: bool
) -> AsyncGenerator[EntryBatch, None]:
    """`last` is the kind of entry after which nothing follows; `over`: it has been written already. Whoever shows a
    frame looks at the rights of that moment."""
    try:
        follower = await start()
    except Expired:
        if after is not None:
            yield alone(CursorExpired(after))
        return
    try:
        if after is None and last is not None:
            # It may have been deleted since it was looked for, and then nothing more is ever said of it.
            newest = await log.latest(follower.topic, follower.feed.team_id, follower.start.position)
            over = newest is not None and newest.kind is last
        async for entries in follower.past():
            said = _upto(entries, last)
            yield EntryBatch(follower.start.identity, said)
            if said[-1].kind is last:
                return
        yield alone(CaughtUp(follower.start.cursor()))
        while not over and (entries := await follower.next()):
            said = _upto(entries, last)
            yield EntryBatch(follower.start.identity, said)
            over = said[-1].kind is last
    except Expired:
        yield alone(CursorExpired(follower.cursor()))
    finally:
        follower.close()


def _upto(entries: Sequence[LogEntry], last: ChangeKind | None) -> Sequence[LogEntry]:
    """Up to and including the first of a kind."""
    for place, entry in enumerate(entries):
        if entry.kind is last:
            return entries[: place + 1]
    return entries
