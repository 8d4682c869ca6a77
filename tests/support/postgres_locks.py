"""Waits until a PostgreSQL session waits for a lock."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from command_center.database.connections import database

PATIENCE = 10.0


async def has_lock_waiter() -> bool:
    row = await database().fetch_one(
        "SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(row and row["count"])


async def wait_until(done: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            found: Any = done()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


async def has_new_lock_waiter() -> bool:
    """Whether somebody waits for a lock by now; within a transaction it would be told what was so at first."""
    await database().fetch("SELECT pg_stat_clear_snapshot()")
    return await has_lock_waiter()
