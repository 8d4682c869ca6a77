"""The matcher: the one writer of memberships. It works off marks, from present facts, so that repeating is harmless.

A wake is a hint; the tables are the truth. One look asks the clock, then takes the marks in bounded batches: searches
are filed and filled, what concerns a person or a group is expanded, and each email is held against the lists that the
index finds for it and those it is in (its memberships).
"""

import asyncio
import logging
import time
from functools import partial

from changes.deeds import Deed, Writer
from changes.waking import woken
from lists import filling, looking, standing, ticking
from lists.fencing import NO_EPOCH, FencedWriter, LeaseTaken, take_lease
from lists.looking import Sight
from lists.marks import Superseded, claim
from lists.memberships import Join, Leave, Verdicts, decide
from lists.moves import write
from lists.rights import ChangedRights
from lists.ticking import StoredTimes
from models.database import Row, database, read_by_key
from models.enums import ChangeCauseKind, MarkKind
from models.unavailable import Outage, Unavailable
from search.index import Index

STRETCH_SECONDS = 0.005
"""How long emails are held against the lists at a time."""
TICK_SECONDS = 0.2
DECIDED_AHEAD = 200_000
"""Microseconds by which the stored moment that nothing was decided after is ahead, so that few looks store another."""
AGAIN_SECONDS = 1.0
"""Until the next look where the database failed."""
_logger = logging.getLogger("command_center.matcher")


class Matcher:
    """Keeps every list equal to its filter. Of several on one database, the one that started last may write."""

    def __init__(self, writer: Writer) -> None:
        self.index = Index()
        self._writer = writer
        self._fenced = FencedWriter(writer, NO_EPOCH)
        self._rights = ChangedRights()
        self.looked = 0
        """At emails, since the start; and what came of it."""
        self.joined = 0
        self.left = 0
        self._ticked = 0
        self._stored = StoredTimes(0, 0)

    async def start(self) -> None:
        """Takes the lease's next epoch, files all saved searches, and takes up the clock where the last look left it.

        Everything is read after the epoch was taken, so that it contains all that the previous matcher wrote.
        """
        self.index = Index()
        self._fenced = FencedWriter(self._writer, NO_EPOCH)
        epoch, self._stored = await self._writer.at_once(_begin)
        self._ticked = self._stored.ticked_at
        await standing.load_all(database(), self.index)
        await self._rights.load(database())
        self._fenced = FencedWriter(self._writer, epoch)

    async def run(self) -> None:
        """Looks whenever woken, and anyway several times a second, until cancelled.

        Raises: LeaseTaken if another matcher has started since.
        """
        ticked = 0.0
        outage = Outage(_logger, "a look waits for the database")
        while True:
            self._writer.marked.clear()
            try:
                due = time.monotonic() - ticked >= TICK_SECONDS
                if due:
                    ticked = time.monotonic()
                if await self.look(tick=due):
                    continue
            except LeaseTaken:
                raise
            except Superseded:
                _logger.warning("marks were removed during a look, which is repeated")
                await asyncio.sleep(TICK_SECONDS)
            except Unavailable as exc:
                outage.tell(exc)
                await asyncio.sleep(AGAIN_SECONDS)
            except Exception:
                _logger.exception("a look failed and will be repeated")
                await asyncio.sleep(TICK_SECONDS)
            await woken(self._writer.marked, TICK_SECONDS)

    async def settle(self) -> None:
        """Looks until nothing is left to look at. If another matcher has started since, this one starts over."""
        while True:
            try:
                while await self.look():
                    pass
                return
            except LeaseTaken:
                await self.start()

    async def look(self, tick: bool = True) -> bool:
        """One bounded piece of work. Whether there may be more.

        Raises: LeaseTaken if another matcher has started since; nothing is written then.
        """
        if tick:
            await self._tick()
        sight = await read_by_key(partial(looking.see, self.index, self._writer.clock))
        # Before anything else: what is matched from now on is matched by the rights of now.
        for mark in sight.rights:
            await self._spread(mark)
        if sight.emails:
            await self._match(sight)
        if sight.search is not None:
            stored = self._stored.later(self._ticked, 0)
            self._stored = await filling.work_off(
                self._fenced, self._writer.clock, self.index, self._rights, sight.search, stored
            )
        elif not sight.rights:
            self._rights.clear()
        return sight.more

    async def _tick(self) -> None:
        now = await self._writer.clock.now(database())
        if now <= self._ticked or self._writer.clock.pause() is not None:
            return
        self._stored = await ticking.tick(self._fenced, self.index.time_keys(), self._ticked, self._stored, now)
        self._ticked = now

    async def _spread(self, mark: Row) -> None:
        """A user's rights changed: each of their lists is filed anew at once, and its members are looked at again."""
        db = database()
        rows = await db.rows("SELECT id FROM saved_searches WHERE owner_id = ? ORDER BY id", mark["subject_id"])
        searches = await standing.load(db, [row["id"] for row in rows])
        for search in searches:
            self.index.add(search.id, search.scope, search.filter)
        await self._rights.add(db, searches)

        async def spread(deed: Deed) -> None:
            await claim(deed.connection, [mark["id"]])
            # A list that is still filled after an earlier change is filled from its beginning instead.
            await deed.connection.run(
                f"DELETE FROM marks WHERE kind = ? AND cause = ? AND {deed.connection.within('subject_id')}",
                *(int(MarkKind.SEARCH), mark["cause"], deed.connection.listed(row["id"] for row in rows)),
            )
            for row in rows:
                deed.mark(MarkKind.SEARCH, mark["team_id"], row["id"], ChangeCauseKind(mark["cause"]))

        await self._fenced.at_once(spread)

    async def _match(self, sight: Sight) -> None:
        verdicts = await self._decide(sight)
        # The audit goes by these moments, so they are stored with what the look found, unless those stored still hold.
        times = None
        if sight.now > self._stored.decided_until:
            times = self._stored.later(self._ticked, sight.now + DECIDED_AHEAD)
        await self._writer.at_once(
            partial(_write, self._fenced.epoch, sight, verdicts, times), now=sight.now, alone=not sight.progress
        )
        self.looked += len(sight.causes)
        self.joined += len(verdicts.joins)
        self.left += len(verdicts.leaves)
        self._stored = times or self._stored

    async def _decide(self, sight: Sight) -> Verdicts:
        """Decides for the moment of the look, which is recorded with it. Requests are answered in between.

        The last tick may be older. What crosses a boundary in between is looked at again by the next one.
        """
        joins: list[Join] = []
        leaves: list[Leave] = []
        until = time.monotonic() + STRETCH_SECONDS
        for email_id, cause in sight.causes.items():
            known, current = sight.facts.get(email_id), sight.members.get(email_id, {})
            verdicts = decide(self.index, email_id, cause, known, current, sight.now)
            if known is not None:
                verdicts = self._rights.attribute(verdicts, known, sight.now)
            joins += verdicts.joins
            leaves += verdicts.leaves
            if time.monotonic() >= until:
                await asyncio.sleep(0)
                until = time.monotonic() + STRETCH_SECONDS
        return Verdicts(tuple(joins), tuple(leaves))


async def _begin(deed: Deed) -> tuple[int, StoredTimes]:
    """The epoch of a matcher that starts, and how far the clock was followed."""
    epoch = await take_lease(deed.connection)
    times = await ticking.stored_times(deed.connection, deed.now)
    deed.close_with(*ticking.storing(times))
    return epoch, times


async def _write(epoch: int, sight: Sight, verdicts: Verdicts, times: StoredTimes | None, deed: Deed) -> None:
    await write(deed, epoch, verdicts, done=sight.done, times=times)
    await claim(deed.connection, (), sight.progress)
