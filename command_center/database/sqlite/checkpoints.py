"""Runs SQLite's WAL checkpoints in the background, so that no commit has to.

A checkpoint copies only committed pages, which stay in the WAL until the file has them. A crash loses nothing.
"""

import asyncio
import sqlite3
from contextlib import suppress

DELAY_SECONDS = 1.0
"""The delay between a commit and the checkpoint that copies it and later commits."""
MAX_WAL_PAGES = 8_000
"""The number of pages above which a WAL is restarted. That needs the write lock for a moment."""


class Checkpoints:
    """Schedules the WAL checkpoints of one database file.

    `write_lock` is the lock of its writers in this process.
    """

    def __init__(self, path: str, write_lock: asyncio.Lock) -> None:
        self._path = path
        self._write_lock = write_lock
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def schedule(self) -> None:
        """Start a checkpoint after DELAY_SECONDS. Call it after each commit.

        Nothing happens if a checkpoint is already scheduled or running.
        """
        if self._timer is None and self._task is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY_SECONDS, self._start)

    async def stop(self) -> None:
        """Cancel a scheduled checkpoint, and wait for a running one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            await self._task

    def _start(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(self._run(), name="checkpoint")

    async def _run(self) -> None:
        try:
            # If the file cannot be written, the next write reports it to its caller.
            with suppress(sqlite3.Error):
                if await asyncio.to_thread(_run_checkpoint, self._path) < MAX_WAL_PAGES:
                    return
                # The first checkpoint has copied nearly everything, so the lock is held briefly.
                async with self._write_lock:
                    await asyncio.to_thread(_run_checkpoint, self._path)
        finally:
            self._task = None


def _run_checkpoint(path: str) -> int:
    """Copy pages from the WAL to the file, and return the number of pages in the WAL.

    Pages that a reader still needs are left out.
    """
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(pages)
    finally:
        connection.close()
