"""The hub: hands the log's new rows to the followers in this process, in order and without gaps.

Rows offered after a commit are passed on at once when they are the next ones; anything else is a hint to read the log.
The log is the buffer, so a slow reader slows nobody and misses nothing.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from command_center.changes import log, restores
from command_center.changes.cursors import Cursor, ReceivedCursor
from command_center.changes.entries import LogEntry, Topic
from command_center.changes.log import Diverged, LogState, Reach
from command_center.changes.subscribers import Expired, Feed, GroupNotifier, Sink, Subscriber
from command_center.database.connections import database
from command_center.database.errors import FailureLog

QUEUE = 256
POLL_SECONDS = 1.0
_logger = logging.getLogger("command_center.hub")


class Hub:
    """All followers of this process. `queue` is how many rows may wait for one of them; `overflows` counts how often
    more came, and the log was read instead; `unknown_entries` counts those skipped for their unknown kind. `poll` is
    the pause between two looks at the logs, in seconds."""

    def __init__(self, queue: int = QUEUE, poll: float = POLL_SECONDS) -> None:
        self.queue = queue
        self.poll = poll
        self.overflows = 0
        self.unknown_entries = 0
        self._feeds: dict[int, Feed] = {}
        self._poll: asyncio.Task[None] | None = None
        self._outage = FailureLog(_logger, "the change log cannot be read")

    async def start(self) -> None:
        """Begins to look at the logs once a second, for rows that other processes wrote."""
        self._poll = asyncio.create_task(self._watch(), name="hub")

    async def stop(self) -> None:
        """Ends every stream."""
        tasks = [feed.reading for feed in self._feeds.values()] + [self._poll]
        for feed in list(self._feeds.values()):
            for follower in feed.each():
                follower.end()
        for task in tasks:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    @property
    def subscriber_count(self) -> int:
        """How many streams are open."""
        return sum(len(feed.each()) for feed in self._feeds.values())

    def offer(self, entries: Sequence[LogEntry]) -> None:
        """Rows that have just been committed, one team's after the other's, each in the order of the log."""
        alone = bool(entries) and entries[0].team_id == entries[-1].team_id
        teams = {entries[0].team_id} if alone else {entry.team_id for entry in entries}
        for team_id in teams:
            feed = self._feeds.get(team_id)
            if feed is None:
                continue
            own = entries if alone else [entry for entry in entries if entry.team_id == team_id]
            self.unknown_entries += feed.hand_out(own)
            if own[-1].position > feed.position:
                self._read_soon(feed)

    async def subscribe(
        self,
        team_id: int,
        topic: Topic,
        after: ReceivedCursor | None,
        bell: GroupNotifier | None = None,
        sink: Sink | None = None,
    ) -> "Subscriber":
        """Joins before reading the log, so that nothing can fall between the two. Raises Expired."""
        while True:
            feed = self._feeds.get(team_id)
            if feed is None:
                state = await log.state(team_id)
                feed = self._feeds.setdefault(team_id, Feed(team_id, state))
            follower = Subscriber(self, feed, topic, bell, sink)
            feed.join(follower)
            try:
                known = feed.cursor()
                if after is None:
                    state, reach = await log.state(team_id), Reach.REACHED
                else:
                    state, reach = await log.locate(team_id, after)
                if after is not None and reach is Reach.DIVERGED:
                    await restores.pause_for(after, state.identity)
                if reach is not Reach.REACHED:
                    raise Expired
            except BaseException:
                self.leave(follower)
                raise
            if not _diverged(known, state):
                follower.begin(state, after)
                return follower
            self.leave(follower)
            self._drop(feed)

    def leave(self, follower: "Subscriber") -> None:
        feed = follower.feed
        feed.leave(follower)
        if not feed.followers and self._feeds.get(feed.team_id) is feed and feed.reading is None:
            del self._feeds[feed.team_id]

    def _read_soon(self, feed: Feed) -> None:
        feed.more = True
        if feed.reading is None:
            feed.reading = asyncio.create_task(self._read(feed), name=f"hub-read-{feed.team_id}")

    async def _read(self, feed: Feed) -> None:
        try:
            while feed.more:
                feed.more = False
                while entries := await log.read_on(feed.team_id, feed.cursor()):
                    self.unknown_entries += feed.hand_out(entries)
                    if feed.position < entries[-1].position:
                        # Trimmed away under us: jump, and let each follower find out from the log itself.
                        feed.position, feed.check_value = entries[-1].position, entries[-1].check_value
                        self._overflow(feed)
        except Diverged as exc:
            self._outage.warn(exc)
            self._drop(feed)
        except Exception as exc:
            self._outage.warn(exc)
            self._lose(feed)
        finally:
            feed.reading = None
            if not feed.followers and self._feeds.get(feed.team_id) is feed:
                del self._feeds[feed.team_id]

    @staticmethod
    def _overflow(feed: Feed) -> None:
        for follower in feed.each():
            follower.overflow()

    @staticmethod
    def _lose(feed: Feed) -> None:
        for follower in feed.each():
            follower.lose()

    def _drop(self, feed: Feed) -> None:
        """Ends the streams of a feed whose log was replaced; those that come next begin with the log as it is."""
        self._lose(feed)
        if self._feeds.get(feed.team_id) is feed:
            del self._feeds[feed.team_id]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.poll)
            if not self._feeds:
                continue
            # What is handed out while the answer is on its way is newer than the answer.
            reached = {team_id: feed.cursor() for team_id, feed in self._feeds.items()}
            try:
                db = database()
                rows = await db.fetch(
                    f"SELECT l.team_id, {log.STATE} FROM {log.STATES} WHERE {db.in_any('l.team_id')}",
                    db.array_param(reached),
                )
            except Exception as exc:
                self._outage.warn(exc)
                for feed in self._feeds.values():
                    self._lose(feed)
                continue
            for row in rows:
                team_id = row.pop("team_id")
                known, state = self._feeds.get(team_id), log.LogState(**row)
                if known is None:
                    continue
                if _diverged(reached[team_id], state):
                    _logger.warning("the change log of team %d was replaced: its streams end", team_id)
                    self._drop(known)
                elif state.position > known.position:
                    self._read_soon(known)


def _diverged(known: Cursor, state: LogState) -> bool:
    """Whether a log as read later does not have an entry that was known before. False if only reading it can tell."""
    if known.log != state.identity or state.position < known.position:
        return True
    return state.position == known.position and state.check_value != known.check_value
