"""The hub: hands the log's new rows to the followers in this process, in order and without gaps.

Rows offered after a commit are passed on at once when they are the next ones; anything else is a hint to read the log.
A follower's queue is short. When it overflows it is dropped and the log is read again at the reader's pace: the log is
the buffer, so a slow reader slows nobody and misses nothing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress
from typing import Protocol

from changes import log
from changes.cursors import Cursor
from changes.entries import Entry, Topic
from models.database import database
from models.unavailable import Outage, Unavailable

QUEUE = 256
BURST = 32
"""Entries that are handed to a reader at once: what they say is looked up together, and travels together."""
POLL_SECONDS = 1.0
_logger = logging.getLogger("command_center.hub")


class Expired(Exception):
    """The log does not reach back to where the follower wants to go on."""


class LogLost(Unavailable):
    """The log cannot be read: better an end with an error than silence."""


class Bell(Protocol):
    """Wakes followers that have much in common, once what they will ask for first is there."""

    def ring(self, log_id: str, entries: Sequence[Entry], followers: "Collection[Follower]") -> None:
        """The entries, of one log, were put into the queues of the followers: each is to be woken, and soon."""


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
        rung: dict[Bell, tuple[dict[int, Entry], set[Follower]]] = {}
        for entry in entries:
            if entry.position != self.position + 1:
                continue
            self.position = entry.position
            for topic in entry.topics():
                for follower in self.followers.get(topic, ()):
                    follower.push(entry)
                    if follower.bell is None:
                        follower.wake()
                        continue
                    found = rung.get(follower.bell)
                    if found is None:
                        found = rung[follower.bell] = ({}, set())
                    found[0][entry.position] = entry
                    found[1].add(follower)
        for bell, (new, followers) in rung.items():
            bell.ring(self.log_id, [*new.values()], followers)


class Hub:
    """All followers of this process. `queue` is how many rows may wait for one of them; `overflows` counts how often
    more came, and the log was read instead. `poll` is the pause between two looks at the logs, in seconds. `rights`
    counts how often anybody's rights were changed by this process."""

    def __init__(self, queue: int = QUEUE, poll: float = POLL_SECONDS) -> None:
        self.queue = queue
        self.poll = poll
        self.overflows = 0
        self.rights = 0
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
        for team_id in {entry.team_id for entry in entries}:
            feed = self._feeds.get(team_id)
            if feed is None:
                continue
            own = [entry for entry in entries if entry.team_id == team_id]
            feed.hand_out(own)
            if any(entry.position > feed.position for entry in own):
                self._read_soon(feed)

    async def follow(self, team_id: int, topic: Topic, after: Cursor | None, bell: Bell | None = None) -> "Follower":
        """Joins before reading the log, so that nothing can fall between the two. Raises Expired."""
        feed = self._feeds.get(team_id)
        if feed is None:
            state = await log.state(team_id)
            feed = self._feeds.setdefault(team_id, _Feed(team_id, state.log_id, state.position))
        follower = Follower(self, feed, topic, bell)
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
    """One open stream: the log up to now, then what comes. Leave it with `close`. One reader at a time."""

    def __init__(self, hub: Hub, feed: _Feed, topic: Topic, bell: Bell | None) -> None:
        self.feed = feed
        self.topic = topic
        self.bell = bell
        self._hub = hub
        self._queue: deque[Entry] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._overflowed = False
        self._ended = False
        self._lost = False
        self._position = 0
        self._upto = 0
        """How far the log is read before the queue is looked at."""
        self._page: Sequence[Entry] = ()
        self._whole = True
        """Whether nothing is left in the log beyond the page."""
        self.start = log.LogState("", 0, 0)

    def begin(self, state: log.LogState, position: int) -> None:
        self.start = state
        self._position = position
        self._upto = state.position

    def push(self, entry: Entry) -> None:
        """One more to read; whoever calls sees to it that the reader is woken."""
        if self._overflowed:
            return
        if len(self._queue) >= self._hub.queue:
            self._hub.overflows += 1
            self.overflow()
            return
        self._queue.append(entry)

    def wake(self) -> None:
        """Has the reader look, if it waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def overflow(self) -> None:
        self._queue.clear()
        self._overflowed = True
        self.wake()

    def end(self) -> None:
        self._ended = True
        self.wake()

    def lose(self) -> None:
        self._lost = True
        self.wake()

    def close(self) -> None:
        self._hub.leave(self)

    def cursor(self, position: int) -> Cursor:
        """A place in the log that is followed."""
        return self.start.cursor(position)

    async def past(self) -> AsyncIterator[Sequence[Entry]]:
        """What was written between the cursor and the moment of joining. Raises Expired."""
        while entries := await self._replayed():
            yield entries

    async def live(self) -> AsyncIterator[Sequence[Entry]]:
        """What is written from then on, for as long as anyone listens. Raises Expired and LogLost."""
        while entries := await self.next():
            yield entries

    async def next(self) -> Sequence[Entry]:
        """All that has come since it was last asked for, but no more than BURST; none where the stream ends. Raises
        Expired and LogLost."""
        while True:
            if self._lost:
                raise LogLost("the change log cannot be read")
            if self._ended:
                return ()
            if self._position < self._upto and (entries := await self._replayed()):
                return entries
            if self._overflowed:
                self._overflowed = False
                self._queue.clear()
                self._upto = self.feed.position
            elif self._queue:
                new = [self._queue.popleft() for _ in range(min(BURST, len(self._queue)))]
                if new[0].position <= self._position:
                    new = [entry for entry in new if entry.position > self._position]
                if new:
                    self._position = new[-1].position
                    return new
            else:
                self._waiting = asyncio.get_running_loop().create_future()
                await self._waiting

    async def _replayed(self) -> Sequence[Entry]:
        """The next entries out of the log; none once it was read as far as was wanted."""
        team_id = self.feed.team_id
        if not self._page and self._position < self._upto:
            self._page = await log.read(self.topic, team_id, self._position, self._upto)
            state = await log.state(team_id)
            if not state.reaches(self.start.cursor(self._position)):
                raise Expired
            self._whole = len(self._page) < log.PAGE
        part, self._page = self._page[:BURST], self._page[BURST:]
        if part:
            self._position = part[-1].position
        if not self._page and self._whole:
            self._position = max(self._position, self._upto)
        return part
