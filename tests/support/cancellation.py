"""Whoever is cancelled, at one moment or another."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

TURNS = 30


async def cancel_repeatedly(begin: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Begins something long and cancels it: at once, and after one to nine milliseconds or so."""
    for turns in range(TURNS):
        task = asyncio.create_task(begin())
        for _ in range(turns % 10):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
