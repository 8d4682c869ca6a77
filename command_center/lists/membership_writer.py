"""Writes joins and leaves of lists.

They change memberships and the lists' numbers of members, and are logged.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from command_center.changes import log
from command_center.changes.entries import COLUMN_TYPES, LogEntry, from_values
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.sql_files import NamedStatement, read_sql
from command_center.lists.fencing import FENCE_CTE, LeaseTaken, check_epoch
from command_center.lists.invalidations import claim_invalidations, require_all_deleted
from command_center.lists.membership_diff import Join, Leave, MembershipChanges
from command_center.lists.time_transitions import StoredTimes, store_times_statement
from models.enums import ChangeKind, SavedSearchState

_MEMBERSHIP_COLUMNS = {
    "search_id": "bigint",
    "email_id": "bigint",
    "joined_at": "bigint",
    "cause_kind": "smallint",
    "cause_engagement_id": "bigint",
}
_COUNT_COLUMNS = {"id": "bigint", "by": "int"}
_SKIP_EXISTING = "ON CONFLICT (search_id, email_id) DO NOTHING"


class _LockedSearch(NamedTuple):
    """The columns of a saved search that its log entries need."""

    id: int
    team_id: int
    owner_id: int
    state: int


class _NewMember(NamedTuple):
    """The columns of a membership that was inserted."""

    id: int
    search_id: int
    email_id: int


# The columns that `write_changes.sql` returns.
_RESULT_COLUMNS = ("fence_held", "pending_count", *COLUMN_TYPES)
# The matcher inserted the row when it started.
_STORED_TIMES_CTE = """
stored_times AS (
    UPDATE matcher_state
    SET transitions_until = :transitions_until::bigint, evaluated_until = :evaluated_until::bigint
    WHERE id = 1 AND EXISTS (SELECT 1 FROM all_pending)
),"""


def _build_statement(stored_times: str) -> NamedStatement:
    """Return the statement of `write_changes.sql`.

    `stored_times` is its part that stores the times, or empty.
    """
    return NamedStatement(
        read_sql("command_center.lists", "write_changes.sql").format(
            fence=FENCE_CTE,
            stored_times=stored_times,
            append_entries=log.APPEND_CTES,
            joined=int(ChangeKind.MEMBER_JOINED),
            left=int(ChangeKind.MEMBER_LEFT),
            live=int(SavedSearchState.LIVE),
        )
    )


_WRITE_CHANGES = _build_statement("")
_WRITE_CHANGES_AND_TIMES = _build_statement(_STORED_TIMES_CTE)


async def write_changes(
    uow: UnitOfWork,
    epoch: int,
    changes: MembershipChanges,
    announce: bool = True,
    completed_ids: Sequence[int] = (),
    times: StoredTimes | None = None,
) -> None:
    """Write changes of memberships, and log each one that took effect.

    Leaves are logged before joins, each in the order of `changes`.

    The same transaction deletes the invalidations `completed_ids` and stores the `times`. On PostgreSQL it is one
    statement.

    The saved searches are locked first, so that no entry can follow a list's DELETED entry in the log. The changes of
    a list whose backfill is not finished are not logged, because its Reset covers them all.

    Raises: LeaseTaken if this is not the lease's epoch; StaleBatch if an invalidation no longer exists.
    """
    if uow.connection.postgres:
        await _write_in_one_statement(uow, epoch, changes, announce, completed_ids, times)
        return
    await check_epoch(uow.connection, epoch)
    await claim_invalidations(uow.connection, completed_ids)
    if changes:
        await _write_in_steps(uow, changes, announce)
    if times is not None:
        uow.defer(*store_times_statement(times))


async def _write_in_steps(uow: UnitOfWork, changes: MembershipChanges, announce: bool) -> None:
    """Write changes of memberships with several statements, for SQLite."""
    tx = uow.connection
    rows = await tx.fetch_tuples(
        _LockedSearch._fields,
        f"SELECT {', '.join(_LockedSearch._fields)} FROM saved_searches WHERE {tx.in_any('id')}",
        tx.array_param(changes.searches()),
    )
    searches = {search.id: search for search in map(_LockedSearch._make, rows)}
    leaves = [leave for leave in changes.leaves if leave.search_id in searches]
    joins = [join for join in changes.joins if join.search_id in searches]
    existing_ids: set[int] = set()
    if leaves:
        member_ids = tx.array_param(leave.member_id for leave in leaves)
        existing_ids = {
            key
            for (key,) in await tx.fetch_tuples(
                ("id",), f"SELECT id FROM memberships WHERE {tx.in_any('id')}", member_ids
            )
        }
        await tx.execute(f"DELETE FROM memberships WHERE {tx.in_any('id')}", member_ids)
    inserted = await tx.insert(
        "memberships",
        _MEMBERSHIP_COLUMNS,
        [_build_membership(join, uow.now) for join in joins],
        _SKIP_EXISTING,
        _NewMember._fields,
    )
    new_member_ids = {(row.search_id, row.email_id): row.id for row in map(_NewMember._make, inserted)}
    applied: list[tuple[ChangeKind, int, Join | Leave]] = [
        (ChangeKind.MEMBER_LEFT, leave.member_id, leave) for leave in leaves if leave.member_id in existing_ids
    ]
    applied += [
        (ChangeKind.MEMBER_JOINED, new_member_ids[join.search_id, join.email_id], join)
        for join in joins
        if (join.search_id, join.email_id) in new_member_ids
    ]
    count_changes: Counter[int] = Counter()
    for kind, member_id, change in applied:
        count_changes[change.search_id] += 1 if kind is ChangeKind.MEMBER_JOINED else -1
        search = searches[change.search_id]
        if announce and search.state == SavedSearchState.LIVE:
            uow.log(
                LogEntry(
                    team_id=search.team_id,
                    kind=kind,
                    owner_id=search.owner_id,
                    search_id=change.search_id,
                    member_id=member_id,
                    email_id=change.email_id,
                    engagement_id=change.cause.engagement_id,
                    cause_kind=change.cause.kind,
                )
            )
    if counts := [(key, by) for key, by in count_changes.items() if by]:
        table, values = tx.values_table(_COUNT_COLUMNS, counts)
        uow.defer(
            f"UPDATE saved_searches SET member_count = member_count + new_values.by FROM {table}"
            " WHERE saved_searches.id = new_values.id",
            values,
        )


def _build_membership(join: Join, now: int) -> tuple[int, int, int, int, int | None]:
    """Return the values of a new membership's columns."""
    return join.search_id, join.email_id, now, int(join.cause.kind), join.cause.engagement_id


async def _write_in_one_statement(
    uow: UnitOfWork,
    epoch: int,
    changes: MembershipChanges,
    announce: bool,
    completed_ids: Sequence[int],
    times: StoredTimes | None,
) -> None:
    """Write changes of memberships with one statement, for PostgreSQL.

    There a round trip takes longer than any part of the statement.
    """
    statement = _WRITE_CHANGES if times is None else _WRITE_CHANGES_AND_TIMES
    values = statement.values(
        epoch=epoch,
        completed_ids=list(completed_ids),
        completed_count=len(set(completed_ids)),
        transitions_until=times and times.transitions_until,
        evaluated_until=times and times.evaluated_until,
        search_ids=list(changes.searches()),
        left_member_ids=[leave.member_id for leave in changes.leaves],
        leave_cause_kinds=[int(leave.cause.kind) for leave in changes.leaves],
        leave_engagement_ids=[leave.cause.engagement_id for leave in changes.leaves],
        joined_search_ids=[join.search_id for join in changes.joins],
        joined_email_ids=[join.email_id for join in changes.joins],
        join_cause_kinds=[int(join.cause.kind) for join in changes.joins],
        join_engagement_ids=[join.cause.engagement_id for join in changes.joins],
        announce=announce,
        now=uow.now,
        check_value=log.create_check_value(),
    )
    rows = await uow.connection.fetch_tuples(_RESULT_COLUMNS, statement.sql, *values)
    fence_held, pending_count = rows[0][:2]
    if not fence_held:
        raise LeaseTaken
    require_all_deleted(pending_count, completed_ids)
    uow.entries_in_log += [from_values(row[2:]) for row in rows if row[2] is not None]
