"""The matcher: the only writer of memberships.

It processes invalidations in bounded batches and evaluates each email from current data, so that repeating a batch is
harmless. A wake-up is a hint; the tables are the truth.

A batch adds saved searches to the index, backfills lists, and expands the invalidations of a person or a group to
emails. For each email it compares the searches that the index finds with the email's memberships.

If a team's batch takes long, that team is set aside: a task of its own does the work, and other teams go on.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Generator, Iterable
from functools import partial

from command_center.changes.unit_of_work import UnitOfWork, Writer
from command_center.changes.wakeups import TimeSlice, wait_for
from command_center.database.connections import database, run_indexed_reads
from command_center.database.errors import FailureLog, Unavailable
from command_center.lists import backfill, batches, standing_searches, time_transitions
from command_center.lists.batches import WorkBatch
from command_center.lists.fencing import NO_EPOCH, FencedWriter, LeaseTaken, take_lease
from command_center.lists.invalidations import PendingInvalidation, StaleBatch, claim_invalidations
from command_center.lists.membership_diff import Join, Leave, MembershipChanges, diff_memberships_in_steps
from command_center.lists.membership_writer import write_changes
from command_center.lists.rights import ChangedRights
from command_center.lists.team_tasks import TeamTasks
from command_center.lists.time_transitions import StoredTimes
from command_center.lists.url_matches import UrlMatchesCache
from command_center.search.index.search_index import Index
from models.enums import ChangeCauseKind, InvalidationKind

STRETCH_SECONDS = 0.002
"""Seconds of evaluation between two yields to the event loop. If one email takes longer, its team is set aside."""
ASIDE_STRETCH_SECONDS = 0.0005
"""Seconds of evaluation between two pauses for a team that is set aside."""
ASIDE_PAUSE_SECONDS = 0.001
"""Seconds that such a team pauses after each stretch. Event loops measure time in milliseconds."""
ASIDE_SECONDS = 0.3
"""Seconds after which the changes of such a team are written, even if emails of its batch remain."""
SHARED_SECONDS = 1.0
"""Seconds after a team's last invalidation during which batches stay small for its sake."""
SHARED_BATCH_SECONDS = 0.006
"""Seconds that a batch should take while several teams have invalidations: each of them waits for it."""
MIN_SHARED_BATCH_EMAILS = 5
"""Emails of such a batch, however long it takes. Emails with many events are slow."""
TICK_SECONDS = 0.2
"""Seconds between two ticks, which is also the longest wait for a wake-up."""
DECIDED_AHEAD_MICROSECONDS = 200_000
"""Microseconds that the stored `evaluated_until` lies ahead, so that few batches have to store it again."""
DATABASE_RETRY_SECONDS = 1.0
"""Seconds until the next batch after the database was unavailable."""
_logger = logging.getLogger("command_center.matcher")


class Matcher:
    """Keeps the members of every list equal to its filter.

    Of several matchers on one database, only the one that started last can write.
    """

    def __init__(self, writer: Writer) -> None:
        self.index = Index()
        self._writer = writer
        self._fenced = FencedWriter(writer, NO_EPOCH)
        self._rights = ChangedRights()
        self.evaluation_count = 0
        """How many evaluations of an email there were since the start."""
        self.join_count = 0
        """How many memberships began since the start."""
        self.leave_count = 0
        """How many memberships ended since the start."""
        self.set_aside_count = 0
        """How often a team was set aside since the start."""
        self._transitions_until = 0
        self._stored_times = StoredTimes(0, 0)
        self._url_matches = UrlMatchesCache()
        self._team_tasks = TeamTasks(writer.invalidated.set)
        # For each team, when it last had an invalidation, by the monotonic clock.
        self._last_active: dict[int, float] = {}
        self._small_teams_first = False
        self._shared_batch_emails = batches.MAX_SHARED_BATCH_EMAILS

    async def start(self) -> None:
        """Take the lease, index all saved searches, and load the time of the last tick.

        The epoch is taken before anything is read. So what is read contains everything that the previous matcher
        wrote.
        """
        await self._team_tasks.cancel_all()
        self.index = Index()
        self._fenced = FencedWriter(self._writer, NO_EPOCH)
        epoch, self._stored_times = await self._writer.run_in_transaction(_take_over)
        self._transitions_until = self._stored_times.transitions_until
        await standing_searches.load_all(database(), self.index)
        await self._rights.load(database())
        self._fenced = FencedWriter(self._writer, epoch)

    async def run(self) -> None:
        """Process batches on each wake-up and every `TICK_SECONDS`, until cancelled.

        Raises: LeaseTaken if another matcher has started since.
        """
        try:
            await self._run()
        finally:
            await self._team_tasks.cancel_all()

    async def _run(self) -> None:
        last_tick = 0.0
        outage = FailureLog(_logger, "a batch waits for the database")
        while True:
            self._writer.invalidated.clear()
            try:
                due = time.monotonic() - last_tick >= TICK_SECONDS
                if due:
                    last_tick = time.monotonic()
                if await self.process_batch(tick=due):
                    continue
            except LeaseTaken:
                raise
            except StaleBatch:
                _logger.warning("invalidations were deleted during a batch, which is repeated")
                await asyncio.sleep(TICK_SECONDS)
            except Unavailable as exc:
                outage.warn(exc)
                await asyncio.sleep(DATABASE_RETRY_SECONDS)
            except Exception:
                _logger.exception("a batch failed and will be repeated")
                await asyncio.sleep(TICK_SECONDS)
            await wait_for(self._writer.invalidated, TICK_SECONDS)

    async def settle(self, tick: bool = True) -> None:
        """Process batches until no invalidation is pending.

        If `tick` is true, first follow the clock.

        If another matcher has started since, this one starts again.
        """
        while True:
            try:
                # Wait first: a batch contains nothing of a team that is set aside.
                await self.wait_for_set_aside()
                if not await self.process_batch(tick) and not self._team_tasks.teams:
                    return
            except LeaseTaken:
                await self.start()

    async def wait_for_set_aside(self) -> None:
        """Wait until the tasks of all teams that are set aside have ended.

        Raises: the exception with which one of them failed.
        """
        await self._team_tasks.wait()
        self._team_tasks.raise_failure()

    async def process_batch(self, tick: bool = True) -> bool:
        """Process one bounded batch of work. Return True if more work may be pending.

        If `tick` is true, first follow the clock if that is due.

        Raises: LeaseTaken if another matcher has started since; nothing is written then.
        """
        self._team_tasks.raise_failure()
        if tick:
            await self._tick()
        self._small_teams_first = not self._small_teams_first
        aside = self._team_tasks.teams
        limit, began = self._choose_limit(), time.monotonic()
        load = partial(
            batches.load_batch,
            self.index,
            self._writer.clock,
            limit=limit,
            aside=aside,
            few=self._small_teams_first,
        )
        batch = await run_indexed_reads(load)
        # Apply changes of rights first, so that everything below is matched with the current rights.
        for invalidation in batch.rights:
            await self._team_tasks.cancel(invalidation.team_id)
            await self._apply_rights(invalidation)
        if batch.emails:
            self._last_active.update(dict.fromkeys(batch.team_of.values(), time.monotonic()))
            await self._match(batch)
            if limit == self._shared_batch_emails:
                self._adapt_shared_batch(time.monotonic() - began, len(batch.causes))
        if batch.search is not None:
            if (team := batch.search.team_id) not in self._team_tasks.teams:
                self._set_aside(team, partial(self._backfill, batch.search))
        elif not batch.rights and not aside:
            self._rights.clear()
        return batch.more

    def _set_aside(self, team_id: int, work: Callable[[], Awaitable[None]]) -> None:
        async def carry_out() -> None:
            try:
                await work()
            except StaleBatch:
                _logger.warning("invalidations were deleted during a batch, which is repeated")

        self._team_tasks.start(team_id, carry_out())

    def _choose_limit(self) -> int:
        """Return how many emails one batch may have.

        They are few if several teams had invalidations lately.
        """
        if len(self._last_active) > 1:
            since = time.monotonic() - SHARED_SECONDS
            self._last_active = {team: at for team, at in self._last_active.items() if at >= since}
        return self._shared_batch_emails if len(self._last_active) > 1 else batches.MAX_BATCH_EMAILS

    def _adapt_shared_batch(self, seconds: float, emails: int) -> None:
        """Adapt the limit of the next batch that teams share to the time of this one.

        It becomes smaller if the batch took long, and slowly larger otherwise.
        """
        if seconds > SHARED_BATCH_SECONDS:
            smaller = min(self._shared_batch_emails, emails) * 3 // 4
            self._shared_batch_emails = max(MIN_SHARED_BATCH_EMAILS, smaller)
        else:
            self._shared_batch_emails = min(batches.MAX_SHARED_BATCH_EMAILS, self._shared_batch_emails + 1)

    async def _tick(self) -> None:
        now = await self._writer.clock.now(database())
        if now <= self._transitions_until or self._writer.clock.pause_reason() is not None:
            return
        self._stored_times = await time_transitions.tick(
            self._fenced, self.index.time_keys(), self._transitions_until, self._stored_times, now
        )
        self._transitions_until = now

    async def _apply_rights(self, invalidation: PendingInvalidation) -> None:
        """Index all lists of a user whose rights changed anew, and queue their backfills."""
        db = database()
        search_ids = await db.fetch_ids(
            "SELECT id FROM saved_searches WHERE owner_id = ? ORDER BY id", invalidation.subject_id
        )
        searches = await standing_searches.load_searches(db, search_ids)
        time_slice = TimeSlice()
        for search in searches:
            self.index.add(search.id, search.scope, search.filter)
            await time_slice.yield_if_due()
        await self._rights.add(db, searches)

        async def invalidate_lists(uow: UnitOfWork) -> None:
            await claim_invalidations(uow.connection, [invalidation.id])
            # If the backfill of an earlier change is still pending, replace it by one that starts from the beginning.
            await uow.connection.execute(
                f"DELETE FROM invalidations WHERE kind = ? AND cause = ? AND {uow.connection.in_any('subject_id')}",
                *(
                    int(InvalidationKind.SEARCH),
                    invalidation.cause,
                    uow.connection.array_param(search_ids),
                ),
            )
            for search_id in search_ids:
                uow.invalidate(
                    InvalidationKind.SEARCH, invalidation.team_id, search_id, ChangeCauseKind(invalidation.cause)
                )

        await self._fenced.run_in_transaction(invalidate_lists)

    async def _backfill(self, invalidation: PendingInvalidation) -> None:
        stored = self._stored_times.later(self._transitions_until, 0)
        times = await backfill.run_backfill(
            self._fenced, self._writer.clock, self.index, self._rights, invalidation, stored
        )
        self._stored_times = self._stored_times.later(*times)

    async def _match(self, batch: WorkBatch, aside: bool = False) -> None:
        changes = await (self._evaluate_aside if aside else self._evaluate)(batch)
        if not batch.emails:
            return
        # The audit relies on these times. Store them with the changes, unless the stored ones already cover this batch.
        times = None
        if batch.now > self._stored_times.evaluated_until:
            times = self._stored_times.later(self._transitions_until, batch.now + DECIDED_AHEAD_MICROSECONDS)
        await self._writer.run_in_transaction(
            partial(_write, self._fenced.epoch, batch, changes, times),
            now=batch.now,
            single_statement=not batch.progress,
        )
        self.evaluation_count += len(batch.causes)
        self.join_count += len(changes.joins)
        self.leave_count += len(changes.leaves)
        self._stored_times = self._stored_times.later(*times) if times else self._stored_times

    async def _evaluate(self, batch: WorkBatch) -> MembershipChanges:
        """Evaluate the emails of a batch for the moment `batch.now`.

        This moment is recorded with the changes.

        The event loop runs in between. The last tick may be older than `batch.now`: the next tick invalidates the
        emails that cross a boundary in between. If an email takes long, everything in the batch that belongs to its
        team is set aside.
        """
        changes_by_team: dict[int, list[MembershipChanges]] = {}
        stretch_end = time.monotonic() + STRETCH_SECONDS
        for email_id in list(batch.causes):
            if email_id not in batch.causes:
                continue
            team = batch.team_of[email_id]
            steps = self._evaluate_in_steps(batch, email_id)
            seconds_spent, stretch_start = 0.0, None
            while not isinstance(step := next(steps), MembershipChanges):
                if time.monotonic() < stretch_end:
                    continue
                # Use the thread's CPU time, because another thread may have held the interpreter meanwhile.
                seconds_spent += 0.0 if stretch_start is None else time.thread_time() - stretch_start
                if seconds_spent >= STRETCH_SECONDS:
                    steps.close()
                    changes_by_team.pop(team, None)
                    self.set_aside_count += 1
                    self._set_aside(team, partial(self._match, batch.split(team), aside=True))
                    break
                await asyncio.sleep(0)
                stretch_start, stretch_end = time.thread_time(), time.monotonic() + STRETCH_SECONDS
            else:
                changes_by_team.setdefault(team, []).append(step)
            if time.monotonic() >= stretch_end:
                await asyncio.sleep(0)
                stretch_end = time.monotonic() + STRETCH_SECONDS
        return _merge(part for parts in changes_by_team.values() for part in parts)

    async def _evaluate_aside(self, batch: WorkBatch) -> MembershipChanges:
        """Evaluate the batch of a single team whose evaluation takes long.

        At least half of the time is left to other tasks.

        After `ASIDE_SECONDS` the remaining emails are left to a later batch, if the batch can be divided.
        """
        parts: list[MembershipChanges] = []
        deadline = time.monotonic() + ASIDE_SECONDS if batch.divisible else math.inf
        stretch_end = time.monotonic() + ASIDE_STRETCH_SECONDS
        emails = list(batch.causes)
        for position, email_id in enumerate(emails):
            if position and time.monotonic() >= deadline:
                batch.leave(set(emails[position:]))
                break
            for step in self._evaluate_in_steps(batch, email_id):
                if step is not None:
                    parts.append(step)
                if time.monotonic() >= stretch_end:
                    await asyncio.sleep(ASIDE_PAUSE_SECONDS)
                    stretch_end = time.monotonic() + ASIDE_STRETCH_SECONDS
        return _merge(parts)

    def _evaluate_in_steps(self, batch: WorkBatch, email_id: int) -> Generator[MembershipChanges | None, None, None]:
        """Evaluate one email in steps of a few milliseconds.

        The last step yields the changes of its memberships, each earlier one None.
        """
        facts, memberships = batch.facts.get(email_id), batch.memberships.get(email_id, {})
        if facts is not None:
            self._url_matches.prepare(facts)
        try:
            changes = yield from diff_memberships_in_steps(
                self.index, email_id, batch.causes[email_id], facts, memberships, batch.now
            )
            yield changes if facts is None else self._rights.attribute(changes, facts, batch.now)
        finally:
            if facts is not None:
                self._url_matches.store(facts)


def _merge(parts: Iterable[MembershipChanges]) -> MembershipChanges:
    joins: list[Join] = []
    leaves: list[Leave] = []
    for part in parts:
        joins += part.joins
        leaves += part.leaves
    return MembershipChanges(tuple(joins), tuple(leaves))


async def _take_over(uow: UnitOfWork) -> tuple[int, StoredTimes]:
    """Take the lease, and return its new epoch and the stored times.

    The latter tell how far the previous matcher has followed the clock.
    """
    epoch = await take_lease(uow.connection)
    times = await time_transitions.load_stored_times(uow.connection, uow.now)
    uow.defer(*time_transitions.store_times_statement(times))
    return epoch, times


async def _write(
    epoch: int, batch: WorkBatch, changes: MembershipChanges, times: StoredTimes | None, uow: UnitOfWork
) -> None:
    await write_changes(uow, epoch, changes, completed_ids=batch.completed_ids, times=times)
    await claim_invalidations(uow.connection, (), batch.progress)
