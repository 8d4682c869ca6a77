"""Compares all stored memberships with a fresh run of every filter: the audit.

The filters are run for the moment of the last tick.

Emails that crossed a time boundary between the last tick and the last evaluation are left out, because the next tick
invalidates them.
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

PAGE_SEARCHES = 200


class InvalidationsPending(Exception):
    """Invalidations are pending, so the lists may still differ from their filters."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A list that differs from its filter.

    It lacks emails, contains too many, or its stored number of members is wrong.
    """

    search_id: int
    missing: tuple[int, ...]
    surplus: tuple[int, ...]
    stored_count: int
    """The stored number of members."""
    actual_count: int
    """The number of memberships."""


async def find_differences(writer: Writer) -> list[Difference]:
    """Compare all lists with their filters, and return those that differ.

    Everything is read from one snapshot of the database.

    Raises: InvalidationsPending if invalidations are pending.
    """
    async with transaction() as connection:
        if connection.postgres:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if await connection.fetch_one("SELECT id FROM invalidations LIMIT 1"):
            raise InvalidationsPending
        now = await writer.clock.now(connection)
        times = await time_transitions.load_stored_times(connection, now)
        audited = times._replace(evaluated_until=max(times.transitions_until, min(times.evaluated_until, now)))
        return [difference async for difference in _compare_lists(connection, audited)]


async def repair_lists(writer: Writer, list_differences: list[Difference]) -> None:
    """Queue a backfill of each list, and correct its stored number of members.

    Subscribers notice the repair by the list's Reset.
    """
    async with writer.unit_of_work() as uow:
        for difference in list_differences:
            row = await uow.connection.fetch_one(
                # Lock the list first, so that the count below includes what a concurrent batch writes.
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


async def _compare_lists(connection: Connection, times: StoredTimes) -> AsyncIterator[Difference]:
    after = 0
    while True:
        search_ids = await connection.fetch_ids(
            "SELECT id FROM saved_searches WHERE id > ? ORDER BY id LIMIT ?", after, PAGE_SEARCHES
        )
        searches = await standing_searches.load_searches(connection, search_ids)
        excluded = await _find_crossed_since_tick(connection, searches, times)
        for search in searches:
            difference = await _compare_list(connection, search, times.transitions_until, excluded)
            if difference is not None:
                yield difference
        if len(search_ids) < PAGE_SEARCHES:
            return
        after = search_ids[-1]


async def _find_crossed_since_tick(
    connection: Connection, searches: Iterable[StandingSearch], times: StoredTimes
) -> set[int]:
    """Return the ids of the emails that crossed a time boundary after the last tick.

    They may have been evaluated for a later moment than the tick, and the next tick invalidates them.
    """
    if times.evaluated_until == times.transitions_until:
        return set()
    keys = sorted(set().union(*(time_keys(search.filter) for search in searches)), key=str)
    crossed = await time_transitions.find_crossed_emails(
        keys, times.transitions_until, times.evaluated_until, connection
    )
    return {email_id for _, email_id in crossed}


async def _compare_list(
    connection: Connection, search: StandingSearch, now: int, excluded: AbstractSet[int]
) -> Difference | None:
    matching_ids = await backfill.load_matching_ids(connection, search, now)
    email_ids = set(await connection.fetch_ids("SELECT email_id FROM memberships WHERE search_id = ?", search.id))
    row = await connection.fetch_one("SELECT member_count FROM saved_searches WHERE id = ?", search.id)
    stored_count = row["member_count"] if row else 0
    missing, surplus = matching_ids - email_ids - excluded, email_ids - matching_ids - excluded
    if not missing and not surplus and stored_count == len(email_ids):
        return None
    return Difference(search.id, tuple(sorted(missing)), tuple(sorted(surplus)), stored_count, len(email_ids))
