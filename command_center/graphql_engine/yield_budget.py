"""Limits how long one execution occupies the event loop before other tasks run."""

import asyncio

MAX_VALUES_PER_TURN = 5_000
"""Values that may be completed without a pause: about 5 ms if they are read from rows, 50 ms if each has a resolver."""


class YieldBudget:
    """Counts the values that an execution completes, and pauses it after too many."""

    __slots__ = ("_is_reset_scheduled", "completed_values")

    def __init__(self) -> None:
        self.completed_values = 0
        """Values that were completed since the last pause."""
        self._is_reset_scheduled = False

    async def wait(self) -> None:
        """Pause until every other task has run.

        If several coroutines wait, they continue one at a time.
        """
        while self.completed_values >= MAX_VALUES_PER_TURN:
            if not self._is_reset_scheduled:
                self._is_reset_scheduled = True
                asyncio.get_running_loop().call_soon(self._reset)
            await asyncio.sleep(0)

    def _reset(self) -> None:
        self.completed_values = 0
        self._is_reset_scheduled = False
