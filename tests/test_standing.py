"""Filing what stands in the database: every search of every owner, page by page."""

from lists.matcher import Matcher
from lists.standing import PAGE
from models.database import transaction
from models.enums import Role, SavedSearchState
from server.engine import running
from tests.serving import settings

_USER = (
    "INSERT INTO users (id, team_id, name, address, address_folded, role, time_zone, created_at)"
    f" VALUES (?, 1, 'Ann', ?, ?, {int(Role.MEMBER)}, 'UTC', 1)"
)
_SEARCH = (
    "INSERT INTO saved_searches (id, team_id, owner_id, name, definition, shared, state, member_count, created_at,"
    f" updated_at) VALUES (?, 1, ?, 'list', ?, FALSE, {int(SavedSearchState.LIVE)}, 0, 7, 7)"
)


async def test_every_search_is_filed_though_pages_end_within_an_owners_and_a_moment(database_url: str) -> None:
    numbers = range(1, 3 * PAGE + 1)
    async with running(settings(database_url), works=False) as engine:
        async with transaction() as tx:
            await tx.run("INSERT INTO teams (id, name, created_at) VALUES (1, 'Team', 1)")
            await tx.many(_USER, [(user, f"a{user}@x.test", f"a{user}@x.test") for user in range(1, 8)])
            await tx.many(_SEARCH, [(number, number % 7 + 1, '{"success": true}') for number in numbers])
        matcher = Matcher(engine.desk.writer)
        await matcher.start()
    assert set(matcher.index) == set(numbers)
    # What an owner asks is asked over their own mail: seven ranges, one conjunction in each.
    assert matcher.index.conjunctions == 7
