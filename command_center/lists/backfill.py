"""Evaluates new and refined lists in bounded batches, while events continue.

Each batch evaluates a range of email ids by SQL and writes only the differences, so memberships that persist keep
their ids. When a backfill ends, one Reset is logged.

A change of rights is backfilled as well, but then each member that joins or leaves is logged by itself.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

from command_center.changes.entries import LogEntry
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.clock import Clock
from command_center.database.connections import Connection, database, run_snapshot
from command_center.lists import standing_searches, time_transitions
from command_center.lists.fencing import FencedWriter
from command_center.lists.invalidations import PendingInvalidation, claim_invalidations
from command_center.lists.membership_diff import Cause, Join, Leave, MembershipChanges
from command_center.lists.membership_writer import write_changes
from command_center.lists.rights import ChangedRights
from command_center.lists.standing_searches import StandingSearch
from command_center.lists.time_transitions import StoredTimes
from command_center.search.index.search_index import Index
from command_center.search.sql import POSTGRES, SQLITE, filter_clause, scope_clause
from models.enums import ChangeCauseKind, ChangeKind, InvalidationKind, SavedSearchState

BATCH_EMAILS = 1_000
"""Emails evaluated in one batch, for which events wait.

Five times as many hardly shorten a backfill, and delay an event several times as long.
"""
_MAX_ID = 2**62


@dataclass(frozen=True, slots=True)
class _IdRange:
    """The email ids with after < id <= upto."""

    after: int
    upto: int

    @property
    def is_last(self) -> bool:
        """True if no email id lies beyond the range."""
        return self.upto == _MAX_ID


async def run_backfill(
    writer: FencedWriter,
    clock: Clock,
    index: Index,
    rights: ChangedRights,
    invalidation: PendingInvalidation,
    stored: StoredTimes,
) -> StoredTimes:
    """Evaluate one batch of emails for a saved search that was created or changed.

    `invalidation` names the search and tells how far it has been evaluated. Return the times up to which the matcher
    has followed the clock, as they are stored afterwards.
    """
    searches = await standing_searches.load_searches(database(), [invalidation.subject_id])
    if not searches:
        index.remove(invalidation.subject_id)
        rights.discard(invalidation.subject_id)
        await _delete_members(writer, invalidation)
        return stored
    search = searches[0]
    # Index the list before the backfill: events that come meanwhile find the list, and the backfill sees earlier ones.
    index.add(search.id, search.scope, search.filter)
    access_changed = invalidation.cause == ChangeCauseKind.ACCESS_CHANGED
    before = rights.before(search.id) if access_changed else None
    now, id_range, changes = await run_snapshot(partial(_diff_next_range, clock, search, before, invalidation))
    times = stored.later(stored.transitions_until, now)
    await writer.run_in_transaction(partial(_write, search, invalidation, id_range, changes, times, writer.epoch), now)
    if access_changed and id_range.is_last:
        rights.discard(search.id)
    return times


async def load_matching_ids(
    connection: Connection, search: StandingSearch, now: int, after: int = 0, upto: int = _MAX_ID
) -> set[int]:
    """Return the ids of the emails that match a saved search at the moment `now`.

    They are the ids with after < id <= upto, found by SQL.
    """
    dialect = POSTGRES if connection.postgres else SQLITE
    in_scope, matches = scope_clause(search.scope, dialect), filter_clause(search.filter, dialect, now)
    rows = await connection.fetch_tuples(
        ("id",),
        "SELECT e.id FROM emails e JOIN people p ON p.id = e.person_id"
        f" WHERE {in_scope.text} AND {matches.text} AND e.id > ? AND e.id <= ?",
        *(*in_scope.parameters, *matches.parameters, after, upto),
    )
    return {key for (key,) in rows}


async def _find_next_id_range(connection: Connection, search: StandingSearch, after: int) -> _IdRange:
    """Return the range of the next `BATCH_EMAILS` email ids in a search's scope.

    It begins after the id `after`. If fewer emails remain, it contains all of them.
    """
    in_scope = scope_clause(search.scope, POSTGRES if connection.postgres else SQLITE)
    row = await connection.fetch_one(
        "SELECT count(*) AS count, max(id) AS upto FROM"
        f" (SELECT e.id FROM emails e WHERE {in_scope.text} AND e.id > ? ORDER BY e.id LIMIT ?) AS portion",
        *(*in_scope.parameters, after, BATCH_EMAILS),
    )
    return _IdRange(after, row["upto"] if row and row["count"] == BATCH_EMAILS else _MAX_ID)


async def _diff_next_range(
    clock: Clock,
    search: StandingSearch,
    before: StandingSearch | None,
    invalidation: PendingInvalidation,
    connection: Connection,
) -> tuple[int, _IdRange, MembershipChanges]:
    """Compare the list's members in the next range with its filter.

    Return the moment of the comparison, the range, and the joins and leaves that make the list equal to its filter.
    """
    id_range = await _find_next_id_range(connection, search, invalidation.progress)
    # Read the clock after the first SELECT, which fixes the snapshot: nothing in the snapshot is later than `now`.
    now = await clock.now(connection)
    matching_ids = await load_matching_ids(connection, search, now, id_range.after, id_range.upto)
    member_ids = {
        email_id: key
        for key, email_id in await connection.fetch_tuples(
            ("id", "email_id"),
            "SELECT id, email_id FROM memberships WHERE search_id = ? AND email_id > ? AND email_id <= ?",
            *(search.id, id_range.after, id_range.upto),
        )
    }
    cause = Cause(ChangeCauseKind(invalidation.cause))
    joins = (Join(search.id, email_id, cause) for email_id in sorted(matching_ids.difference(member_ids)))
    leaves = (
        Leave(key, search.id, email_id, cause) for email_id, key in member_ids.items() if email_id not in matching_ids
    )
    changes = MembershipChanges(tuple(joins), tuple(leaves))
    if before is not None and changes:
        matched_before = await load_matching_ids(connection, before, now, id_range.after, id_range.upto)
        changes = await _attribute_others(connection, search, changes, matched_before)
    return now, id_range, changes


async def _attribute_others(
    connection: Connection, search: StandingSearch, changes: MembershipChanges, matched_before: AbstractSet[int]
) -> MembershipChanges:
    """Correct the causes of the changes to a list whose owner's rights changed.

    `matched_before` has the ids of the emails that match under the previous rights.

    Changes that the rights do not explain get another cause. Their emails have invalidations of their own, which the
    next batch would have processed; otherwise time has passed, and the cause is CLOCK.
    """
    email_ids = [join.email_id for join in changes.joins if join.email_id in matched_before]
    email_ids += await _filter_visible(
        connection, search, {leave.email_id for leave in changes.leaves} - matched_before
    )
    if not email_ids:
        return changes
    causes = dict.fromkeys(email_ids, Cause(ChangeCauseKind.CLOCK))
    for row in await connection.fetch(
        "SELECT subject_id, cause, engagement_id FROM invalidations"
        f" WHERE kind = ? AND {connection.in_any('subject_id')} ORDER BY id",
        int(InvalidationKind.EMAIL),
        connection.array_param(email_ids),
    ):
        causes[row["subject_id"]] = Cause(ChangeCauseKind(row["cause"]), row["engagement_id"])
    return MembershipChanges(
        tuple(join._replace(cause=causes.get(join.email_id, join.cause)) for join in changes.joins),
        tuple(leave._replace(cause=causes.get(leave.email_id, leave.cause)) for leave in changes.leaves),
    )


async def _filter_visible(connection: Connection, search: StandingSearch, email_ids: AbstractSet[int]) -> list[int]:
    """Return the ids of those emails that the owner of a list may see."""
    in_scope = scope_clause(search.scope, POSTGRES if connection.postgres else SQLITE)
    return await connection.fetch_ids(
        f"SELECT e.id FROM emails e WHERE {in_scope.text} AND {connection.in_any('e.id')}",
        *(*in_scope.parameters, connection.array_param(email_ids)),
    )


async def _write(
    search: StandingSearch,
    invalidation: PendingInvalidation,
    id_range: _IdRange,
    changes: MembershipChanges,
    times: StoredTimes,
    epoch: int,
    uow: UnitOfWork,
) -> None:
    """Write the changes of one batch of a backfill.

    The backfill's invalidation is deleted after the last batch, otherwise advanced.
    """
    tx = uow.connection
    silent = invalidation.cause == ChangeCauseKind.SEARCH_CHANGED
    # Lock the list before its invalidation, in the same order as a refinement does, so that no deadlock can occur.
    await tx.fetch_one("SELECT id FROM saved_searches WHERE id = ?" + tx.for_update(), search.id)
    await claim_invalidations(
        tx,
        [invalidation.id] if id_range.is_last else [],
        () if id_range.is_last else [(id_range.upto, invalidation.id)],
    )
    if changes:
        await write_changes(uow, epoch, changes, announce=not silent)
    uow.defer(*time_transitions.store_times_statement(times))
    if silent and id_range.is_last:
        for entry in await _complete(tx, search, uow.now):
            uow.log(entry)


async def _complete(connection: Connection, search: StandingSearch, now: int) -> list[LogEntry]:
    """Mark a list as live after its backfill, and return log entries that announce it.

    If the list was deleted, return none.
    """
    row = await connection.fetch_one(
        "SELECT state FROM saved_searches WHERE id = ?" + connection.for_update(), search.id
    )
    if row is None:
        return []
    kinds = [ChangeKind.SEARCH_RESET]
    if row["state"] != SavedSearchState.LIVE:
        kinds.insert(0, ChangeKind.SEARCH_UPSERTED)
        await connection.execute(
            "UPDATE saved_searches SET state = ?, updated_at = ? WHERE id = ?",
            int(SavedSearchState.LIVE),
            now,
            search.id,
        )
    return [LogEntry(search.team_id, kind, search.owner_id, search.id) for kind in kinds]


async def _delete_members(writer: FencedWriter, invalidation: PendingInvalidation) -> None:
    """Delete one batch of the memberships of a deleted list.

    The log already contains the list's DELETED entry.
    """

    async def delete(uow: UnitOfWork) -> None:
        deleted_count = await uow.connection.execute(
            "DELETE FROM memberships WHERE id IN (SELECT id FROM memberships WHERE search_id = ? LIMIT ?)",
            invalidation.subject_id,
            BATCH_EMAILS,
        )
        if deleted_count < BATCH_EMAILS:
            await uow.connection.execute("DELETE FROM invalidations WHERE id = ?", invalidation.id)

    await writer.run_in_transaction(delete)
