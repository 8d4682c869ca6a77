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
from lists.looking import Sight
from lists.marks import Superseded, claim
from lists.memberships import Join, Leave, Verdicts, decide
from lists.moves import write
from models.database import Row, database, read_by_key
from models.enums import ChangeCauseKind, MarkKind
from models.unavailable import Outage, Unavailable
from search.index import Index

STRETCH_SECONDS = 0.005
"""How long emails are held against the lists at a time."""
TICK_SECONDS = 0.2
AGAIN_SECONDS = 1.0
"""Until the next look where the database failed."""
_logger = logging.getLogger("command_center.matcher")


class Matcher:
    """Keeps every list equal to its filter. One of these may run against a database at a time."""

    def __init__(self, writer: Writer) -> None:
        self.index = Index()
        self._writer = writer
        self.looked = 0
        """At emails, since the start; and what came of it."""
        self.joined = 0
        self.left = 0
        self._ticked = 0
        self._stored = 0

    async def start(self) -> None:
        """Files all saved searches, and takes up the clock where the last look left it."""
        db = database()
        self.index = Index()
        await standing.load_all(db, self.index)
        self._ticked = self._stored = await ticking.last(db, await self._writer.clock.now(db))

    async def run(self) -> None:
        """Looks whenever woken, and anyway several times a second, until cancelled."""
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
            except Superseded:
                _logger.warning("another matcher was faster: this one looks again")
                await asyncio.sleep(TICK_SECONDS)
            except Unavailable as exc:
                outage.tell(exc)
                await asyncio.sleep(AGAIN_SECONDS)
            except Exception:
                _logger.exception("a look failed and will be repeated")
                await asyncio.sleep(TICK_SECONDS)
            await woken(self._writer.marked, TICK_SECONDS)

    async def settle(self) -> None:
        """Looks until nothing is left to look at."""
        while await self.look():
            pass

    async def look(self, tick: bool = True) -> bool:
        """One bounded piece of work. Whether there may be more."""
        if tick:
            await self._tick()
        sight = await read_by_key(partial(looking.see, self.index, self._writer.clock))
        # Before anything else: what is matched from now on is matched by the rights of now.
        for mark in sight.rights:
            await self._spread(mark)
        if sight.emails:
            await self._match(sight)
        if sight.search is not None:
            await filling.work_off(self._writer, self.index, sight.search, self._ticked)
        return sight.more

    async def _tick(self) -> None:
        now = await self._writer.clock.now(database())
        if now <= self._ticked:
            return
        if await ticking.tick(self._writer, self.index.time_keys(), self._ticked, self._stored, now):
            self._stored = now
        self._ticked = now

    async def _spread(self, mark: Row) -> None:
        """A user's rights changed: each of their lists is filed anew at once, and its members are looked at again."""
        db = database()
        rows = await db.rows("SELECT id FROM saved_searches WHERE owner_id = ? ORDER BY id", mark["subject_id"])
        for search in await standing.load(db, [row["id"] for row in rows]):
            self.index.add(search.id, search.scope, search.filter)
        async with self._writer.deed() as deed:
            await claim(deed.connection, [mark["id"]])
            for row in rows:
                deed.mark(MarkKind.SEARCH, mark["team_id"], row["id"], ChangeCauseKind(mark["cause"]))

    async def _match(self, sight: Sight) -> None:
        verdicts = await self._decide(sight)
        # The audit goes by the moment of a look, so it is stored with what the look found, unless it is there already.
        ticked = self._ticked if self._ticked != self._stored else None
        alone = ticked is None and not sight.progress
        await self._writer.at_once(partial(_write, sight, verdicts, ticked), now=sight.now, alone=alone)
        self.looked += len(sight.causes)
        self.joined += len(verdicts.joins)
        self.left += len(verdicts.leaves)
        self._stored = self._ticked

    async def _decide(self, sight: Sight) -> Verdicts:
        """Requests are answered in between."""
        joins: list[Join] = []
        leaves: list[Leave] = []
        until = time.monotonic() + STRETCH_SECONDS
        for email_id, cause in sight.causes.items():
            known, current = sight.facts.get(email_id), sight.members.get(email_id, {})
            verdicts = decide(self.index, email_id, cause, known, current, self._ticked)
            joins += verdicts.joins
            leaves += verdicts.leaves
            if time.monotonic() >= until:
                await asyncio.sleep(0)
                until = time.monotonic() + STRETCH_SECONDS
        return Verdicts(tuple(joins), tuple(leaves))


async def _write(sight: Sight, verdicts: Verdicts, ticked: int | None, deed: Deed) -> None:
    # All marks must still be there: a matcher that lost its lease finds that another has worked them off, and what it
    # decided meanwhile is worth nothing.
    await write(deed, verdicts, done=sight.done)
    await claim(deed.connection, (), sight.progress)
    if ticked is not None:
        deed.close_with(*ticking.storing(ticked))
