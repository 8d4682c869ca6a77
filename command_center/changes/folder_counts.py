"""The board of folder counts: tells whoever watches a sender's folders when their counts moved, here or elsewhere.

The table is the truth. A deed that moved counts says so right after its commit; for what other processes did, those of
all watched senders are read once a second, in one statement. Readings follow one another, so each is as new as the last
or newer, and a watcher keeps the latest alone: however slow its reader, nothing piles up.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress

from command_center.database.connections import database
from command_center.database.errors import FailureLog, Unavailable
from models.enums import FolderName

POLL_SECONDS = 1.0
PAUSE_SECONDS = 0.05
"""Between two readings: a burst of deeds is read a few times, not once for each."""
_logger = logging.getLogger("command_center.counts")

Counts = Mapping[FolderName, int]
"""Emails by folder; a folder without any is absent."""


class CountsLost(Unavailable):
    """The counts cannot be read: better an end with an error than silence."""


async def read_counts(sender_ids: Iterable[int]) -> dict[int, Counts]:
    """The exact counts of each sender's folders, all as of one commit."""
    db = database()
    listed = list(sender_ids)
    rows = await db.fetch(
        f"SELECT sender_id, folder, email_count FROM folder_counts WHERE {db.in_any('sender_id')} AND email_count <> 0",
        db.array_param(listed),
    )
    found: dict[int, dict[FolderName, int]] = {sender_id: {} for sender_id in listed}
    for row in rows:
        found[row["sender_id"]][FolderName(row["folder"])] = row["email_count"]
    return dict(found)


class FolderCountBroadcaster:
    """All watchers of this process."""

    def __init__(self) -> None:
        self._watchers: dict[int, set[CountSubscription]] = {}
        self._moved: set[int] = set()
        self._stirred = asyncio.Event()
        self._reading = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None
        self._outage = FailureLog(_logger, "the folder counts cannot be read")

    async def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="counts")

    async def stop(self) -> None:
        """Ends every stream of counts."""
        for watcher in self._all():
            watcher.end()
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop

    @property
    def subscription_count(self) -> int:
        """How many streams are open."""
        return sum(len(watchers) for watchers in self._watchers.values())

    def notify(self, sender_ids: Iterable[int]) -> None:
        """Counts of these senders have just been committed."""
        watched = self._watchers.keys() & set(sender_ids)
        if watched:
            self._moved |= watched
            self._stirred.set()

    async def subscribe(self, sender_id: int) -> "CountSubscription":
        """Joins before reading how the counts stand, so that nothing can fall between the two."""
        watcher = CountSubscription(self, sender_id)
        self._watchers.setdefault(sender_id, set()).add(watcher)
        try:
            await self._read({sender_id})
        except BaseException:
            self.leave(watcher)
            raise
        return watcher

    def leave(self, watcher: "CountSubscription") -> None:
        watchers = self._watchers.get(watcher.sender_id, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(watcher.sender_id, None)

    def _all(self) -> "list[CountSubscription]":
        return [watcher for watchers in self._watchers.values() for watcher in watchers]

    async def _run(self) -> None:
        poll = asyncio.get_running_loop().time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(poll):
                    await self._stirred.wait()
            self._stirred.clear()
            senders, self._moved = self._moved, set()
            if (now := asyncio.get_running_loop().time()) >= poll:
                senders, poll = set(self._watchers), now + POLL_SECONDS
            if senders:
                await self._refresh(senders)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _refresh(self, sender_ids: set[int]) -> None:
        try:
            await self._read(sender_ids)
        except Exception as exc:
            self._outage.warn(exc)
            for watcher in self._all():
                watcher.lose()

    async def _read(self, sender_ids: set[int]) -> None:
        # One after the other: of two at once the older might be told last.
        async with self._reading:
            for sender_id, counts in (await read_counts(sender_ids)).items():
                for watcher in self._watchers.get(sender_id, ()):
                    watcher.offer(counts)


class CountSubscription:
    """One open stream of one sender's counts. Leave it with `close`."""

    def __init__(self, board: FolderCountBroadcaster, sender_id: int) -> None:
        self.sender_id = sender_id
        self._board = board
        self._latest: Counts | None = None
        self._taken: Counts | None = None
        self._wake = asyncio.Event()
        self._ended = False
        self._lost = False

    def offer(self, counts: Counts) -> None:
        self._latest = counts
        if self._latest != self._taken:
            self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def lose(self) -> None:
        self._lost = True
        self._wake.set()

    def close(self) -> None:
        self._board.leave(self)

    def take(self) -> Counts | None:
        """The counts as they stand; None where they are what was taken last."""
        if self._latest == self._taken:
            return None
        self._taken = self._latest
        return self._taken

    async def wait(self, seconds: float | None) -> bool:
        """Waits until there is something to take, or so long; whether the stream goes on. Raises CountsLost."""
        if self._latest == self._taken and not (self._ended or self._lost):
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        if self._lost:
            raise CountsLost("the folder counts cannot be read")
        return not self._ended
