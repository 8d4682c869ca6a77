"""The matcher: the one writer of memberships. It works off marks, from present facts, so that repeating is harmless.

A wake is a hint; the tables are the truth. One look asks the clock, then takes the marks in bounded batches: searches
are filed and filled, what concerns a person or a group is expanded, and each email is held against the lists it may
join (the index's candidates) and those it may leave (its memberships).
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from contextlib import suppress

from changes.deeds import Writer
from lists import facts, filling, standing, ticking
from lists.marks import Superseded, claim
from lists.memberships import Cause, Verdicts, decide, write
from models.database import Connection, Row, database
from models.enums import ChangeCauseKind, MarkKind
from models.unavailable import Outage, Unavailable
from search.facts import Facts
from search.index import Index

MARKS = 500
EMAILS = 2000
SLICE = 50
TICK_SECONDS = 0.2
AGAIN_SECONDS = 1.0
"""Until the next look where the database failed."""
_SEARCH_KINDS = f"({int(MarkKind.SEARCH)}, {int(MarkKind.USER)})"
_logger = logging.getLogger("command_center.matcher")


class Matcher:
    """Keeps every list equal to its filter. One of these may run against a database at a time."""

    def __init__(self, writer: Writer) -> None:
        self.index = Index()
        self._writer = writer
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
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._writer.marked.wait()

    async def settle(self) -> None:
        """Looks until nothing is left to look at."""
        while await self.look():
            pass

    async def look(self, tick: bool = True) -> bool:
        """One bounded piece of work. Whether there may be more."""
        if tick:
            await self._tick()
        await self._look_at_rights()
        busy = await self._look_at_emails()
        return await self._look_at_search() or busy

    async def _tick(self) -> None:
        now = await self._writer.clock.now(database())
        if now <= self._ticked:
            return
        if await ticking.tick(self._writer, self.index.time_keys(), self._ticked, self._stored, now):
            self._stored = now
        self._ticked = now

    async def _look_at_search(self) -> bool:
        mark = await database().row("SELECT * FROM marks WHERE kind = ? ORDER BY id LIMIT 1", int(MarkKind.SEARCH))
        if mark is None:
            return False
        await filling.work_off(self._writer, self.index, mark, self._ticked)
        return True

    async def _look_at_rights(self) -> None:
        """Before anything else: what is matched from now on is matched by the rights of now."""
        for mark in await database().rows("SELECT * FROM marks WHERE kind = ? ORDER BY id", int(MarkKind.USER)):
            await self._spread(mark)

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

    async def _decide(
        self, causes: dict[int, Cause], known: dict[int, Facts], members: dict[int, dict[int, int]]
    ) -> Verdicts:
        """In slices, so that requests are answered in between."""
        found = Verdicts()
        listed = list(causes.items())
        for start in range(0, len(listed), SLICE):
            found += decide(self.index, dict(listed[start : start + SLICE]), known, members, self._ticked)
            await asyncio.sleep(0)
        return found

    async def _look_at_emails(self) -> bool:
        db = database()
        marks = await db.rows(f"SELECT * FROM marks WHERE kind NOT IN {_SEARCH_KINDS} ORDER BY id LIMIT ?", MARKS)
        if not marks:
            return False
        causes: dict[int, Cause] = {}
        done: list[int] = []
        progress: list[tuple[int, int]] = []
        for mark in marks:
            if len(causes) >= EMAILS:
                break
            if mark["kind"] == MarkKind.EMAIL:
                ids, finished = [mark["subject_id"]], True
            else:
                ids, finished = await self._expand(db, mark)
            _note(causes, ids, mark)
            if finished:
                done.append(mark["id"])
            else:
                progress.append((ids[-1], mark["id"]))
        await self._match(db, causes, done, progress)
        return True

    async def _expand(self, connection: Connection, mark: Row) -> tuple[list[int], bool]:
        """The next emails that a person's or a group's mark concerns, and whether these are the last."""
        if mark["kind"] == MarkKind.GROUP:
            if not self.index.mentions_group(mark["subject_id"]):
                return [], True
            people = mark["people"]
            people = json.loads(people) if isinstance(people, str) else people
        else:
            people = [mark["subject_id"]]
        rows = await connection.rows(
            f"SELECT id FROM emails WHERE {connection.within('person_id')} AND id > ? ORDER BY id LIMIT ?",
            connection.listed(people),
            mark["progress"],
            EMAILS,
        )
        return [row["id"] for row in rows], len(rows) < EMAILS

    async def _match(
        self, db: Connection, causes: dict[int, Cause], done: list[int], progress: list[tuple[int, int]]
    ) -> None:
        known = await facts.load(db, causes)
        rows = await db.rows(
            f"SELECT id, search_id, email_id FROM memberships WHERE {db.within('email_id')}", db.listed(causes)
        )
        members: dict[int, dict[int, int]] = {}
        for row in rows:
            members.setdefault(row["email_id"], {})[row["search_id"]] = row["id"]
        verdicts = await self._decide(causes, known, members)
        async with self._writer.deed() as deed:
            tx = deed.connection
            # First of all, and only if they are all still there: a matcher that lost its lease finds that another
            # has worked them off, and what it decided meanwhile is worth nothing.
            await claim(tx, done, progress)
            if verdicts:
                await write(deed, verdicts)
            await ticking.store(tx, self._ticked)
        self._stored = self._ticked


def _note(causes: dict[int, Cause], email_ids: Iterable[int], mark: Row) -> None:
    """Remembers the newest cause of each email. The clock gives way to anything else."""
    cause = Cause(ChangeCauseKind(mark["cause"]), mark["engagement_id"])
    for email_id in email_ids:
        known = causes.pop(email_id, None)
        if cause.kind is ChangeCauseKind.CLOCK and known is not None:
            causes[email_id] = known
        else:
            causes[email_id] = cause
