"""Joins and leaves carried out: memberships, how many members a list has, and the log rows that say so."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from command_center.changes import log
from command_center.changes.entries import TYPES, Entry, from_values
from command_center.changes.unit_of_work import Deed
from command_center.lists.fencing import LeaseTaken, check_epoch, fence_cte
from command_center.lists.invalidations import all_or_none, claim
from command_center.lists.membership_diff import Join, Leave, Verdicts
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


async def write(
    deed: Deed,
    epoch: int,
    verdicts: Verdicts,
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
    if deed.connection.postgres:
        await _in_one_go(deed, epoch, verdicts, announce, done, times)
        return
    await check_epoch(deed.connection, epoch)
    await claim(deed.connection, done)
    if verdicts:
        await _by_steps(deed, verdicts, announce)
    if times is not None:
        deed.close_with(*storing(times))


async def _by_steps(deed: Deed, verdicts: Verdicts, announce: bool) -> None:
    tx = deed.connection
    found = await tx.tuples(
        ("id", *_LIST),
        f"SELECT id, {', '.join(_LIST)} FROM saved_searches WHERE {tx.within('id')}",
        tx.listed(verdicts.searches()),
    )
    searches = {key: of for key, *of in found}
    leaves = [leave for leave in verdicts.leaves if leave.search_id in searches]
    joins = [join for join in verdicts.joins if join.search_id in searches]
    there: set[int] = set()
    if leaves:
        listed = tx.listed(leave.member_id for leave in leaves)
        there = {
            key for (key,) in await tx.tuples(("id",), f"SELECT id FROM memberships WHERE {tx.within('id')}", listed)
        }
        await tx.run(f"DELETE FROM memberships WHERE {tx.within('id')}", listed)
    made = await tx.insert("memberships", _STAY, [_stay(join, deed.now) for join in joins], _AGAIN, _MEMBER)
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
            deed.say(
                Entry(
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
        given, values = tx.given(_COUNTS, counts)
        deed.close_with(
            f"UPDATE saved_searches SET member_count = member_count + given.by FROM {given}"
            " WHERE saved_searches.id = given.id",
            values,
        )


def _stay(join: Join, now: int) -> tuple[Any, ...]:
    return join.search_id, join.email_id, now, int(join.cause.kind), join.cause.engagement_id


async def _in_one_go(
    deed: Deed, epoch: int, verdicts: Verdicts, announce: bool, done: Sequence[int], times: StoredTimes | None
) -> None:
    """In one statement of PostgreSQL's: a way there and back takes longer than any part of it.

    If the epoch is another one or a mark is gone, nothing is found to be changed: each part depends on `all_there`.
    Keys of members are given out in the order of the verdicts.
    """
    tx = deed.connection
    joining, joins = tx.given(
        _STAY | _PLACE, [(*_stay(join, deed.now), place) for place, join in enumerate(verdicts.joins)]
    )
    leaving, leaves = tx.given(
        _END,
        [
            (leave.member_id, int(leave.cause.kind), leave.cause.engagement_id, place)
            for place, leave in enumerate(verdicts.leaves)
        ],
    )
    # Arrays of keys are looked up in an index, whatever PostgreSQL thinks of the tables.
    marks, searches = tx.listed(done), tx.listed(verdicts.searches())
    members = tx.listed(leave.member_id for leave in verdicts.leaves)
    joined, left = (f"{int(kind)}::smallint" for kind in (ChangeKind.MEMBER_JOINED, ChangeKind.MEMBER_LEFT))
    # The row is there since the matcher started.
    followed = (
        " followed AS (UPDATE ticks SET ticked_at = ?::bigint, decided_until = ?::bigint"
        " WHERE id = 1 AND EXISTS (SELECT 1 FROM all_there)),"
    )
    rows = await tx.tuples(
        ("held", "claimed", *TYPES),
        f"WITH {fence_cte()}, there AS MATERIALIZED (SELECT id FROM marks WHERE {tx.within('id')}"
        " AND EXISTS (SELECT 1 FROM fence) ORDER BY id FOR UPDATE),"
        " all_there AS MATERIALIZED (SELECT 1 FROM there HAVING count(*) = ?::bigint AND EXISTS (SELECT 1 FROM fence)),"
        f"{followed if times else ''} claimed AS (DELETE FROM marks USING all_there WHERE {tx.within('id')}),"
        f" searches AS MATERIALIZED (SELECT id, {', '.join(_LIST)} FROM saved_searches WHERE {tx.within('id')}"
        f" AND EXISTS (SELECT 1 FROM all_there) ORDER BY id{tx.locked('NO KEY UPDATE')}),"
        # What is written like this is one look into a table of hashes for each row; as a join PostgreSQL, which expects
        # few of either, might hold each row against each.
        f" gone AS (DELETE FROM memberships m WHERE {tx.within('m.id')}"
        " AND (m.search_id IN (SELECT id FROM searches)) IS TRUE RETURNING m.id, m.search_id, m.email_id),"
        f" made AS (INSERT INTO memberships ({', '.join(_STAY)}) SELECT {', '.join('given.' + each for each in _STAY)}"
        f" FROM {joining} JOIN searches s ON s.id = given.search_id ORDER BY given.place {_AGAIN}"
        f" RETURNING {joined}, id, search_id, email_id, cause_kind, cause_engagement_id, id),"
        f" moved AS (SELECT {left} AS kind, gone.*, given.cause_kind, given.cause_engagement_id, given.place::bigint"
        f" FROM gone JOIN {leaving} ON given.id = gone.id UNION ALL SELECT * FROM made),"
        " counts AS (SELECT search_id, 2 * count(*) FILTER (WHERE kind = " + joined + ") - count(*) AS by FROM moved"
        " GROUP BY search_id),"
        " counted AS (UPDATE saved_searches s SET member_count = s.member_count + counts.by FROM counts"
        f" WHERE {tx.within('s.id')} AND s.id = counts.search_id AND counts.by <> 0),"
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
        *(members, *joins, *leaves, searches, deed.now, log.new_check_value(), announce),
    )
    held, claimed = rows[0][:2]
    if not held:
        raise LeaseTaken
    all_or_none(claimed, done)
    deed.written += [from_values(row[2:]) for row in rows if row[2] is not None]
