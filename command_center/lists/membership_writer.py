"""Joins and leaves carried out: memberships, how many members a list has, and the log rows that say so."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from command_center.changes import log
from command_center.changes.entries import TYPES, LogEntry, from_values
from command_center.changes.unit_of_work import UnitOfWork
from command_center.lists.fencing import LeaseTaken, check_epoch, fence_cte
from command_center.lists.invalidations import all_or_none, claim_invalidations
from command_center.lists.membership_diff import Join, Leave, MembershipChanges
from command_center.lists.time_transitions import StoredTimes, storing
from models.enums import ChangeKind, SavedSearchState

_STAY = {
    "search_id": "bigint",
    "email_id": "bigint",
    "joined_at": "bigint",
    "cause_kind": "smallint",
    "cause_engagement_id": "bigint",
}
_PLACE = {"place": "int"}
_END = {"id": "bigint", "cause_kind": "smallint", "cause_engagement_id": "bigint"} | _PLACE
_COUNTS = {"id": "bigint", "by": "int"}
_LIST = ("team_id", "owner_id", "state")
_MEMBER = ("id", "search_id", "email_id")
_AGAIN = "ON CONFLICT (search_id, email_id) DO NOTHING"


async def write_changes(
    uow: UnitOfWork,
    epoch: int,
    verdicts: MembershipChanges,
    announce: bool = True,
    done: Sequence[int] = (),
    times: StoredTimes | None = None,
) -> None:
    """Carries out verdicts, and says each one that really changed something: who left, then who joined, each in the
    order of the verdicts. Takes away the marks that are `done` with it, and stores the `times`.

    The saved searches are locked first: one deleted meanwhile keeps its word that nothing follows its deletion. A list
    that is still filling is changed in silence, its Reset says it all. On PostgreSQL it is one statement.

    Raises: LeaseTaken if this is not the lease's epoch; Superseded if one of the marks is gone.
    """
    if uow.connection.postgres:
        await _write_in_one_statement(uow, epoch, verdicts, announce, done, times)
        return
    await check_epoch(uow.connection, epoch)
    await claim_invalidations(uow.connection, done)
    if verdicts:
        await _write_in_steps(uow, verdicts, announce)
    if times is not None:
        uow.defer(*storing(times))


async def _write_in_steps(uow: UnitOfWork, verdicts: MembershipChanges, announce: bool) -> None:
    tx = uow.connection
    found = await tx.fetch_tuples(
        ("id", *_LIST),
        f"SELECT id, {', '.join(_LIST)} FROM saved_searches WHERE {tx.in_any('id')}",
        tx.array_param(verdicts.searches()),
    )
    searches = {key: of for key, *of in found}
    leaves = [leave for leave in verdicts.leaves if leave.search_id in searches]
    joins = [join for join in verdicts.joins if join.search_id in searches]
    there: set[int] = set()
    if leaves:
        listed = tx.array_param(leave.member_id for leave in leaves)
        there = {
            key
            for (key,) in await tx.fetch_tuples(("id",), f"SELECT id FROM memberships WHERE {tx.in_any('id')}", listed)
        }
        await tx.execute(f"DELETE FROM memberships WHERE {tx.in_any('id')}", listed)
    made = await tx.insert("memberships", _STAY, [_membership(join, uow.now) for join in joins], _AGAIN, _MEMBER)
    keys = {(search_id, email_id): key for key, search_id, email_id in made}
    moved: list[tuple[ChangeKind, int, Join | Leave]] = [
        (ChangeKind.MEMBER_LEFT, leave.member_id, leave) for leave in leaves if leave.member_id in there
    ]
    moved += [
        (ChangeKind.MEMBER_JOINED, keys[join.search_id, join.email_id], join)
        for join in joins
        if (join.search_id, join.email_id) in keys
    ]
    change: Counter[int] = Counter()
    for kind, member_id, verdict in moved:
        change[verdict.search_id] += 1 if kind is ChangeKind.MEMBER_JOINED else -1
        team_id, owner_id, state = searches[verdict.search_id]
        if announce and state == SavedSearchState.LIVE:
            uow.log(
                LogEntry(
                    team_id=team_id,
                    kind=kind,
                    owner_id=owner_id,
                    search_id=verdict.search_id,
                    member_id=member_id,
                    email_id=verdict.email_id,
                    engagement_id=verdict.cause.engagement_id,
                    cause_kind=verdict.cause.kind,
                )
            )
    if counts := [(key, by) for key, by in change.items() if by]:
        given, values = tx.values_table(_COUNTS, counts)
        uow.defer(
            f"UPDATE saved_searches SET member_count = member_count + given.by FROM {given}"
            " WHERE saved_searches.id = given.id",
            values,
        )


def _membership(join: Join, now: int) -> tuple[Any, ...]:
    return join.search_id, join.email_id, now, int(join.cause.kind), join.cause.engagement_id


async def _write_in_one_statement(
    uow: UnitOfWork,
    epoch: int,
    verdicts: MembershipChanges,
    announce: bool,
    done: Sequence[int],
    times: StoredTimes | None,
) -> None:
    """In one statement of PostgreSQL's: a way there and back takes longer than any part of it.

    If the epoch is another one or a mark is gone, nothing is found to be changed: each part depends on `all_there`.
    Keys of members are given out in the order of the verdicts.
    """
    tx = uow.connection
    joining, joins = tx.values_table(
        _STAY | _PLACE, [(*_membership(join, uow.now), place) for place, join in enumerate(verdicts.joins)]
    )
    leaving, leaves = tx.values_table(
        _END,
        [
            (leave.member_id, int(leave.cause.kind), leave.cause.engagement_id, place)
            for place, leave in enumerate(verdicts.leaves)
        ],
    )
    # Arrays of keys are looked up in an index, whatever PostgreSQL thinks of the tables.
    marks, searches = tx.array_param(done), tx.array_param(verdicts.searches())
    members = tx.array_param(leave.member_id for leave in verdicts.leaves)
    joined, left = (f"{int(kind)}::smallint" for kind in (ChangeKind.MEMBER_JOINED, ChangeKind.MEMBER_LEFT))
    # The row is there since the matcher started.
    followed = (
        " followed AS (UPDATE ticks SET ticked_at = ?::bigint, decided_until = ?::bigint"
        " WHERE id = 1 AND EXISTS (SELECT 1 FROM all_there)),"
    )
    rows = await tx.fetch_tuples(
        ("held", "claimed", *TYPES),
        f"WITH {fence_cte()}, there AS MATERIALIZED (SELECT id FROM marks WHERE {tx.in_any('id')}"
        " AND EXISTS (SELECT 1 FROM fence) ORDER BY id FOR UPDATE),"
        " all_there AS MATERIALIZED (SELECT 1 FROM there HAVING count(*) = ?::bigint AND EXISTS (SELECT 1 FROM fence)),"
        f"{followed if times else ''} claimed AS (DELETE FROM marks USING all_there WHERE {tx.in_any('id')}),"
        f" searches AS MATERIALIZED (SELECT id, {', '.join(_LIST)} FROM saved_searches WHERE {tx.in_any('id')}"
        f" AND EXISTS (SELECT 1 FROM all_there) ORDER BY id{tx.for_update('NO KEY UPDATE')}),"
        # What is written like this is one look into a table of hashes for each row; as a join PostgreSQL, which expects
        # few of either, might hold each row against each.
        f" gone AS (DELETE FROM memberships m WHERE {tx.in_any('m.id')}"
        " AND (m.search_id IN (SELECT id FROM searches)) IS TRUE RETURNING m.id, m.search_id, m.email_id),"
        f" made AS (INSERT INTO memberships ({', '.join(_STAY)}) SELECT {', '.join('given.' + each for each in _STAY)}"
        f" FROM {joining} JOIN searches s ON s.id = given.search_id ORDER BY given.place {_AGAIN}"
        f" RETURNING {joined}, id, search_id, email_id, cause_kind, cause_engagement_id, id),"
        f" moved AS (SELECT {left} AS kind, gone.*, given.cause_kind, given.cause_engagement_id, given.place::bigint"
        f" FROM gone JOIN {leaving} ON given.id = gone.id UNION ALL SELECT * FROM made),"
        " counts AS (SELECT search_id, 2 * count(*) FILTER (WHERE kind = " + joined + ") - count(*) AS by FROM moved"
        " GROUP BY search_id),"
        " counted AS (UPDATE saved_searches s SET member_count = s.member_count + counts.by FROM counts"
        f" WHERE {tx.in_any('s.id')} AND s.id = counts.search_id AND counts.by <> 0),"
        " said AS MATERIALIZED (SELECT s.team_id, m.kind, s.owner_id, m.search_id, m.id AS member_id, m.email_id,"
        " NULL::bigint AS task_id, m.cause_engagement_id AS engagement_id, m.cause_kind, row_number() OVER"
        f" (PARTITION BY s.team_id ORDER BY m.kind = {joined}, m.place) AS position, ?::bigint AS at,"
        " ?::bigint AS check_value"
        " FROM moved m JOIN searches s ON s.id = m.search_id"
        f" WHERE ?::bool AND s.state = {int(SavedSearchState.LIVE)}),"
        f" {log.appending('said')}"
        " SELECT EXISTS (SELECT 1 FROM fence) AS held, (SELECT count(*) FROM there) AS claimed,"
        f" {', '.join('written.' + each for each in TYPES)}"
        " FROM (VALUES (1)) AS always LEFT JOIN written ON TRUE ORDER BY written.team_id, written.position",
        *(epoch, marks, len(set(done)), *(times or ()), marks, searches),
        *(members, *joins, *leaves, searches, uow.now, log.new_check_value(), announce),
    )
    held, claimed = rows[0][:2]
    if not held:
        raise LeaseTaken
    all_or_none(claimed, done)
    uow.logged += [from_values(row[2:]) for row in rows if row[2] is not None]
