"""Long work of single teams, beside the matcher's passes, which leave such a team aside until its work has ended.

So one team's long evaluation or backfill delays no other team. Within a team everything stays in order.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class TeamTasks:
    """At most one task for each team. `notify` is called when one has ended."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._failures: list[BaseException] = []

    @property
    def teams(self) -> list[int]:
        """The teams that have a task."""
        return list(self._tasks)

    def start(self, team_id: int, work: Coroutine[Any, Any, None]) -> None:
        """Starts the work of a team that has none."""
        task = self._tasks[team_id] = asyncio.create_task(work, name=f"team-{team_id}")
        task.add_done_callback(lambda ended: self._end(team_id, ended))

    def raise_failure(self) -> None:
        """Raises what a task has failed with, if any has."""
        if self._failures:
            raise self._failures.pop(0)

    async def wait(self) -> None:
        """Waits until all tasks have ended that there are."""
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def cancel(self, team_id: int) -> None:
        """Cancels the task of a team. What it wanted to write is still to be done."""
        if task := self._tasks.get(team_id):
            task.cancel()
            await asyncio.wait((task,))

    async def cancel_all(self) -> None:
        """Cancels all tasks, and forgets their failures."""
        for team_id in self.teams:
            await self.cancel(team_id)
        self._failures.clear()

    def _end(self, team_id: int, task: asyncio.Task[None]) -> None:
        self._tasks.pop(team_id, None)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)
        self._notify()
