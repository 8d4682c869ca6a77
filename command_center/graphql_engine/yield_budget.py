"""Turns: a large answer lets others on the event loop have theirs while it is completed."""

import asyncio

MOST = 5_000
"""Values completed at a stretch: some 5 ms where they are read off rows, some 50 ms where each has a resolver."""


class YieldBudget:
    """Of one execution."""

    __slots__ = ("_called", "spent")

    def __init__(self) -> None:
        self.spent = 0
        """Values completed in this turn."""
        self._called = False

    async def next(self) -> None:
        """Waits until everybody else had a turn. Of several who wait, one at a time goes on."""
        while self.spent >= MOST:
            if not self._called:
                self._called = True
                asyncio.get_running_loop().call_soon(self._begin)
            await asyncio.sleep(0)

    def _begin(self) -> None:
        self.spent = 0
        self._called = False
