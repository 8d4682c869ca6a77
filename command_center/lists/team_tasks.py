"""Runs long work of single teams in separate tasks, beside the matcher's batches.

The matcher leaves out such a team until its task has ended, so that its long evaluation or backfill delays no other
team. Within a team the order stays the same.
"""

import asyncio
from collections.abc import Callable, Coroutine


class TeamTasks:
    """Runs at most one task for each team.

    `notify` is called whenever a task has ended.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._failures: list[BaseException] = []

    @property
    def teams(self) -> list[int]:
        """The teams that have a task."""
        return list(self._tasks)

    def start(self, team_id: int, work: Coroutine[object, None, None]) -> None:
        """Start the task of a team that has none."""
        task = self._tasks[team_id] = asyncio.create_task(work, name=f"team-{team_id}")
        task.add_done_callback(lambda ended: self._end(team_id, ended))

    def raise_failure(self) -> None:
        """Raise the exception of a failed task, if there is one."""
        if self._failures:
            raise self._failures.pop(0)

    async def wait(self) -> None:
        """Wait until all current tasks have ended."""
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def cancel(self, team_id: int) -> None:
        """Cancel the task of a team, if it has one. Its invalidations stay pending."""
        if task := self._tasks.get(team_id):
            task.cancel()
            await asyncio.wait((task,))

    async def cancel_all(self) -> None:
        """Cancel all tasks, and forget their failures."""
        for team_id in self.teams:
            await self.cancel(team_id)
        self._failures.clear()

    def _end(self, team_id: int, task: asyncio.Task[None]) -> None:
        self._tasks.pop(team_id, None)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)
        self._notify()
