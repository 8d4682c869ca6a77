"""`command-center audit`: compares each list with a fresh query, and repairs the lists that differ.

It waits until no invalidation is pending. If a server runs, its matcher does the repair; otherwise this process does.
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
    """Print the differences and repair them; return the exit code.

    The code is 0 if all lists were equal, 1 if some were repaired, 3 if some still differ.

    Raises: ConfigurationError if the lists change too fast to be compared.
    """
    async with connected(settings):
        engine = await build(settings)
        if reason := engine.ctx.writer.clock.pause():
            print(f"{reason}; the lists are compared as of the last tick")
        differences = await _differences(engine)
        count = await database().fetch_one("SELECT COUNT(*) AS count FROM saved_searches")
        print(f"{count['count'] if count else 0} lists looked at, {len(differences)} differ")
        for difference in differences:
            print(_line(difference))
        if not differences:
            return EQUAL
        await auditor.repair(engine.ctx.writer, differences)
        remaining = await _differences(engine)
        print(f"repaired; {len(remaining)} differ now")
        return DIFFERENT if remaining else REPAIRED


async def _differences(engine: Runtime) -> list[Difference]:
    for _ in range(ATTEMPTS):
        try:
            return await auditor.differences(engine.ctx.writer)
        except Outstanding:
            await asyncio.sleep(PAUSE_SECONDS)
    try:
        async with hold_lease(engine.settings.database_url, patient=False):
            # No other process handles the invalidations, so this one does.
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
