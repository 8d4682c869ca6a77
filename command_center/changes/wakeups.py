"""Waiting for a hint that there is something to do, and letting others have their turns meanwhile."""

import asyncio
import time


async def wait_for(event: asyncio.Event, seconds: float | None) -> None:
    """Until the event is set, or so many seconds, after which it is set as well: whoever waits looks anyway.

    One timer and nothing else, as it is passed for every event that comes in.
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
    """Long work on the event loop calls `yield_if_due` often, so that nothing else waits longer than `seconds`."""

    def __init__(self, seconds: float = 0.005) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    async def yield_if_due(self) -> None:
        """Lets everything else that is ready run, if the time is up."""
        if time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + self._seconds
