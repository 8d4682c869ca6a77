"""The audit: stored membership against a fresh run of every filter, as of the last tick.

Emails that crossed a boundary between the last tick and the last decision are left out, as the next tick looks at them.
"""

from collections.abc import AsyncIterator, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from command_center.changes.unit_of_work import Writer
from command_center.database.connections import Connection, transaction
from command_center.lists import backfill, standing_searches, time_transitions
from command_center.lists.standing_searches import StandingSearch
from command_center.lists.time_transitions import StoredTimes
from command_center.search.index.time_boundaries import time_keys
from models.enums import ChangeCauseKind, InvalidationKind

PAGE = 200


class Outstanding(Exception):
    """Marks are waiting, so the lists are not meant to be equal yet."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A list that is not what its filter says: emails it lacks, emails it holds too many, or a wrong count."""

    search_id: int
    missing: tuple[int, ...]
    surplus: tuple[int, ...]
    counted: int
    held: int


async def differences(writer: Writer) -> list[Difference]:
    """Every list that differs; the database stands still meanwhile. Raises Outstanding."""
    async with transaction() as connection:
        if connection.postgres:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if await connection.fetch_one("SELECT id FROM marks LIMIT 1"):
            raise Outstanding
        now = await writer.clock.now(connection)
        times = await time_transitions.stored_times(connection, now)
        decided = times._replace(decided_until=max(times.ticked_at, min(times.decided_until, now)))
        return [each async for each in _differences(connection, decided)]


async def repair(writer: Writer, found: list[Difference]) -> None:
    """Asks the matcher to fill each list anew; followers are told by its Reset."""
    async with writer.unit_of_work() as uow:
        for difference in found:
            row = await uow.connection.fetch_one(
                # Locked first, so that the count below sees what a pass under way writes.
                "SELECT team_id FROM saved_searches WHERE id = ?" + uow.connection.for_update("NO KEY UPDATE"),
                difference.search_id,
            )
            if row is not None:
                uow.invalidate(
                    InvalidationKind.SEARCH, row["team_id"], difference.search_id, ChangeCauseKind.SEARCH_CHANGED
                )
                await uow.connection.execute(
                    "UPDATE saved_searches SET member_count = (SELECT COUNT(*) FROM memberships WHERE search_id = ?)"
                    " WHERE id = ?",
                    difference.search_id,
                    difference.search_id,
                )


async def _differences(connection: Connection, times: StoredTimes) -> AsyncIterator[Difference]:
    after = 0
    while True:
        rows = await connection.fetch("SELECT id FROM saved_searches WHERE id > ? ORDER BY id LIMIT ?", after, PAGE)
        searches = await standing_searches.load(connection, [row["id"] for row in rows])
        undecided = await _undecided(connection, searches, times)
        for search in searches:
            difference = await _difference(connection, search, times.ticked_at, undecided)
            if difference is not None:
                yield difference
        if len(rows) < PAGE:
            return
        after = rows[-1]["id"]


async def _undecided(connection: Connection, searches: Iterable[StandingSearch], times: StoredTimes) -> set[int]:
    """The emails that the next tick looks at though they may have been decided for a later moment than the last."""
    if times.decided_until == times.ticked_at:
        return set()
    keys = sorted(set().union(*(time_keys(search.filter) for search in searches)), key=str)
    crossed = await time_transitions.crossed_emails(keys, times.ticked_at, times.decided_until, connection)
    return {email_id for _, email_id in crossed}


async def _difference(
    connection: Connection, search: StandingSearch, now: int, undecided: AbstractSet[int]
) -> Difference | None:
    fresh = await backfill.matching(connection, search, now)
    rows = await connection.fetch("SELECT email_id FROM memberships WHERE search_id = ?", search.id)
    held = {row["email_id"] for row in rows}
    row = await connection.fetch_one("SELECT member_count FROM saved_searches WHERE id = ?", search.id)
    counted = row["member_count"] if row else 0
    missing, surplus = fresh - held - undecided, held - fresh - undecided
    if not missing and not surplus and counted == len(held):
        return None
    return Difference(search.id, tuple(sorted(missing)), tuple(sorted(surplus)), counted, len(held))
