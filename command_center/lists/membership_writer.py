"""Writes joins and leaves: memberships, the number of members of each list, and log entries."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from command_center.changes import log
from command_center.changes.entries import COLUMN_TYPES, LogEntry, from_values
from command_center.changes.unit_of_work import UnitOfWork
from command_center.lists.fencing import LeaseTaken, check_epoch, fence_cte
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
_POSITION_COLUMN = {"place": "int"}
_LEAVE_COLUMNS = {"id": "bigint", "cause_kind": "smallint", "cause_engagement_id": "bigint"} | _POSITION_COLUMN
_COUNT_COLUMNS = {"id": "bigint", "by": "int"}
_SEARCH_COLUMNS = ("team_id", "owner_id", "state")
_RETURNED_COLUMNS = ("id", "search_id", "email_id")
_SKIP_EXISTING = "ON CONFLICT (search_id, email_id) DO NOTHING"


async def write_changes(
    uow: UnitOfWork,
    epoch: int,
    changes: MembershipChanges,
    announce: bool = True,
    completed_ids: Sequence[int] = (),
    times: StoredTimes | None = None,
) -> None:
    """Write the changes, and log each one that took effect.

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
    """Write the changes with several statements, for SQLite."""
    tx = uow.connection
    rows = await tx.fetch_tuples(
        ("id", *_SEARCH_COLUMNS),
        f"SELECT id, {', '.join(_SEARCH_COLUMNS)} FROM saved_searches WHERE {tx.in_any('id')}",
        tx.array_param(changes.searches()),
    )
    searches = {key: columns for key, *columns in rows}
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
        [_membership(join, uow.now) for join in joins],
        _SKIP_EXISTING,
        _RETURNED_COLUMNS,
    )
    new_member_ids = {(search_id, email_id): key for key, search_id, email_id in inserted}
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
        team_id, owner_id, state = searches[change.search_id]
        if announce and state == SavedSearchState.LIVE:
            uow.log(
                LogEntry(
                    team_id=team_id,
                    kind=kind,
                    owner_id=owner_id,
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


def _membership(join: Join, now: int) -> tuple[Any, ...]:
    """Return the row of a new membership."""
    return join.search_id, join.email_id, now, int(join.cause.kind), join.cause.engagement_id


async def _write_in_one_statement(
    uow: UnitOfWork,
    epoch: int,
    changes: MembershipChanges,
    announce: bool,
    completed_ids: Sequence[int],
    times: StoredTimes | None,
) -> None:
    """Write the changes with one statement, for PostgreSQL, where a round trip takes longer than any part of it.

    If the epoch differs or an invalidation is missing, the statement changes nothing: each part depends on
    `all_there`. New members get their ids in the order of `changes`.
    """
    tx = uow.connection
    join_table, join_values = tx.values_table(
        _MEMBERSHIP_COLUMNS | _POSITION_COLUMN,
        [(*_membership(join, uow.now), position) for position, join in enumerate(changes.joins)],
    )
    leave_table, leave_values = tx.values_table(
        _LEAVE_COLUMNS,
        [
            (leave.member_id, int(leave.cause.kind), leave.cause.engagement_id, position)
            for position, leave in enumerate(changes.leaves)
        ],
    )
    # PostgreSQL looks up arrays of ids in an index, however it estimates the sizes of the tables.
    invalidation_ids, search_ids = tx.array_param(completed_ids), tx.array_param(changes.searches())
    member_ids = tx.array_param(leave.member_id for leave in changes.leaves)
    joined_kind, left_kind = (f"{int(kind)}::smallint" for kind in (ChangeKind.MEMBER_JOINED, ChangeKind.MEMBER_LEFT))
    # The matcher inserted the row when it started.
    store_times = (
        " followed AS (UPDATE matcher_state SET transitions_until = ?::bigint, evaluated_until = ?::bigint"
        " WHERE id = 1 AND EXISTS (SELECT 1 FROM all_there)),"
    )
    rows = await tx.fetch_tuples(
        ("held", "claimed", *COLUMN_TYPES),
        f"WITH {fence_cte()}, there AS MATERIALIZED (SELECT id FROM invalidations WHERE {tx.in_any('id')}"
        " AND EXISTS (SELECT 1 FROM fence) ORDER BY id FOR UPDATE),"
        " all_there AS MATERIALIZED (SELECT 1 FROM there HAVING count(*) = ?::bigint AND EXISTS (SELECT 1 FROM fence)),"
        f"{store_times if times else ''}"
        f" claimed AS (DELETE FROM invalidations USING all_there WHERE {tx.in_any('id')}),"
        f" searches AS MATERIALIZED (SELECT id, {', '.join(_SEARCH_COLUMNS)} FROM saved_searches"
        f" WHERE {tx.in_any('id')} AND EXISTS (SELECT 1 FROM all_there) ORDER BY id{tx.for_update('NO KEY UPDATE')}),"
        # IN (...) IS TRUE is one hash lookup for each row. As a join, PostgreSQL might choose a nested loop, because
        # it expects few rows on either side.
        f" gone AS (DELETE FROM memberships m WHERE {tx.in_any('m.id')}"
        " AND (m.search_id IN (SELECT id FROM searches)) IS TRUE RETURNING m.id, m.search_id, m.email_id),"
        f" made AS (INSERT INTO memberships ({', '.join(_MEMBERSHIP_COLUMNS)})"
        f" SELECT {', '.join('new_values.' + column for column in _MEMBERSHIP_COLUMNS)}"
        f" FROM {join_table} JOIN searches s ON s.id = new_values.search_id ORDER BY new_values.place {_SKIP_EXISTING}"
        f" RETURNING {joined_kind}, id, search_id, email_id, cause_kind, cause_engagement_id, id),"
        f" moved AS (SELECT {left_kind} AS kind, gone.*, new_values.cause_kind, new_values.cause_engagement_id,"
        f" new_values.place::bigint FROM gone JOIN {leave_table} ON new_values.id = gone.id"
        " UNION ALL SELECT * FROM made),"
        f" counts AS (SELECT search_id, 2 * count(*) FILTER (WHERE kind = {joined_kind}) - count(*) AS by FROM moved"
        " GROUP BY search_id),"
        " counted AS (UPDATE saved_searches s SET member_count = s.member_count + counts.by FROM counts"
        f" WHERE {tx.in_any('s.id')} AND s.id = counts.search_id AND counts.by <> 0),"
        " said AS MATERIALIZED (SELECT s.team_id, m.kind, s.owner_id, m.search_id, m.id AS member_id, m.email_id,"
        " NULL::bigint AS task_id, m.cause_engagement_id AS engagement_id, m.cause_kind, row_number() OVER"
        f" (PARTITION BY s.team_id ORDER BY m.kind = {joined_kind}, m.place) AS position, ?::bigint AS at,"
        " ?::bigint AS check_value"
        " FROM moved m JOIN searches s ON s.id = m.search_id"
        f" WHERE ?::bool AND s.state = {int(SavedSearchState.LIVE)}),"
        f" {log.append_ctes('said')}"
        " SELECT EXISTS (SELECT 1 FROM fence) AS held, (SELECT count(*) FROM there) AS claimed,"
        f" {', '.join('written.' + column for column in COLUMN_TYPES)}"
        " FROM (VALUES (1)) AS always LEFT JOIN written ON TRUE ORDER BY written.team_id, written.position",
        *(epoch, invalidation_ids, len(set(completed_ids)), *(times or ()), invalidation_ids, search_ids),
        *(member_ids, *join_values, *leave_values, search_ids, uow.now, log.new_check_value(), announce),
    )
    fence_held, pending_count = rows[0][:2]
    if not fence_held:
        raise LeaseTaken
    require_all_deleted(pending_count, completed_ids)
    uow.entries_in_log += [from_values(row[2:]) for row in rows if row[2] is not None]
