"""Followers: each has its own place in the log, a short queue of what comes next, and whatever wakes it.

A follower's queue is short. When it overflows it is dropped and the log is read again at the reader's pace. Followers
that have a bell in common are woken by it, when what they will ask for is there, or are given it without being woken.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import Protocol

from command_center.changes import log
from command_center.changes.cursors import Cursor, LogIdentity, ReceivedCursor
from command_center.changes.entries import LogEntry, Topic
from command_center.database.errors import Unavailable

BURST = 32
"""Entries that are handed to a reader at once: what they say is looked up together, and travels together."""


class Expired(Exception):
    """The log does not reach back to where the follower wants to go on."""


class LogLost(Unavailable):
    """The log cannot be read: better an end with an error than silence."""


Sink = Callable[[Sequence[bytes]], bool]
"""Takes what a reader is to hear, all or nothing and at once; False where it has to wait."""


class GroupNotifier(Protocol):
    """Wakes followers that have much in common, once what they will ask for first is there."""

    def notify(self, identity: LogIdentity, entries: Sequence[LogEntry], followers: "Collection[Subscriber]") -> None:
        """The entries, of one log, were put into the queues of the followers: each is to be woken, and soon."""


class Home(Protocol):
    """Where followers belong to, as they know it."""

    queue: int
    overflows: int

    def leave(self, follower: "Subscriber") -> None: ...


class Feed:
    """One team's rows on their way to this process: everything up to `position` was handed out.

    `check_value` is that of the entry there.
    """

    def __init__(self, team_id: int, state: log.LogState) -> None:
        self.team_id = team_id
        self.log = state.identity
        self.position = state.position
        self.check_value = state.check_value
        self.followers: dict[int, dict[Topic, dict[GroupNotifier | None, set[Subscriber]]]] = {}
        """By the user whose changes they follow: most rows are of users whom nobody follows at the moment."""
        self.reading: asyncio.Task[None] | None = None
        self.more = False

    def hand_out(self, entries: Sequence[LogEntry]) -> int:
        """Passes on the entries that are the next ones. Returns how many of them are of an unknown kind."""
        unknown = 0
        rung: dict[GroupNotifier, tuple[dict[int, LogEntry], set[Subscriber]]] = {}
        for entry in entries:
            if entry.position != self.position + 1:
                continue
            self.position, self.check_value = entry.position, entry.check_value
            unknown += entry.kind is None
            followed = self.followers.get(entry.owner_id)
            if followed is None:
                continue
            for topic in entry.topics():
                for bell, followers in followed.get(topic, _NOBODY).items():
                    for follower in followers:
                        follower.push(entry)
                    if bell is None:
                        _wake(followers)
                    else:
                        new, waiting = rung.setdefault(bell, ({}, set()))
                        new[entry.position] = entry
                        waiting |= followers
        for bell, (new, waiting) in rung.items():
            bell.notify(self.log, [*new.values()], waiting)
        return unknown

    def cursor(self) -> Cursor:
        """The place up to which everything was handed out."""
        return Cursor(self.log, self.position, self.check_value)

    def join(self, follower: "Subscriber") -> None:
        topic = follower.topic
        topics = self.followers.setdefault(topic.owner_id, {})
        topics.setdefault(topic, {}).setdefault(follower.bell, set()).add(follower)

    def leave(self, follower: "Subscriber") -> None:
        """Leaves no trace of it, if it is there."""
        topic = follower.topic
        topics = self.followers.get(topic.owner_id, {})
        bells = topics.get(topic, {})
        followers = bells.get(follower.bell, set())
        followers.discard(follower)
        if not followers:
            bells.pop(follower.bell, None)
        if not bells:
            topics.pop(topic, None)
        if not topics:
            self.followers.pop(topic.owner_id, None)

    def each(self) -> "list[Subscriber]":
        """All followers, whatever they follow."""
        return [
            each
            for topics in self.followers.values()
            for bells in topics.values()
            for followers in bells.values()
            for each in followers
        ]


def _wake(followers: "Iterable[Subscriber]") -> None:
    for follower in followers:
        follower.wake()


_NOBODY: "dict[GroupNotifier | None, set[Subscriber]]" = {}


class Subscriber:
    """One open stream: the log up to now, then what comes. Leave it with `close`. One reader at a time."""

    def __init__(self, home: Home, feed: Feed, topic: Topic, bell: GroupNotifier | None, sink: Sink | None) -> None:
        self.feed = feed
        self.topic = topic
        self.bell = bell
        self.sink = sink
        self._home = home
        self._queue: deque[LogEntry] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._overflowed = False
        self._ended = False
        self._lost = False
        self.position = 0
        """How far the reader has come."""
        self._check_value = 0
        """That of the entry there."""
        self._upto = Cursor(LogIdentity(""), 0, 0)
        """How far the log is read before the queue is looked at."""
        self._page: Sequence[LogEntry] = ()
        self._whole = True
        """Whether nothing is left in the log beyond the page."""
        self.start = log.LogState("", 0, 0)

    def begin(self, state: log.LogState, after: ReceivedCursor | None) -> None:
        """Starts after a cursor that the log reaches, or with what comes after the state."""
        self.start = state
        self._upto = state.cursor()
        self._reach(after or self._upto)

    def _reach(self, place: Cursor | ReceivedCursor | LogEntry) -> None:
        self.position, self._check_value = place.position, place.check_value or 0

    def push(self, entry: LogEntry) -> None:
        """One more to read; whoever calls sees to it that the reader is woken."""
        if self._overflowed:
            return
        if len(self._queue) >= self._home.queue:
            self._home.overflows += 1
            self.overflow()
            return
        self._queue.append(entry)

    def wake(self) -> None:
        """Has the reader look, if it waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def try_deliver(self, entries: Sequence[LogEntry], bodies: Sequence[bytes]) -> bool:
        """Gives what the entries say to a reader that waits for exactly them, without waking it, which would cost more
        than all the rest. False where nothing was done."""
        queue, waiting = self._queue, self._waiting
        if (
            self.sink is None
            or waiting is None
            or waiting.done()
            or len(queue) != len(entries)
            or queue[0] is not entries[0]
            or queue[-1] is not entries[-1]
            or queue[0].position <= self.position
            or not self.sink(bodies)
        ):
            return False
        self._reach(queue[-1])
        queue.clear()
        return True

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
        self._home.leave(self)

    def cursor(self) -> Cursor:
        """How far the reader has come."""
        return Cursor(self.start.identity, self.position, self._check_value)

    async def past(self) -> AsyncIterator[Sequence[LogEntry]]:
        """What was written between the cursor and the moment of joining. Raises Expired."""
        while entries := await self._replayed():
            yield entries

    async def live(self) -> AsyncIterator[Sequence[LogEntry]]:
        """What is written from then on, for as long as anyone listens. Raises Expired and LogLost."""
        while entries := await self.next():
            yield entries

    async def next(self) -> Sequence[LogEntry]:
        """All that has come since it was last asked for, but no more than BURST; none where the stream ends. Raises
        Expired and LogLost."""
        while True:
            if self._lost:
                raise LogLost("the change log cannot be read")
            if self._ended:
                return ()
            if self.position < self._upto.position and (entries := await self._replayed()):
                return entries
            if self._overflowed:
                self._overflowed = False
                self._queue.clear()
                self._upto = self.feed.cursor()
            elif self._queue:
                new = [self._queue.popleft() for _ in range(min(BURST, len(self._queue)))]
                if new[0].position <= self.position:
                    new = [entry for entry in new if entry.position > self.position]
                if new:
                    self._reach(new[-1])
                    return new
            else:
                self._waiting = asyncio.get_running_loop().create_future()
                await self._waiting

    async def _replayed(self) -> Sequence[LogEntry]:
        """The next entries out of the log; none once it was read as far as was wanted."""
        team_id = self.feed.team_id
        if not self._page and self.position < self._upto.position:
            self._page = await log.read(self.topic, team_id, self.position, self._upto.position)
            # Afterwards, because entries of the page may have been trimmed while it was read.
            _, reach = await log.locate(team_id, self.cursor())
            if reach is not log.Reach.REACHED:
                raise Expired
            self._whole = len(self._page) < log.PAGE
        part, self._page = self._page[:BURST], self._page[BURST:]
        if part:
            self._reach(part[-1])
        if not self._page and self._whole and self.position < self._upto.position:
            self._reach(self._upto)
        return part
