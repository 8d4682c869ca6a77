"""`command-center audit` compares each list with a fresh query.

It repairs the lists that differ.

It waits until no invalidation is pending. If a server runs, its matcher does the repair; otherwise this process does.
"""

import asyncio

from command_center.database.connections import database
from command_center.lists import audit as auditor
from command_center.lists.audit import Difference, InvalidationsPending
from command_center.server.leases import LeaseHeld, hold_lease
from command_center.server.runtime import Runtime, build_runtime, open_current_database
from command_center.server.settings import ConfigurationError, Settings

ATTEMPTS = 20
PAUSE_SECONDS = 0.25
EXIT_EQUAL, EXIT_REPAIRED, EXIT_DIFFERENT = 0, 1, 3


async def audit(settings: Settings) -> int:
    """Print the differences and repair them; return the exit code.

    The code is 0 if all lists were equal, 1 if some were repaired, 3 if some still differ.

    Raises: ConfigurationError if the lists change too fast to be compared.
    """
    async with open_current_database(settings):
        runtime = await build_runtime(settings)
        if reason := runtime.ctx.writer.clock.pause_reason():
            print(f"{reason}; the lists are compared as of the last tick")
        differences = await _differences(runtime)
        count = await database().fetch_one("SELECT COUNT(*) AS count FROM saved_searches")
        print(f"{count['count'] if count else 0} lists compared, {len(differences)} differ")
        for difference in differences:
            print(_line(difference))
        if not differences:
            return EXIT_EQUAL
        await auditor.repair_lists(runtime.ctx.writer, differences)
        remaining = await _differences(runtime)
        print(f"repaired; {len(remaining)} differ now")
        return EXIT_DIFFERENT if remaining else EXIT_REPAIRED


async def _differences(runtime: Runtime) -> list[Difference]:
    for _ in range(ATTEMPTS):
        try:
            return await auditor.find_differences(runtime.ctx.writer)
        except InvalidationsPending:
            await asyncio.sleep(PAUSE_SECONDS)
    try:
        async with hold_lease(runtime.settings.database_url, wait=False):
            # No other process handles the invalidations, so this one does.
            await runtime.matcher.start()
            await runtime.matcher.settle()
            return await auditor.find_differences(runtime.ctx.writer)
    except LeaseHeld:
        raise ConfigurationError(
            "the lists change faster than they can be compared with their filters: try again"
        ) from None


def _line(difference: Difference) -> str:
    return (
        f"list {difference.search_id}: lacks {len(difference.missing)}, holds {len(difference.surplus)} too many,"
        f" counts {difference.stored_count} of {difference.actual_count}"
    )
