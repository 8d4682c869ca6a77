"""Implements the server's side of open subscriptions.

A subscriber has a position in its team's log, a short queue of new entries, and a way to be woken. If its queue
overflows, the queue is dropped and the subscriber reads the log at its own pace. Subscribers of one broadcast group
share a `GroupNotifier`. It wakes them once the payload that they share is rendered, or delivers the payload without
waking them.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import Protocol

from command_center.changes import log
from command_center.changes.cursors import Cursor, LogIdentity, ReceivedCursor
from command_center.changes.entries import LogEntry, Topic
from command_center.database.errors import Unavailable

MAX_BATCH_ENTRIES = 32
"""The number of entries that a reader receives at once. They are loaded and sent together."""


class Expired(Exception):
    """The log cannot be read from a subscriber's cursor on.

    Entries after the cursor were trimmed, or the log does not have the entry at the cursor.
    """


class LogLost(Unavailable):
    """The change log cannot be read.

    A subscription ends with this error instead of staying open and silent.
    """


PayloadSender = Callable[[Sequence[bytes]], bool]
"""Sends payloads to the client at once, all or none; returns False if it would have to wait."""


class GroupNotifier(Protocol):
    """Wakes the subscribers of a broadcast group once their payload is rendered."""

    def notify(self, identity: LogIdentity, entries: Sequence[LogEntry], subscribers: "Collection[Subscriber]") -> None:
        """Handle new entries of one log, which are already in the subscribers' queues.

        Each of the subscribers must be woken, or must get the payload delivered, soon afterwards.
        """


class SubscriberOwner(Protocol):
    """The part of the hub's interface that its subscribers use."""

    max_queued_entries: int
    overflows: int

    def unsubscribe(self, subscriber: "Subscriber") -> None: ...


class TeamFeed:
    """Delivers the log entries of one team to this process's subscribers.

    `position` is that of the last entry delivered, and `check_value` is that entry's check value.
    """

    def __init__(self, team_id: int, state: log.LogState) -> None:
        self.team_id = team_id
        self.log_identity = state.identity
        self.position = state.position
        self.check_value = state.check_value
        self.subscribers: dict[int, dict[Topic, dict[GroupNotifier | None, set[Subscriber]]]] = {}
        """Grouped by owner first, because most entries belong to users that have no subscriber at the moment."""
        self.reader_task: asyncio.Task[None] | None = None
        self.must_read = False

    def deliver(self, entries: Sequence[LogEntry]) -> int:
        """Deliver the entries that follow the last one delivered, without a gap.

        Return how many of them are of a kind that this version does not know.
        """
        unknown = 0
        notifications: dict[GroupNotifier, tuple[dict[int, LogEntry], set[Subscriber]]] = {}
        for entry in entries:
            if entry.position != self.position + 1:
                continue
            self.position, self.check_value = entry.position, entry.check_value
            unknown += entry.kind is None
            topics = self.subscribers.get(entry.owner_id)
            if topics is None:
                continue
            for topic in entry.topics():
                for notifier, subscribers in topics.get(topic, _NO_SUBSCRIBERS).items():
                    for subscriber in subscribers:
                        subscriber.push(entry)
                    if notifier is None:
                        _wake(subscribers)
                    else:
                        new_entries, group_members = notifications.setdefault(notifier, ({}, set()))
                        new_entries[entry.position] = entry
                        group_members |= subscribers
        for notifier, (new_entries, group_members) in notifications.items():
            notifier.notify(self.log_identity, [*new_entries.values()], group_members)
        return unknown

    def cursor(self) -> Cursor:
        """Return the cursor of the last entry that was delivered."""
        return Cursor(self.log_identity, self.position, self.check_value)

    def add(self, subscriber: "Subscriber") -> None:
        """Register a subscriber."""
        topic = subscriber.topic
        topics = self.subscribers.setdefault(topic.owner_id, {})
        topics.setdefault(topic, {}).setdefault(subscriber.notifier, set()).add(subscriber)

    def remove(self, subscriber: "Subscriber") -> None:
        """Remove a subscriber. Does nothing if it is not registered."""
        topic = subscriber.topic
        topics = self.subscribers.get(topic.owner_id, {})
        notifiers = topics.get(topic, {})
        subscribers = notifiers.get(subscriber.notifier, set())
        subscribers.discard(subscriber)
        if not subscribers:
            notifiers.pop(subscriber.notifier, None)
        if not notifiers:
            topics.pop(topic, None)
        if not topics:
            self.subscribers.pop(topic.owner_id, None)

    def list_subscribers(self) -> "list[Subscriber]":
        """Return all subscribers of the team."""
        return [
            subscriber
            for topics in self.subscribers.values()
            for notifiers in topics.values()
            for subscribers in notifiers.values()
            for subscriber in subscribers
        ]


def _wake(subscribers: "Iterable[Subscriber]") -> None:
    for subscriber in subscribers:
        subscriber.wake()


_NO_SUBSCRIBERS: "dict[GroupNotifier | None, set[Subscriber]]" = {}


class Subscriber:
    """The server's side of one open subscription to a team's change log.

    It returns the entries between its cursor and the moment of subscribing, then new ones.

    It supports one reader at a time. Call `close` when done.
    """

    def __init__(
        self,
        owner: SubscriberOwner,
        feed: TeamFeed,
        topic: Topic,
        notifier: GroupNotifier | None,
        payload_sender: PayloadSender | None,
    ) -> None:
        self.feed = feed
        self.topic = topic
        self.notifier = notifier
        self.payload_sender = payload_sender
        self._owner = owner
        self._queue: deque[LogEntry] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._has_overflowed = False
        self._is_ended = False
        self._is_lost = False
        self.position = 0
        """The position up to which the reader has received entries."""
        self._check_value = 0
        """The check value of the entry at `position`."""
        self._up_to = Cursor(LogIdentity(""), 0, 0)
        """The cursor up to which the log is read before entries are taken from the queue."""
        self._page: Sequence[LogEntry] = ()
        self._page_is_last = True
        """Whether the log contains no more entries up to `_up_to` than those in `_page`."""
        self.initial_state = log.LogState("", 0, 0)

    def begin(self, state: log.LogState, after: ReceivedCursor | None) -> None:
        """Set where to start: after the cursor `after`, which the log must contain.

        If it is None, start after the last entry of `state`, the current state of the log.
        """
        self.initial_state = state
        self._up_to = state.cursor()
        self._move_to(after or self._up_to)

    def _move_to(self, target: Cursor | ReceivedCursor | LogEntry) -> None:
        self.position, self._check_value = target.position, target.check_value or 0

    def push(self, entry: LogEntry) -> None:
        """Add a log entry to the queue. The caller must wake the reader afterwards."""
        if self._has_overflowed:
            return
        if len(self._queue) >= self._owner.max_queued_entries:
            self._owner.overflows += 1
            self.overflow()
            return
        self._queue.append(entry)

    def wake(self) -> None:
        """Wake the reader if it waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def try_deliver(self, entries: Sequence[LogEntry], payloads: Sequence[bytes]) -> bool:
        """Send the payloads of new entries directly, if the reader waits for exactly them.

        Return False if nothing was sent.

        The reader is not woken, because switching to its task costs more than the delivery.
        """
        queue, waiter = self._queue, self._waiter
        if (
            self.payload_sender is None
            or waiter is None
            or waiter.done()
            or len(queue) != len(entries)
            or queue[0] is not entries[0]
            or queue[-1] is not entries[-1]
            or queue[0].position <= self.position
            or not self.payload_sender(payloads)
        ):
            return False
        self._move_to(queue[-1])
        queue.clear()
        return True

    def overflow(self) -> None:
        """Drop the queue and have the reader continue from the log."""
        self._queue.clear()
        self._has_overflowed = True
        self.wake()

    def end(self) -> None:
        """End the subscription normally."""
        self._is_ended = True
        self.wake()

    def fail(self) -> None:
        """End the subscription with LogLost."""
        self._is_lost = True
        self.wake()

    def close(self) -> None:
        """Unregister the subscriber."""
        self._owner.unsubscribe(self)

    def cursor(self) -> Cursor:
        """Return the cursor of the last entry that the reader has received."""
        return Cursor(self.initial_state.identity, self.position, self._check_value)

    async def replay(self) -> AsyncIterator[Sequence[LogEntry]]:
        """Iterate over the entries between the cursor and the moment of subscribing.

        Raises: Expired.
        """
        while entries := await self._read_next():
            yield entries

    async def live(self) -> AsyncIterator[Sequence[LogEntry]]:
        """Iterate over new entries until the subscription ends. Raises: Expired, LogLost."""
        while entries := await self.next():
            yield entries

    async def next(self) -> Sequence[LogEntry]:
        """Wait for new entries, and return at most MAX_BATCH_ENTRIES of them.

        If the subscription has ended, return none.

        Raises: Expired, LogLost.
        """
        while True:
            if self._is_lost:
                raise LogLost("the change log cannot be read")
            if self._is_ended:
                return ()
            if self.position < self._up_to.position and (entries := await self._read_next()):
                return entries
            if self._has_overflowed:
                self._has_overflowed = False
                self._queue.clear()
                self._up_to = self.feed.cursor()
            elif self._queue:
                batch = [self._queue.popleft() for _ in range(min(MAX_BATCH_ENTRIES, len(self._queue)))]
                if batch[0].position <= self.position:
                    batch = [entry for entry in batch if entry.position > self.position]
                if batch:
                    self._move_to(batch[-1])
                    return batch
            else:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter

    async def _read_next(self) -> Sequence[LogEntry]:
        """Return the next entries from the log, or none if it has been read far enough.

        It is read up to `_up_to`; later entries are in the queue.
        """
        team_id = self.feed.team_id
        if not self._page and self.position < self._up_to.position:
            self._page = await log.read_topic(self.topic, team_id, self.position, self._up_to.position)
            # Checked after reading, because entries of the page may have been trimmed meanwhile.
            _, reach = await log.locate(team_id, self.cursor())
            if reach is not log.Reach.REACHED:
                raise Expired
            self._page_is_last = len(self._page) < log.PAGE_ENTRIES
        batch, self._page = self._page[:MAX_BATCH_ENTRIES], self._page[MAX_BATCH_ENTRIES:]
        if batch:
            self._move_to(batch[-1])
        if not self._page and self._page_is_last and self.position < self._up_to.position:
            self._move_to(self._up_to)
        return batch
