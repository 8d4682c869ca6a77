"""Waiting for a hint that there is something to do."""

import asyncio


async def woken(event: asyncio.Event, seconds: float | None) -> None:
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
