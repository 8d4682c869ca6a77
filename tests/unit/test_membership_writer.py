"""Verdicts carried out, on both databases: who leaves, then who joins, each said once and in order; all or nothing."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from command_center.changes.entries import LogEntry
from command_center.changes.hub import Hub
from command_center.changes.unit_of_work import UnitOfWork, Writer
from command_center.database.clock import DatabaseClock
from command_center.database.connections import Connection, database, open_database, run_in_transaction, transaction
from command_center.lists.fencing import take_lease
from command_center.lists.invalidations import StaleBatch
from command_center.lists.membership_diff import Cause, Join, Leave, MembershipChanges
from command_center.lists.membership_writer import write_changes
from models.enums import ChangeCauseKind, ChangeKind, InvalidationKind, Role, SavedSearchState

VIEWED, CLOCK = Cause(ChangeCauseKind.ENGAGEMENT, 7), Cause(ChangeCauseKind.CLOCK)
LIVE, BUILDING, OTHERS = 1, 2, 3
"""Two lists of the first team's, and one of the second's."""


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[Writer]:
    async with open_database(database_url):
        async with transaction() as tx:
            for team in (1, 2):
                await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (?, ?, 1)", team, f"Team {team}")
                await tx.execute(
                    "INSERT INTO change_logs (team_id, log_id, position, trimmed_to) VALUES (?, 'log', 0, 0)", team
                )
                await tx.execute(
                    "INSERT INTO users (id, team_id, name, address, address_folded, role, time_zone, created_at)"
                    f" VALUES (?, ?, 'Ann', ?, ?, {int(Role.MEMBER)}, 'UTC', 1)",
                    *(team, team, f"a{team}@x.test", f"a{team}@x.test"),
                )
            for search, team in ((LIVE, 1), (BUILDING, 1), (OTHERS, 2)):
                state = SavedSearchState.BUILDING if search == BUILDING else SavedSearchState.LIVE
                await tx.execute(
                    "INSERT INTO saved_searches (id, team_id, owner_id, name, definition, shared, state, member_count,"
                    " created_at, updated_at) VALUES (?, ?, ?, 'list', '{}', FALSE, ?, 0, 7, 7)",
                    *(search, team, team, int(state)),
                )
        yield Writer(DatabaseClock(), Hub())


async def carried_out(
    writer: Writer, verdicts: MembershipChanges, alone: bool, announce: bool = True, done: Sequence[int] = ()
) -> list[LogEntry]:
    epoch = await run_in_transaction(take_lease)

    async def work(uow: UnitOfWork) -> UnitOfWork:
        await write_changes(uow, epoch, verdicts, announce, done)
        return uow

    # The clock would be asked in a statement of its own.
    now = await writer.clock.now(database()) if alone else None
    return (await writer.run_in_transaction(work, now=now, single_statement=alone)).entries


async def members() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for row in await database().fetch("SELECT search_id, email_id FROM memberships ORDER BY email_id"):
        found.setdefault(row["search_id"], []).append(row["email_id"])
    counts = await database().fetch("SELECT id, member_count FROM saved_searches")
    assert {row["id"]: row["member_count"] for row in counts if row["member_count"]} == {
        search: len(emails) for search, emails in found.items()
    }
    return found


async def member_ids() -> dict[tuple[int, int], int]:
    rows = await database().fetch("SELECT id, search_id, email_id FROM memberships")
    return {(row["search_id"], row["email_id"]): row["id"] for row in rows}


def told(entries: Sequence[LogEntry]) -> list[tuple[int, int, ChangeKind | None, int | None, int | None]]:
    return [(each.team_id, each.position, each.kind, each.search_id, each.email_id) for each in entries]


@pytest.mark.parametrize("alone", [False, True])
async def test_changes_are_logged_once_with_leaves_before_joins(writer: Writer, alone: bool) -> None:
    joined, left = ChangeKind.MEMBER_JOINED, ChangeKind.MEMBER_LEFT
    first = (Join(LIVE, 5, VIEWED), Join(OTHERS, 9, CLOCK), Join(BUILDING, 5, VIEWED), Join(LIVE, 4, VIEWED))
    said = await carried_out(writer, MembershipChanges(first), alone)
    assert told(said) == [(1, 1, joined, LIVE, 5), (1, 2, joined, LIVE, 4), (2, 1, joined, OTHERS, 9)]
    assert await members() == {LIVE: [4, 5], BUILDING: [5], OTHERS: [9]}
    keys = await member_ids()
    assert [each.member_id for each in said] == [keys[LIVE, 5], keys[LIVE, 4], keys[OTHERS, 9]]
    assert [(each.cause_kind, each.engagement_id, each.owner_id) for each in said] == [
        *[(ChangeCauseKind.ENGAGEMENT, 7, 1)] * 2,
        (ChangeCauseKind.CLOCK, None, 2),
    ]
    # One joins who is there already, one leaves who is not, a list of each kind is gone: nothing is said of them.
    again = MembershipChanges(
        (Join(LIVE, 5, CLOCK), Join(99, 5, CLOCK), Join(LIVE, 3, CLOCK)),
        (
            Leave(keys[LIVE, 4], LIVE, 4, CLOCK),
            Leave(12_345, LIVE, 2, CLOCK),
            Leave(keys[OTHERS, 9], OTHERS, 9, VIEWED),
        ),
    )
    assert told(await carried_out(writer, again, alone)) == [
        *[(1, 3, left, LIVE, 4), (1, 4, joined, LIVE, 3)],
        (2, 2, left, OTHERS, 9),
    ]
    assert await members() == {LIVE: [3, 5], BUILDING: [5]}
    silent = MembershipChanges((Join(LIVE, 8, CLOCK),))
    assert await carried_out(writer, silent, alone, announce=False) == []
    assert await members() == {LIVE: [3, 5, 8], BUILDING: [5]}
    logged = await database().fetch("SELECT team_id, position, kind, search_id, email_id, at FROM changes ORDER BY id")
    assert [tuple(row.values())[:5] for row in logged if row["team_id"] == 1] == [
        *[(1, 1, joined, LIVE, 5), (1, 2, joined, LIVE, 4), (1, 3, left, LIVE, 4), (1, 4, joined, LIVE, 3)]
    ]
    assert all(row["at"] for row in logged)
    heads = await database().fetch("SELECT team_id, position FROM change_logs ORDER BY team_id")
    assert [tuple(row.values()) for row in heads] == [(1, 4), (2, 2)]


@pytest.mark.parametrize("alone", [False, True])
async def test_nothing_is_written_if_an_invalidation_is_gone(writer: Writer, alone: bool) -> None:
    async with writer.unit_of_work() as uow:
        for subject in (1, 2):
            uow.invalidate(InvalidationKind.EMAIL, 1, subject, ChangeCauseKind.CLOCK)
    marks = [row["id"] for row in await database().fetch("SELECT id FROM invalidations ORDER BY id")]
    verdicts = MembershipChanges((Join(LIVE, 5, VIEWED),))
    with pytest.raises(StaleBatch):
        await carried_out(writer, verdicts, alone, done=[*marks, marks[-1] + 1])
    assert await members() == {}
    assert await database().fetch("SELECT id FROM changes") == []
    assert [row["id"] for row in await database().fetch("SELECT id FROM invalidations ORDER BY id")] == marks
    assert len(await carried_out(writer, verdicts, alone, done=marks[:1])) == 1
    assert await carried_out(writer, MembershipChanges(), alone, done=marks[1:]) == []
    assert await database().fetch("SELECT id FROM invalidations") == []


async def test_a_second_statement_is_refused_in_a_second_transaction(postgres_url: str) -> None:
    async def one(connection: Connection, *, more: bool) -> None:
        await connection.execute("INSERT INTO teams (id, name, created_at) VALUES (?, ?, 0)", 1 + more, "TU"[more])
        if more:
            await connection.execute("UPDATE teams SET name = 'V'")

    async with open_database(postgres_url):
        await run_in_transaction(partial(one, more=False), single_statement=True)
        with pytest.raises(RuntimeError, match="one statement"):
            await run_in_transaction(partial(one, more=True), single_statement=True)
        assert [row["name"] for row in await database().fetch("SELECT name FROM teams ORDER BY id")] == ["T", "U"]
