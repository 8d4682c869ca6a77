"""The hub: hands the log's new rows to the followers in this process, in order and without gaps.

Rows offered after a commit are passed on at once when they are the next ones; anything else is a hint to read the log.
A follower's queue is short. When it overflows it is dropped and the log is read again at the reader's pace: the log is
the buffer, so a slow reader slows nobody and misses nothing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from changes import log
from changes.cursors import Cursor
from changes.entries import Entry, Topic
from models.database import database
from models.unavailable import Outage, Unavailable

QUEUE = 256
POLL_SECONDS = 1.0
_logger = logging.getLogger("command_center.hub")


class Expired(Exception):
    """The log does not reach back to where the follower wants to go on."""


class LogLost(Unavailable):
    """The log cannot be read: better an end with an error than silence."""


class _Feed:
    """One team's rows on their way to this process: everything up to `position` was handed out."""

    def __init__(self, team_id: int, log_id: str, position: int) -> None:
        self.team_id = team_id
        self.log_id = log_id
        self.position = position
        self.followers: dict[Topic, set[Follower]] = {}
        self.reading: asyncio.Task[None] | None = None
        self.more = False

    def hand_out(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.position != self.position + 1:
                continue
            self.position = entry.position
            for topic in entry.topics():
                for follower in self.followers.get(topic, ()):
                    follower.push(entry)


class Hub:
    """All followers of this process. `queue` is how many rows may wait for one of them; `overflows` counts how often
    more came, and the log was read instead. `poll` is the pause between two looks at the logs, in seconds."""

    def __init__(self, queue: int = QUEUE, poll: float = POLL_SECONDS) -> None:
        self.queue = queue
        self.poll = poll
        self.overflows = 0
        self._feeds: dict[int, _Feed] = {}
        self._poll: asyncio.Task[None] | None = None
        self._outage = Outage(_logger, "the change log cannot be read")

    async def start(self) -> None:
        """Begins to look at the logs once a second, for rows that other processes wrote."""
        self._poll = asyncio.create_task(self._watch(), name="hub")

    async def stop(self) -> None:
        """Ends every stream."""
        tasks = [feed.reading for feed in self._feeds.values()] + [self._poll]
        for feed in list(self._feeds.values()):
            for followers in list(feed.followers.values()):
                for follower in list(followers):
                    follower.end()
        for task in tasks:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    @property
    def follower_count(self) -> int:
        """How many streams are open."""
        return sum(len(followers) for feed in self._feeds.values() for followers in feed.followers.values())

    def offer(self, entries: Sequence[Entry]) -> None:
        """Rows that have just been committed."""
        for entry in entries:
            feed = self._feeds.get(entry.team_id)
            if feed is None:
                continue
            if entry.position == feed.position + 1:
                feed.hand_out((entry,))
            elif entry.position > feed.position:
                self._read_soon(feed)

    async def follow(self, team_id: int, topic: Topic, after: Cursor | None) -> "Follower":
        """Joins before reading the log, so that nothing can fall between the two. Raises Expired."""
        feed = self._feeds.get(team_id)
        if feed is None:
            state = await log.state(team_id)
            feed = self._feeds.setdefault(team_id, _Feed(team_id, state.log_id, state.position))
        follower = Follower(self, feed, topic)
        feed.followers.setdefault(topic, set()).add(follower)
        try:
            state = await log.state(team_id)
            if after is not None and not state.reaches(after):
                raise Expired
        except BaseException:
            self.leave(follower)
            raise
        follower.begin(state, state.position if after is None else after.position)
        return follower

    def leave(self, follower: "Follower") -> None:
        feed = follower.feed
        followers = feed.followers.get(follower.topic, set())
        followers.discard(follower)
        if not followers:
            feed.followers.pop(follower.topic, None)
        if not feed.followers and self._feeds.get(feed.team_id) is feed and feed.reading is None:
            del self._feeds[feed.team_id]

    def _read_soon(self, feed: _Feed) -> None:
        feed.more = True
        if feed.reading is None:
            feed.reading = asyncio.create_task(self._read(feed), name=f"hub-read-{feed.team_id}")

    async def _read(self, feed: _Feed) -> None:
        try:
            while feed.more:
                feed.more = False
                while entries := await log.read_all(feed.team_id, feed.position):
                    feed.hand_out(entries)
                    if feed.position < entries[-1].position:
                        # Trimmed away under us: jump, and let each follower find out from the log itself.
                        feed.position = entries[-1].position
                        self._overflow(feed)
        except Exception as exc:
            self._outage.tell(exc)
            self._lose(feed)
        finally:
            feed.reading = None
            if not feed.followers and self._feeds.get(feed.team_id) is feed:
                del self._feeds[feed.team_id]

    @staticmethod
    def _overflow(feed: _Feed) -> None:
        for followers in feed.followers.values():
            for follower in followers:
                follower.overflow()

    @staticmethod
    def _lose(feed: _Feed) -> None:
        for followers in list(feed.followers.values()):
            for follower in list(followers):
                follower.lose()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.poll)
            if not self._feeds:
                continue
            # What is handed out while the answer is on its way is newer than the answer.
            reached = {team_id: feed.position for team_id, feed in self._feeds.items()}
            try:
                db = database()
                rows = await db.rows(
                    f"SELECT team_id, log_id, position FROM change_logs WHERE {db.within('team_id')}",
                    db.listed(reached),
                )
            except Exception as exc:
                self._outage.tell(exc)
                for feed in self._feeds.values():
                    self._lose(feed)
                continue
            for row in rows:
                known = self._feeds.get(row["team_id"])
                if known is None:
                    continue
                if row["log_id"] != known.log_id or row["position"] < reached[row["team_id"]]:
                    self._lose(known)
                elif row["position"] > known.position:
                    self._read_soon(known)


class Follower:
    """One open stream: the log up to now, then what comes. Leave it with `close`."""

    def __init__(self, hub: Hub, feed: _Feed, topic: Topic) -> None:
        self.feed = feed
        self.topic = topic
        self._hub = hub
        self._queue: deque[Entry] = deque()
        self._wake = asyncio.Event()
        self._overflowed = False
        self._ended = False
        self._lost = False
        self._position = 0
        self.start = log.LogState("", 0, 0)

    def begin(self, state: log.LogState, position: int) -> None:
        self.start = state
        self._position = position

    def push(self, entry: Entry) -> None:
        if self._overflowed:
            return
        if len(self._queue) >= self._hub.queue:
            self._hub.overflows += 1
            self.overflow()
            return
        self._queue.append(entry)
        self._wake.set()

    def overflow(self) -> None:
        self._queue.clear()
        self._overflowed = True
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def lose(self) -> None:
        self._lost = True
        self._wake.set()

    def close(self) -> None:
        self._hub.leave(self)

    def cursor(self, position: int) -> Cursor:
        """A place in the log that is followed."""
        return self.start.cursor(position)

    async def past(self) -> AsyncIterator[Entry]:
        """What was written between the cursor and the moment of joining. Raises Expired."""
        async for entry in self._replay(self.start.position):
            yield entry

    async def live(self) -> AsyncIterator[Entry]:
        """What is written from then on, for as long as anyone listens. Raises Expired and LogLost."""
        while True:
            if self._lost:
                raise LogLost("the change log cannot be read")
            if self._ended:
                return
            if self._overflowed:
                self._overflowed = False
                self._queue.clear()
                async for entry in self._replay(self.feed.position):
                    yield entry
                continue
            while self._queue and not self._overflowed:
                entry = self._queue.popleft()
                if entry.position > self._position:
                    self._position = entry.position
                    yield entry
            if not self._stirred():
                self._wake.clear()
                await self._wake.wait()

    def _stirred(self) -> bool:
        return bool(self._queue) or self._overflowed or self._ended or self._lost

    async def _replay(self, upto: int) -> AsyncIterator[Entry]:
        team_id = self.feed.team_id
        while self._position < upto:
            entries = await log.read(self.topic, team_id, self._position, upto)
            state = await log.state(team_id)
            if not state.reaches(self.start.cursor(self._position)):
                raise Expired
            for entry in entries:
                self._position = entry.position
                yield entry
            if len(entries) < log.PAGE:
                self._position = upto
