"""Delivers new log entries to the subscribers of this process.

Each subscriber gets them in order and without gaps.

Entries offered after a commit are delivered at once if they are the next ones; otherwise the hub reads the log. The log
is the buffer, so a slow reader delays no other and misses nothing.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from command_center.changes import log, restores
from command_center.changes.cursors import Cursor, ReceivedCursor
from command_center.changes.entries import LogEntry, Topic
from command_center.changes.log import Diverged, LogState, Reach
from command_center.changes.subscribers import Expired, GroupNotifier, PayloadSender, Subscriber, TeamFeed
from command_center.database.connections import database
from command_center.database.errors import FailureLog

MAX_QUEUED_ENTRIES = 256
"""The number of entries that may be queued for one subscriber."""
POLL_INTERVAL_SECONDS = 1.0
"""The interval at which the log is polled for entries of other processes."""
_logger = logging.getLogger("command_center.hub")


class Hub:
    """Delivers log entries to all subscribers of this process.

    - `max_queued_entries`: how many entries may be queued for one subscriber.
    - `poll_seconds`: the interval of polling the logs.
    - `overflows`: how often a queue was full, so that the subscriber read the log instead.
    - `unknown_entries`: how many entries were skipped because this version does not know their kind.
    """

    def __init__(
        self, max_queued_entries: int = MAX_QUEUED_ENTRIES, poll_seconds: float = POLL_INTERVAL_SECONDS
    ) -> None:
        self.max_queued_entries = max_queued_entries
        self.poll_seconds = poll_seconds
        self.overflows = 0
        self.unknown_entries = 0
        self._feeds: dict[int, TeamFeed] = {}
        self._poll_task: asyncio.Task[None] | None = None
        self._failures = FailureLog(_logger, "the change log cannot be read")

    async def start(self) -> None:
        """Start polling the logs for entries that other processes wrote."""
        self._poll_task = asyncio.create_task(self._poll_logs(), name="hub")

    async def stop(self) -> None:
        """End all subscriptions, and stop reading and polling."""
        tasks = [feed.reader_task for feed in self._feeds.values()] + [self._poll_task]
        for feed in list(self._feeds.values()):
            for subscriber in feed.list_subscribers():
                subscriber.end()
        for task in tasks:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    @property
    def subscriber_count(self) -> int:
        """The number of open subscriptions."""
        return sum(len(feed.list_subscribers()) for feed in self._feeds.values())

    def offer(self, entries: Sequence[LogEntry]) -> None:
        """Deliver log entries that were just committed.

        They must be grouped by team, each group in the order of the log.
        """
        is_one_team = bool(entries) and entries[0].team_id == entries[-1].team_id
        teams = {entries[0].team_id} if is_one_team else {entry.team_id for entry in entries}
        for team_id in teams:
            feed = self._feeds.get(team_id)
            if feed is None:
                continue
            team_entries = entries if is_one_team else [entry for entry in entries if entry.team_id == team_id]
            self.unknown_entries += feed.deliver(team_entries)
            if team_entries[-1].position > feed.position:
                self._read_soon(feed)

    async def subscribe(
        self,
        team_id: int,
        topic: Topic,
        after: ReceivedCursor | None,
        notifier: GroupNotifier | None = None,
        payload_sender: PayloadSender | None = None,
    ) -> "Subscriber":
        """Return a new subscriber to the entries after a cursor, or to new ones only.

        The subscriber is registered before the log is read, so that no entry is missed in between.

        Raises: Expired if the log cannot be read from the cursor on.
        """
        while True:
            feed = self._feeds.get(team_id)
            if feed is None:
                state = await log.load_state(team_id)
                feed = self._feeds.setdefault(team_id, TeamFeed(team_id, state))
            subscriber = Subscriber(self, feed, topic, notifier, payload_sender)
            feed.add(subscriber)
            try:
                feed_cursor = feed.cursor()
                if after is None:
                    state, reach = await log.load_state(team_id), Reach.REACHED
                else:
                    state, reach = await log.locate(team_id, after)
                if after is not None and reach is Reach.DIVERGED:
                    await restores.pause_for_cursor(after, state.identity)
                if reach is not Reach.REACHED:
                    raise Expired
            except BaseException:
                self.unsubscribe(subscriber)
                raise
            if not _has_diverged(feed_cursor, state):
                subscriber.begin(state, after)
                return subscriber
            self.unsubscribe(subscriber)
            self._drop_feed(feed)

    def unsubscribe(self, subscriber: "Subscriber") -> None:
        """Remove a subscriber. Its team's feed is removed with its last subscriber."""
        feed = subscriber.feed
        feed.remove(subscriber)
        if not feed.subscribers and self._feeds.get(feed.team_id) is feed and feed.reader_task is None:
            del self._feeds[feed.team_id]

    def _read_soon(self, feed: TeamFeed) -> None:
        feed.must_read = True
        if feed.reader_task is None:
            feed.reader_task = asyncio.create_task(self._read(feed), name=f"hub-read-{feed.team_id}")

    async def _read(self, feed: TeamFeed) -> None:
        try:
            while feed.must_read:
                feed.must_read = False
                while entries := await log.read_after(feed.team_id, feed.cursor()):
                    self.unknown_entries += feed.deliver(entries)
                    if feed.position < entries[-1].position:
                        # The next entries were trimmed. Skip them; each subscriber checks its cursor when it reads.
                        feed.position, feed.check_value = entries[-1].position, entries[-1].check_value
                        self._overflow(feed)
        except Diverged as exc:
            self._failures.warn(exc)
            self._drop_feed(feed)
        except Exception as exc:
            self._failures.warn(exc)
            self._fail_all(feed)
        finally:
            feed.reader_task = None
            if not feed.subscribers and self._feeds.get(feed.team_id) is feed:
                del self._feeds[feed.team_id]

    @staticmethod
    def _overflow(feed: TeamFeed) -> None:
        for subscriber in feed.list_subscribers():
            subscriber.overflow()

    @staticmethod
    def _fail_all(feed: TeamFeed) -> None:
        for subscriber in feed.list_subscribers():
            subscriber.fail()

    def _drop_feed(self, feed: TeamFeed) -> None:
        """End the subscriptions of a feed whose change log was replaced.

        New subscribers get a new feed.
        """
        self._fail_all(feed)
        if self._feeds.get(feed.team_id) is feed:
            del self._feeds[feed.team_id]

    async def _poll_logs(self) -> None:
        """Read new entries of all logs that have subscribers, regularly until cancelled.

        If a log was replaced, the subscriptions of its feed end.
        """
        while True:
            await asyncio.sleep(self.poll_seconds)
            if not self._feeds:
                continue
            # Compare with the cursors of this moment: entries delivered during the query are newer than its result.
            polled_cursors = {team_id: feed.cursor() for team_id, feed in self._feeds.items()}
            try:
                db = database()
                rows = await db.fetch(
                    f"SELECT l.team_id, {log.STATE_COLUMNS} FROM {log.STATE_TABLES} WHERE {db.in_any('l.team_id')}",
                    db.array_param(polled_cursors),
                )
            except Exception as exc:
                self._failures.warn(exc)
                for feed in self._feeds.values():
                    self._fail_all(feed)
                continue
            for row in rows:
                team_id = row.pop("team_id")
                team_feed, state = self._feeds.get(team_id), log.LogState(**row)
                if team_feed is None:
                    continue
                if _has_diverged(polled_cursors[team_id], state):
                    _logger.warning("the change log of team %d was replaced: its streams end", team_id)
                    self._drop_feed(team_feed)
                elif state.position > team_feed.position:
                    self._read_soon(team_feed)


def _has_diverged(earlier: Cursor, state: LogState) -> bool:
    """Return whether the state of a log shows that it lacks the entry at a cursor.

    The log had the entry before. The result is False if its state alone does not show whether it still has it.
    """
    if earlier.log != state.identity or state.position < earlier.position:
        return True
    return state.position == earlier.position and state.check_value != earlier.check_value
