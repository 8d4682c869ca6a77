"""The matcher: the one writer of memberships. It works off marks, from present facts, so that repeating is harmless.

A wake is a hint; the tables are the truth. One look asks the clock, then takes the marks in bounded batches: searches
are filed and filled, what concerns a person or a group is expanded, and each email is held against the lists that the
index finds for it and those it is in (its memberships).
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Generator, Iterable
from functools import partial

from command_center.changes.unit_of_work import UnitOfWork, Writer
from command_center.changes.wakeups import TimeSlice, wait_for
from command_center.database.connections import Row, database, run_indexed_reads
from command_center.database.errors import FailureLog, Unavailable
from command_center.lists import backfill, batches, standing_searches, time_transitions
from command_center.lists.batches import WorkBatch
from command_center.lists.fencing import NO_EPOCH, FencedWriter, LeaseTaken, take_lease
from command_center.lists.invalidations import StaleBatch, claim_invalidations
from command_center.lists.membership_diff import Join, Leave, MembershipChanges, diff_memberships_in_steps
from command_center.lists.membership_writer import write_changes
from command_center.lists.rights import ChangedRights
from command_center.lists.team_tasks import TeamTasks
from command_center.lists.time_transitions import StoredTimes
from command_center.lists.url_matches import UrlMatchesCache
from command_center.search.index.search_index import Index
from models.enums import ChangeCauseKind, InvalidationKind

STRETCH_SECONDS = 0.002
"""How long emails are held against the lists at a time. If a single one takes longer, its team is set aside."""
ASIDE_STRETCH_SECONDS = 0.0005
"""The same for a team that was set aside."""
ASIDE_PAUSE_SECONDS = 0.001
"""The pause that such a team makes after each stretch. Event loops count in milliseconds."""
ASIDE_SECONDS = 0.3
"""After which such a team's verdicts are written, however many of its emails are left."""
SHARED_SECONDS = 1.0
"""How long after a team's last invalidation the others leave room for it."""
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
        self.evaluated = 0
        """At emails, since the start; and what came of it."""
        self.joined = 0
        self.left = 0
        self.set_aside = 0
        """How often a team was, since the start."""
        self._ticked = 0
        self._stored = StoredTimes(0, 0)
        self._url_matches = UrlMatchesCache()
        self._aside = TeamTasks(writer.invalidated.set)
        # When each team was last seen with something to match, by the monotonic clock.
        self._seen: dict[int, float] = {}
        self._few = False

    async def start(self) -> None:
        """Takes the lease's next epoch, files all saved searches, and takes up the clock where the last look left it.

        Everything is read after the epoch was taken, so that it contains all that the previous matcher wrote.
        """
        await self._aside.cancel_all()
        self.index = Index()
        self._fenced = FencedWriter(self._writer, NO_EPOCH)
        epoch, self._stored = await self._writer.run_in_transaction(_begin)
        self._ticked = self._stored.ticked_at
        await standing_searches.load_all(database(), self.index)
        await self._rights.load(database())
        self._fenced = FencedWriter(self._writer, epoch)

    async def run(self) -> None:
        """Looks whenever woken, and anyway several times a second, until cancelled.

        Raises: LeaseTaken if another matcher has started since.
        """
        try:
            await self._run()
        finally:
            await self._aside.cancel_all()

    async def _run(self) -> None:
        ticked = 0.0
        outage = FailureLog(_logger, "a look waits for the database")
        while True:
            self._writer.invalidated.clear()
            try:
                due = time.monotonic() - ticked >= TICK_SECONDS
                if due:
                    ticked = time.monotonic()
                if await self.process_batch(tick=due):
                    continue
            except LeaseTaken:
                raise
            except StaleBatch:
                _logger.warning("marks were removed during a look, which is repeated")
                await asyncio.sleep(TICK_SECONDS)
            except Unavailable as exc:
                outage.warn(exc)
                await asyncio.sleep(AGAIN_SECONDS)
            except Exception:
                _logger.exception("a look failed and will be repeated")
                await asyncio.sleep(TICK_SECONDS)
            await wait_for(self._writer.invalidated, TICK_SECONDS)

    async def settle(self, tick: bool = True) -> None:
        """Looks until nothing is left to look at. If another matcher has started since, this one starts over."""
        while True:
            try:
                # Before the look, which does not see what belongs to a team that is set aside.
                await self.wait_for_set_aside()
                if not await self.process_batch(tick) and not self._aside.teams:
                    return
            except LeaseTaken:
                await self.start()

    async def wait_for_set_aside(self) -> None:
        """Waits until the work of the teams that are set aside has ended. Raises: what it failed with."""
        await self._aside.wait()
        self._aside.raise_failure()

    async def process_batch(self, tick: bool = True) -> bool:
        """One bounded piece of work. Whether there may be more.

        Raises: LeaseTaken if another matcher has started since; nothing is written then.
        """
        self._aside.raise_failure()
        if tick:
            await self._tick()
        self._few = not self._few
        aside = self._aside.teams
        see = partial(
            batches.load_batch, self.index, self._writer.clock, limit=self._limit(), aside=aside, few=self._few
        )
        batch = await run_indexed_reads(see)
        # Before anything else: what is matched from now on is matched by the rights of now.
        for mark in batch.rights:
            await self._aside.cancel(mark["team_id"])
            await self._apply_rights(mark)
        if batch.emails:
            self._seen.update(dict.fromkeys(batch.team_of.values(), time.monotonic()))
            await self._match(batch)
        if batch.search is not None:
            if (team := batch.search["team_id"]) not in self._aside.teams:
                self._set_aside(team, partial(self._backfill, batch.search))
        elif not batch.rights and not aside:
            self._rights.clear()
        return batch.more

    def _set_aside(self, team_id: int, work: Callable[[], Awaitable[None]]) -> None:
        async def carry_out() -> None:
            try:
                await work()
            except StaleBatch:
                _logger.warning("marks were removed during a look, which is repeated")

        self._aside.start(team_id, carry_out())

    def _limit(self) -> int:
        """Returns how many emails one look may take: few if several teams have changed something lately."""
        if len(self._seen) > 1:
            since = time.monotonic() - SHARED_SECONDS
            self._seen = {team: at for team, at in self._seen.items() if at >= since}
        return batches.MAX_SHARED_BATCH_EMAILS if len(self._seen) > 1 else batches.MAX_BATCH_EMAILS

    async def _tick(self) -> None:
        now = await self._writer.clock.now(database())
        if now <= self._ticked or self._writer.clock.pause() is not None:
            return
        self._stored = await time_transitions.tick(
            self._fenced, self.index.time_keys(), self._ticked, self._stored, now
        )
        self._ticked = now

    async def _apply_rights(self, mark: Row) -> None:
        """A user's rights changed: each of their lists is filed anew at once, and its members are looked at again."""
        db = database()
        rows = await db.fetch("SELECT id FROM saved_searches WHERE owner_id = ? ORDER BY id", mark["subject_id"])
        searches = await standing_searches.load(db, [row["id"] for row in rows])
        time_slice = TimeSlice()
        for search in searches:
            self.index.add(search.id, search.scope, search.filter)
            await time_slice.yield_if_due()
        await self._rights.add(db, searches)

        async def spread(uow: UnitOfWork) -> None:
            await claim_invalidations(uow.connection, [mark["id"]])
            # A list that is still filled after an earlier change is filled from its beginning instead.
            await uow.connection.execute(
                f"DELETE FROM marks WHERE kind = ? AND cause = ? AND {uow.connection.in_any('subject_id')}",
                *(int(InvalidationKind.SEARCH), mark["cause"], uow.connection.array_param(row["id"] for row in rows)),
            )
            for row in rows:
                uow.invalidate(InvalidationKind.SEARCH, mark["team_id"], row["id"], ChangeCauseKind(mark["cause"]))

        await self._fenced.run_in_transaction(spread)

    async def _backfill(self, mark: Row) -> None:
        stored = self._stored.later(self._ticked, 0)
        times = await backfill.run_backfill(self._fenced, self._writer.clock, self.index, self._rights, mark, stored)
        self._stored = self._stored.later(*times)

    async def _match(self, batch: WorkBatch, aside: bool = False) -> None:
        verdicts = await (self._decide_aside if aside else self._decide)(batch)
        if not batch.emails:
            return
        # The audit goes by these moments, so they are stored with what the look found, unless those stored still hold.
        times = None
        if batch.now > self._stored.decided_until:
            times = self._stored.later(self._ticked, batch.now + DECIDED_AHEAD)
        await self._writer.run_in_transaction(
            partial(_write, self._fenced.epoch, batch, verdicts, times),
            now=batch.now,
            single_statement=not batch.progress,
        )
        self.evaluated += len(batch.causes)
        self.joined += len(verdicts.joins)
        self.left += len(verdicts.leaves)
        self._stored = self._stored.later(*times) if times else self._stored

    async def _decide(self, batch: WorkBatch) -> MembershipChanges:
        """Decides for the moment of the look, which is recorded with it. Requests are answered in between.

        The last tick may be older. What crosses a boundary in between is looked at again by the next one. A team with
        an email that takes long is set aside with all that is its.
        """
        decided: dict[int, list[MembershipChanges]] = {}
        until = time.monotonic() + STRETCH_SECONDS
        for email_id in list(batch.causes):
            if email_id not in batch.causes:
                continue
            team = batch.team_of[email_id]
            steps = self._steps(batch, email_id)
            spent, since = 0.0, None
            while not isinstance(found := next(steps), MembershipChanges):
                if time.monotonic() < until:
                    continue
                # By the thread's own time, as another thread may have had the interpreter meanwhile.
                spent += 0.0 if since is None else time.thread_time() - since
                if spent >= STRETCH_SECONDS:
                    steps.close()
                    decided.pop(team, None)
                    self.set_aside += 1
                    self._set_aside(team, partial(self._match, batch.split(team), aside=True))
                    break
                await asyncio.sleep(0)
                since, until = time.thread_time(), time.monotonic() + STRETCH_SECONDS
            else:
                decided.setdefault(team, []).append(found)
            if time.monotonic() >= until:
                await asyncio.sleep(0)
                until = time.monotonic() + STRETCH_SECONDS
        return _joined(each for of_team in decided.values() for each in of_team)

    async def _decide_aside(self, batch: WorkBatch) -> MembershipChanges:
        """Half of the time is left to others. What is not decided after a while is left to a later look."""
        decided: list[MembershipChanges] = []
        end = time.monotonic() + ASIDE_SECONDS if batch.divisible else math.inf
        until = time.monotonic() + ASIDE_STRETCH_SECONDS
        emails = list(batch.causes)
        for place, email_id in enumerate(emails):
            if place and time.monotonic() >= end:
                batch.leave(set(emails[place:]))
                break
            for found in self._steps(batch, email_id):
                if found is not None:
                    decided.append(found)
                if time.monotonic() >= until:
                    await asyncio.sleep(ASIDE_PAUSE_SECONDS)
                    until = time.monotonic() + ASIDE_STRETCH_SECONDS
        return _joined(decided)

    def _steps(self, batch: WorkBatch, email_id: int) -> Generator[MembershipChanges | None, None, None]:
        """Decides one email in steps, of which the last one yields the verdicts."""
        known, current = batch.facts.get(email_id), batch.members.get(email_id, {})
        if known is not None:
            self._url_matches.prepare(known)
        try:
            decided = yield from diff_memberships_in_steps(
                self.index, email_id, batch.causes[email_id], known, current, batch.now
            )
            yield decided if known is None else self._rights.attribute(decided, known, batch.now)
        finally:
            if known is not None:
                self._url_matches.keep(known)


def _joined(decided: Iterable[MembershipChanges]) -> MembershipChanges:
    joins: list[Join] = []
    leaves: list[Leave] = []
    for each in decided:
        joins += each.joins
        leaves += each.leaves
    return MembershipChanges(tuple(joins), tuple(leaves))


async def _begin(uow: UnitOfWork) -> tuple[int, StoredTimes]:
    """The epoch of a matcher that starts, and how far the clock was followed."""
    epoch = await take_lease(uow.connection)
    times = await time_transitions.stored_times(uow.connection, uow.now)
    uow.defer(*time_transitions.storing(times))
    return epoch, times


async def _write(
    epoch: int, batch: WorkBatch, verdicts: MembershipChanges, times: StoredTimes | None, uow: UnitOfWork
) -> None:
    await write_changes(uow, epoch, verdicts, done=batch.done, times=times)
    await claim_invalidations(uow.connection, (), batch.progress)
