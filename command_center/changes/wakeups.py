"""Waits for wake-up events with a timeout, and yields the event loop in long work."""

import asyncio
import time


async def wait_for(event: asyncio.Event, seconds: float | None) -> None:
    """Wait until the event is set, for at most `seconds`, and set it after a timeout.

    The caller looks for work in either case. A single timer is enough here, which matters because this runs for every
    event that is recorded.
    """
    if seconds is None or event.is_set():
        await event.wait()
        return
    timer = asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()


class TimeSlice:
    """Limits how long a task occupies the event loop.

    The task must call `yield_if_due` often during long work.
    """

    def __init__(self, seconds: float = 0.005) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    async def yield_if_due(self) -> None:
        """Let other tasks run if this one has run for `seconds` without a pause."""
        if time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + self._seconds
