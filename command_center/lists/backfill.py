"""Filling: a new or refined list is brought up to its filter in bounded batches, while events go on.

Each batch looks at a range of email ids, by SQL, and changes what differs; stays that persist keep their ids. The end
of a fill is one Reset in the log. A change of rights is filled too, but each member that comes or goes is announced.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

from command_center.changes.entries import LogEntry
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.clock import Clock
from command_center.database.connections import Connection, Row, database, run_snapshot
from command_center.lists import standing_searches, time_transitions
from command_center.lists.fencing import FencedWriter
from command_center.lists.invalidations import claim_invalidations
from command_center.lists.membership_diff import Cause, Join, Leave, MembershipChanges
from command_center.lists.membership_writer import write_changes
from command_center.lists.rights import ChangedRights
from command_center.lists.standing_searches import StandingSearch
from command_center.lists.time_transitions import StoredTimes
from command_center.search.index.search_index import Index
from command_center.search.sql import POSTGRES, SQLITE, filter_clause, scope_clause
from models.enums import ChangeCauseKind, ChangeKind, InvalidationKind, SavedSearchState

BATCH = 1_000
"""Emails looked at in one go, for which events wait. With five times as many a list is hardly filled sooner, and an
event beside it takes several times as long."""
_END = 2**62


@dataclass(frozen=True, slots=True)
class _Range:
    """The email ids with after < id <= upto."""

    after: int
    upto: int

    @property
    def last(self) -> bool:
        return self.upto == _END


async def run_backfill(
    writer: FencedWriter, clock: Clock, index: Index, rights: ChangedRights, mark: Row, stored: StoredTimes
) -> StoredTimes:
    """One batch of the mark of one saved search. Returns the times that are stored then."""
    found = await standing_searches.load(database(), [mark["subject_id"]])
    if not found:
        index.remove(mark["subject_id"])
        rights.discard(mark["subject_id"])
        await _empty(writer, mark)
        return stored
    search = found[0]
    # Filed before it is filled: an event that comes meanwhile finds the list, and the fill finds the event.
    index.add(search.id, search.scope, search.filter)
    access_changed = mark["cause"] == ChangeCauseKind.ACCESS_CHANGED
    before = rights.before(search.id) if access_changed else None
    now, span, verdicts = await run_snapshot(partial(_differences, clock, search, before, mark))
    times = stored.later(stored.ticked_at, now)
    await writer.run_in_transaction(partial(_carry_out, search, mark, span, verdicts, times, writer.epoch), now)
    if access_changed and span.last:
        rights.discard(search.id)
    return times


async def matching(
    connection: Connection, search: StandingSearch, now: int, after: int = 0, upto: int = _END
) -> set[int]:
    """The email ids in a range that the filter holds for at a moment, by SQL."""
    dialect = POSTGRES if connection.postgres else SQLITE
    ranged, filtered = scope_clause(search.scope, dialect), filter_clause(search.filter, dialect, now)
    rows = await connection.fetch_tuples(
        ("id",),
        "SELECT e.id FROM emails e JOIN people p ON p.id = e.person_id"
        f" WHERE {ranged.text} AND {filtered.text} AND e.id > ? AND e.id <= ?",
        *(*ranged.parameters, *filtered.parameters, after, upto),
    )
    return {key for (key,) in rows}


async def _range(connection: Connection, search: StandingSearch, after: int) -> _Range:
    ranged = scope_clause(search.scope, POSTGRES if connection.postgres else SQLITE)
    row = await connection.fetch_one(
        "SELECT count(*) AS count, max(id) AS upto FROM"
        f" (SELECT e.id FROM emails e WHERE {ranged.text} AND e.id > ? ORDER BY e.id LIMIT ?) AS portion",
        *(*ranged.parameters, after, BATCH),
    )
    return _Range(after, row["upto"] if row and row["count"] == BATCH else _END)


async def _differences(
    clock: Clock, search: StandingSearch, before: StandingSearch | None, mark: Row, connection: Connection
) -> tuple[int, _Range, MembershipChanges]:
    """The moment, the next range, and what of the list's members in it is not as the filter wants at that moment."""
    span = await _range(connection, search, mark["progress"])
    # Not before the first SELECT, by which it is settled what is seen: so everything seen had happened by then.
    now = await clock.now(connection)
    wanted = await matching(connection, search, now, span.after, span.upto)
    present = {
        email_id: key
        for key, email_id in await connection.fetch_tuples(
            ("id", "email_id"),
            "SELECT id, email_id FROM memberships WHERE search_id = ? AND email_id > ? AND email_id <= ?",
            *(search.id, span.after, span.upto),
        )
    }
    cause = Cause(ChangeCauseKind(mark["cause"]))
    joins = (Join(search.id, email_id, cause) for email_id in sorted(wanted.difference(present)))
    leaves = (Leave(key, search.id, email_id, cause) for email_id, key in present.items() if email_id not in wanted)
    verdicts = MembershipChanges(tuple(joins), tuple(leaves))
    if before is not None and verdicts:
        matched_before = await matching(connection, before, now, span.after, span.upto)
        verdicts = await _attribute_others(connection, search, verdicts, matched_before)
    return now, span, verdicts


async def _attribute_others(
    connection: Connection, search: StandingSearch, verdicts: MembershipChanges, matched_before: AbstractSet[int]
) -> MembershipChanges:
    """The verdicts on a list whose owner's rights changed, with another cause for those that are not due to that.

    Their emails have marks of their own, which the next look would have reached; or else time passed.
    """
    others = [join.email_id for join in verdicts.joins if join.email_id in matched_before]
    others += await _visible(connection, search, {leave.email_id for leave in verdicts.leaves} - matched_before)
    if not others:
        return verdicts
    causes = dict.fromkeys(others, Cause(ChangeCauseKind.CLOCK))
    for row in await connection.fetch(
        f"SELECT subject_id, cause, engagement_id FROM marks WHERE kind = ? AND {connection.in_any('subject_id')}"
        " ORDER BY id",
        int(InvalidationKind.EMAIL),
        connection.array_param(others),
    ):
        causes[row["subject_id"]] = Cause(ChangeCauseKind(row["cause"]), row["engagement_id"])
    return MembershipChanges(
        tuple(join._replace(cause=causes.get(join.email_id, join.cause)) for join in verdicts.joins),
        tuple(leave._replace(cause=causes.get(leave.email_id, leave.cause)) for leave in verdicts.leaves),
    )


async def _visible(connection: Connection, search: StandingSearch, email_ids: AbstractSet[int]) -> list[int]:
    """Those of the emails that the owner of the list may see."""
    ranged = scope_clause(search.scope, POSTGRES if connection.postgres else SQLITE)
    rows = await connection.fetch(
        f"SELECT e.id FROM emails e WHERE {ranged.text} AND {connection.in_any('e.id')}",
        *(*ranged.parameters, connection.array_param(email_ids)),
    )
    return [row["id"] for row in rows]


async def _carry_out(
    search: StandingSearch,
    mark: Row,
    span: _Range,
    verdicts: MembershipChanges,
    times: StoredTimes,
    epoch: int,
    uow: UnitOfWork,
) -> None:
    tx = uow.connection
    silent = mark["cause"] == ChangeCauseKind.SEARCH_CHANGED
    # The list before its mark, as whoever refines it does, so that neither waits for the other in a circle.
    await tx.fetch_one("SELECT id FROM saved_searches WHERE id = ?" + tx.for_update(), search.id)
    await claim_invalidations(tx, [mark["id"]] if span.last else [], () if span.last else [(span.upto, mark["id"])])
    if verdicts:
        await write_changes(uow, epoch, verdicts, announce=not silent)
    uow.defer(*time_transitions.storing(times))
    if silent and span.last:
        for entry in await _finished(tx, search, uow.now):
            uow.log(entry)


async def _finished(connection: Connection, search: StandingSearch, now: int) -> list[LogEntry]:
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


async def _empty(writer: FencedWriter, mark: Row) -> None:
    """Drops the members of a deleted list. Its deletion is in the log already."""

    async def drop(uow: UnitOfWork) -> None:
        dropped = await uow.connection.execute(
            "DELETE FROM memberships WHERE id IN (SELECT id FROM memberships WHERE search_id = ? LIMIT ?)",
            mark["subject_id"],
            BATCH,
        )
        if dropped < BATCH:
            await uow.connection.execute("DELETE FROM marks WHERE id = ?", mark["id"])

    await writer.run_in_transaction(drop)
