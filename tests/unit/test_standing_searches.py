"""Searches by the thousand: each one in the database is filed, and a look at all of them leaves others their turns."""

import asyncio
from dataclasses import replace

import pytest

from command_center.changes.hub import Hub
from command_center.changes.unit_of_work import Writer
from command_center.database.clock import DatabaseClock
from command_center.database.connections import transaction
from command_center.lists.batches import WorkBatch
from command_center.lists.matcher import Matcher
from command_center.lists.membership_diff import Cause
from command_center.lists.standing_searches import PAGE_SEARCHES
from command_center.search.parser import parse_filter
from command_center.search.scope import Scope
from command_center.server.runtime import run_runtime
from models.enums import ChangeCauseKind, Role, SavedSearchState
from tests.support.generated_filters import FACTS
from tests.support.server import settings

_USER = (
    "INSERT INTO users (id, team_id, name, address, address_folded, role, time_zone, created_at)"
    f" VALUES (?, 1, 'Ann', ?, ?, {int(Role.MEMBER)}, 'UTC', 1)"
)
_SEARCH = (
    "INSERT INTO saved_searches (id, team_id, owner_id, name, definition, shared, state, member_count, created_at,"
    f" updated_at) VALUES (?, 1, ?, 'list', ?, FALSE, {int(SavedSearchState.LIVE)}, 0, 7, 7)"
)


async def test_every_search_is_loaded_however_pages_divide_them(database_url: str) -> None:
    numbers = range(1, 3 * PAGE_SEARCHES + 1)
    async with run_runtime(settings(database_url), run_worker=False) as engine:
        async with transaction() as tx:
            await tx.execute("INSERT INTO teams (id, name, created_at) VALUES (1, 'Team', 1)")
            await tx.execute_many(_USER, [(user, f"a{user}@x.test", f"a{user}@x.test") for user in range(1, 8)])
            await tx.execute_many(_SEARCH, [(number, number % 7 + 1, '{"success": true}') for number in numbers])
        matcher = Matcher(engine.ctx.writer)
        await matcher.start()
    assert set(matcher.index) == set(numbers)
    # What an owner asks is asked over their own mail: seven ranges, one conjunction in each.
    assert matcher.index.conjunctions == 7


@pytest.mark.slow
async def test_a_long_evaluation_yields_to_other_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of every email in its range is the dearest there is: here of each a few milliseconds."""
    matcher = Matcher(Writer(DatabaseClock(), Hub()))
    for number in range(1, 20_001):
        matcher.index.add(number, Scope(FACTS.team_id, None), parse_filter({"subject": {"contains": f"word {number}"}}))
    emails = range(1, 41)
    cause = Cause(ChangeCauseKind.ENGAGEMENT)
    facts = {email: replace(FACTS, id=email, subject=f"word {email * 500}") for email in emails}
    batch = WorkBatch(0, causes=dict.fromkeys(emails, cause), facts=facts, team_of=dict.fromkeys(emails, FACTS.team_id))
    monkeypatch.setattr("command_center.lists.matcher.ASIDE_SECONDS", 60.0)
    look = asyncio.create_task(matcher._evaluate_aside(batch))
    turns = 0
    while not look.done():
        await asyncio.sleep(0)
        turns += 1
    joined = {(join.search_id, join.email_id) for join in look.result().joins}
    assert {(email * 500, email) for email in emails} <= joined
    assert turns >= 10
