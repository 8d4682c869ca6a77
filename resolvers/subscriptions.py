"""Resolves subscriptions to the change log, as streams of entry batches."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from command_center import ids
from command_center.changes import log
from command_center.changes.cursors import MalformedCursor, ReceivedCursor, parse
from command_center.changes.entries import LogEntry, StreamKind, Topic
from command_center.changes.subscribers import Expired, Subscriber
from command_center.errors import not_found, user_error
from models.enums import ChangeKind, UserErrorCode
from resolvers import searches
from resolvers.change_messages import CaughtUp, CursorExpired, EntryBatch, make_single_batch
from resolvers.context import Context


async def stream_list(context: Context, search_id: str, after: str | None) -> AsyncGenerator[EntryBatch, None]:
    """Stream the changes of one of the viewer's lists.

    The stream ends after the list's deletion.

    Raises: UserErrors before the first message if the cursor is malformed or the viewer has no such list.
    """
    cursor = _parse_cursor(after)
    search = await searches.load_search(context, search_id)
    key = ids.decode_key("SavedSearch", search_id) or 0
    # If the list was deleted while the client was disconnected, the client still receives the entries up to that.
    if search is None and (cursor is None or not await _may_resume_deleted(context, key, cursor)):
        raise not_found(("savedSearchId",), "saved search")
    topic = Topic(context.viewer.user_id, StreamKind.SEARCHES, key)
    return _stream(context, topic, cursor, last=ChangeKind.SEARCH_DELETED, is_over=search is None)


async def stream_all_lists(context: Context, after: str | None) -> AsyncGenerator[EntryBatch, None]:
    """Stream the changes of all the viewer's lists, including lists created later."""
    return _stream(context, Topic(context.viewer.user_id, StreamKind.SEARCHES), _parse_cursor(after), last=None)


async def stream_tasks(context: Context, after: str | None) -> AsyncGenerator[EntryBatch, None]:
    """Stream the changes of all the viewer's tasks, including tasks created later."""
    return _stream(context, Topic(context.viewer.user_id, StreamKind.TASKS), _parse_cursor(after), last=None)


async def stream_engagement_feed(context: Context, after: str | None) -> AsyncGenerator[EntryBatch, None]:
    """Stream the events on the viewer's emails, without the viewer's own actions."""
    return _stream(context, Topic(context.viewer.user_id, StreamKind.ENGAGEMENTS), _parse_cursor(after), last=None)


def _parse_cursor(after: str | None) -> ReceivedCursor | None:
    try:
        return None if after is None else parse(after)
    except MalformedCursor as exc:
        raise user_error(UserErrorCode.INVALID, ("after",), str(exc)) from exc


async def _may_resume_deleted(context: Context, key: int, after: ReceivedCursor) -> bool:
    """Return whether the change log shows that a deleted list was the viewer's.

    If the log no longer contains the cursor's position, the result is True for every list. The stream then reports
    that the cursor expired.
    """
    state, reach = await log.locate(context.viewer.team_id, after)
    if reach is not log.Reach.REACHED:
        return True
    topic = Topic(context.viewer.user_id, StreamKind.SEARCHES, key)
    return bool(await log.read_topic(topic, context.viewer.team_id, state.trimmed_to, state.position, 1))


def _stream(
    context: Context, topic: Topic, after: ReceivedCursor | None, last: ChangeKind | None, is_over: bool = False
) -> AsyncGenerator[EntryBatch, None]:
    # The context is read when the first batch is requested, because the API sets the group's notifier before that.
    def subscribe() -> Awaitable[Subscriber]:
        return context.services.hub.subscribe(context.viewer.team_id, topic, after, context.notifier, context.sink)

    return _batches(subscribe, after, last, is_over)


async def _batches(
    subscribe: Callable[[], Awaitable[Subscriber]], after: ReceivedCursor | None, last: ChangeKind | None, is_over: bool
) -> AsyncGenerator[EntryBatch, None]:
    """Subscribe, and yield the entries after a cursor, then CaughtUp, then new entries.

    `last` is the kind of entry that ends the stream. `is_over` is true if the log already contains such an entry. The
    caller checks the viewer's permissions when it renders a message.
    """
    try:
        subscriber = await subscribe()
    except Expired:
        if after is not None:
            yield make_single_batch(CursorExpired(after))
        return
    try:
        if after is None and last is not None:
            # The list may have been deleted after it was looked up. Then no entry would ever end the stream.
            newest = await log.find_latest_entry(
                subscriber.topic, subscriber.feed.team_id, subscriber.initial_state.position
            )
            is_over = newest is not None and newest.kind is last
        async for entries in subscriber.replay():
            batch = _take_through(entries, last)
            yield EntryBatch(subscriber.initial_state.identity, batch)
            if batch[-1].kind is last:
                return
        yield make_single_batch(CaughtUp(subscriber.initial_state.cursor()))
        while not is_over and (entries := await subscriber.next()):
            batch = _take_through(entries, last)
            yield EntryBatch(subscriber.initial_state.identity, batch)
            is_over = batch[-1].kind is last
    except Expired:
        yield make_single_batch(CursorExpired(subscriber.cursor()))
    finally:
        subscriber.close()


def _take_through(entries: Sequence[LogEntry], last: ChangeKind | None) -> Sequence[LogEntry]:
    """Return the entries up to and including the first of the kind `last`.

    If there is no such entry, return all.
    """
    for index, entry in enumerate(entries):
        if entry.kind is last:
            return entries[: index + 1]
    return entries
