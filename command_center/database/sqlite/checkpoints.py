"""Copying SQLite's WAL into its file, beside whoever writes: a commit that did so itself would be the slow one.

What is copied was committed before, and stays in the WAL until the file has it: a crash at any moment loses nothing.
"""

import asyncio
import sqlite3
from contextlib import suppress

PAUSE_SECONDS = 1.0
"""Between a commit and the copying of what was committed meanwhile."""
LONG = 8_000
"""Pages of a WAL that is begun anew once all of it is copied: for that nobody may write for a moment."""


class Checkpoints:
    """Of one file. `turn` is the lock that whoever writes here holds."""

    def __init__(self, path: str, turn: asyncio.Lock) -> None:
        self._path = path
        self._turn = turn
        self._timer: asyncio.TimerHandle | None = None
        self._copying: asyncio.Task[None] | None = None

    def schedule(self) -> None:
        """There is something to copy."""
        if self._timer is None and self._copying is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._begin)

    async def stop(self) -> None:
        """No more of it; what is under way comes to its end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._copying is not None:
            await self._copying

    def _begin(self) -> None:
        self._timer = None
        self._copying = asyncio.create_task(self._checkpoint(), name="checkpoint")

    async def _checkpoint(self) -> None:
        try:
            # A file that cannot be written is told of by whoever writes, who waits for an answer.
            with suppress(sqlite3.Error):
                if await asyncio.to_thread(_run_checkpoint, self._path) < LONG:
                    return
                # Nearly all of it is copied by now, so this is short.
                async with self._turn:
                    await asyncio.to_thread(_run_checkpoint, self._path)
        finally:
            self._copying = None


def _run_checkpoint(path: str) -> int:
    """Copies what nobody reads any more; how many pages the WAL has."""
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(pages)
    finally:
        connection.close()
