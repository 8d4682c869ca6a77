"""`command-center audit`: waits for a quiet moment, holds every list against its filter, repairs, says what it found.

Beside a running server the server's matcher does the repair; where none runs, the audit looks itself.
"""

import asyncio

from command_center.database.connections import database
from command_center.lists import audit as auditor
from command_center.lists.audit import Difference, Outstanding
from command_center.server.leases import Taken, hold_lease
from command_center.server.runtime import Runtime, build, connected
from command_center.server.settings import Misconfigured, Settings

ATTEMPTS = 20
PAUSE_SECONDS = 0.25
EQUAL, REPAIRED, DIFFERENT = 0, 1, 3


async def audit(settings: Settings) -> int:
    """0 where all lists were equal, 1 where some were repaired, 3 where some still differ."""
    async with connected(settings):
        engine = await build(settings)
        if reason := engine.ctx.writer.clock.pause():
            print(f"{reason}; the lists are compared as of the last tick")
        found = await _differences(engine)
        count = await database().fetch_one("SELECT COUNT(*) AS count FROM saved_searches")
        print(f"{count['count'] if count else 0} lists looked at, {len(found)} differ")
        for difference in found:
            print(_line(difference))
        if not found:
            return EQUAL
        await auditor.repair(engine.ctx.writer, found)
        left = await _differences(engine)
        print(f"repaired; {len(left)} differ now")
        return DIFFERENT if left else REPAIRED


async def _differences(engine: Runtime) -> list[Difference]:
    for _ in range(ATTEMPTS):
        try:
            return await auditor.differences(engine.ctx.writer)
        except Outstanding:
            await asyncio.sleep(PAUSE_SECONDS)
    try:
        async with hold_lease(engine.settings.database_url, patient=False):
            # Nobody else works the marks off, so look ourselves.
            await engine.matcher.start()
            await engine.matcher.settle()
            return await auditor.differences(engine.ctx.writer)
    except Taken:
        raise Misconfigured("the lists change faster than they can be held against their filters: try again") from None


def _line(difference: Difference) -> str:
    return (
        f"list {difference.search_id}: lacks {len(difference.missing)}, holds {len(difference.surplus)} too many,"
        f" counts {difference.counted} of {difference.held}"
    )
