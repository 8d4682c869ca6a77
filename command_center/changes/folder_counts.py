"""Notifies subscribers when the email counts of a sender's folders change.

The change may happen in any process.

The table is the truth. After a commit that changed counts, this process reads those of subscribed senders. For changes
by other processes, it reads the counts of all subscribed senders once a second, in one statement. Reads run one after
another, so no result is older than the previous one. A subscription stores only the latest counts, so a slow reader
accumulates nothing.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress

from command_center.database.connections import database
from command_center.database.errors import FailureLog, Unavailable
from models.enums import FolderName

POLL_INTERVAL_SECONDS = 1.0
MIN_READ_INTERVAL_SECONDS = 0.05
"""The least pause between two reads, so that a burst of transactions is read a few times instead of once each."""
_logger = logging.getLogger("command_center.folder_counts")

Counts = Mapping[FolderName, int]
"""The number of emails by folder; an empty folder is absent."""


class CountsLost(Unavailable):
    """The folder counts cannot be read.

    A subscription ends with this error instead of staying open and silent.
    """


async def read_counts(sender_ids: Iterable[int]) -> dict[int, Counts]:
    """Return the email counts of each sender's folders, by sender.

    All counts are read from one snapshot of the database.
    """
    db = database()
    ids = list(sender_ids)
    rows = await db.fetch(
        f"SELECT sender_id, folder, email_count FROM folder_counts WHERE {db.in_any('sender_id')} AND email_count <> 0",
        db.array_param(ids),
    )
    counts_by_sender: dict[int, dict[FolderName, int]] = {sender_id: {} for sender_id in ids}
    for row in rows:
        counts_by_sender[row["sender_id"]][FolderName(row["folder"])] = row["email_count"]
    return dict(counts_by_sender)


class FolderCountBroadcaster:
    """Delivers the email counts of folders to all subscriptions of this process."""

    def __init__(self) -> None:
        self._subscriptions: dict[int, set[CountSubscription]] = {}
        self._changed_senders: set[int] = set()
        self._wake = asyncio.Event()
        self._read_lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._failures = FailureLog(_logger, "the folder counts cannot be read")

    async def start(self) -> None:
        """Start reading counts after notifications and once a second."""
        self._task = asyncio.create_task(self._run(), name="counts")

    async def stop(self) -> None:
        """End all subscriptions of folder counts."""
        for subscription in self._list_subscriptions():
            subscription.end()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def subscription_count(self) -> int:
        """The number of open subscriptions."""
        return sum(len(subscriptions) for subscriptions in self._subscriptions.values())

    def notify(self, sender_ids: Iterable[int]) -> None:
        """Schedule a read of the folder counts of these senders.

        Call it after the commit of a transaction that changed them.
        """
        subscribed = self._subscriptions.keys() & set(sender_ids)
        if subscribed:
            self._changed_senders |= subscribed
            self._wake.set()

    async def subscribe(self, sender_id: int) -> "CountSubscription":
        """Return a subscription of one sender's folder counts, with the current ones.

        It is registered before the counts are read, so that no change is missed in between.
        """
        subscription = CountSubscription(self, sender_id)
        self._subscriptions.setdefault(sender_id, set()).add(subscription)
        try:
            await self._read({sender_id})
        except BaseException:
            self.unsubscribe(subscription)
            raise
        return subscription

    def unsubscribe(self, subscription: "CountSubscription") -> None:
        """Remove a subscription. Does nothing if it is not registered."""
        subscriptions = self._subscriptions.get(subscription.sender_id, set())
        subscriptions.discard(subscription)
        if not subscriptions:
            self._subscriptions.pop(subscription.sender_id, None)

    def _list_subscriptions(self) -> "list[CountSubscription]":
        return [subscription for subscriptions in self._subscriptions.values() for subscription in subscriptions]

    async def _run(self) -> None:
        next_poll = asyncio.get_running_loop().time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_poll):
                    await self._wake.wait()
            self._wake.clear()
            senders, self._changed_senders = self._changed_senders, set()
            if (now := asyncio.get_running_loop().time()) >= next_poll:
                senders, next_poll = set(self._subscriptions), now + POLL_INTERVAL_SECONDS
            if senders:
                await self._refresh(senders)
                await asyncio.sleep(MIN_READ_INTERVAL_SECONDS)

    async def _refresh(self, sender_ids: set[int]) -> None:
        try:
            await self._read(sender_ids)
        except Exception as exc:
            self._failures.warn(exc)
            for subscription in self._list_subscriptions():
                subscription.fail()

    async def _read(self, sender_ids: set[int]) -> None:
        # Serialized: of two concurrent reads, the older result might be delivered last.
        async with self._read_lock:
            for sender_id, counts in (await read_counts(sender_ids)).items():
                for subscription in self._subscriptions.get(sender_id, ()):
                    subscription.offer(counts)


class CountSubscription:
    """One open subscription of the email counts of one sender's folders.

    Call `close` at the end.
    """

    def __init__(self, broadcaster: FolderCountBroadcaster, sender_id: int) -> None:
        self.sender_id = sender_id
        self._broadcaster = broadcaster
        self._latest: Counts | None = None
        self._taken: Counts | None = None
        self._wake = asyncio.Event()
        self._is_ended = False
        self._is_lost = False

    def offer(self, counts: Counts) -> None:
        """Store the latest counts, and wake the reader if they have changed.

        They are compared with the counts that the reader took last.
        """
        self._latest = counts
        if self._latest != self._taken:
            self._wake.set()

    def end(self) -> None:
        """End the subscription normally."""
        self._is_ended = True
        self._wake.set()

    def fail(self) -> None:
        """End the subscription with CountsLost."""
        self._is_lost = True
        self._wake.set()

    def close(self) -> None:
        """Unregister the subscription."""
        self._broadcaster.unsubscribe(self)

    def take_changed(self) -> Counts | None:
        """Return the latest counts, or None if this method returned the same before."""
        if self._latest == self._taken:
            return None
        self._taken = self._latest
        return self._taken

    async def wait(self, seconds: float | None) -> bool:
        """Wait at most `seconds` for new counts, which `take_changed` then returns.

        Return False if the subscription has ended, otherwise True. Raises: CountsLost.
        """
        if self._latest == self._taken and not (self._is_ended or self._is_lost):
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        if self._is_lost:
            raise CountsLost("the folder counts cannot be read")
        return not self._is_ended
