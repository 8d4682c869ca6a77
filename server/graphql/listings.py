"""Lists: completed item by item as the stock executor does, and in several turns where they are long."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any, Protocol

from graphql.execution.executor import collect_iterator_awaitables
from graphql.pyutils import Path, gather_with_cancel

from server.graphql.plans import Field
from server.graphql.shapes import Shape, other
from server.graphql.turns import MOST, Turns


class Values(Protocol):
    """What a list needs of its executor."""

    turns: Turns

    def is_awaitable(self, value: Any, /) -> bool: ...
    def complete(self, shape: Shape, field: Field, at: Path, path: Path, value: Any) -> Any: ...
    async def awaited(self, awaitable: Awaitable[Any], shape: Shape, field: Field, at: Path, path: Path) -> Any: ...
    async def later(self, completed: Awaitable[Any], shape: Shape, field: Field, path: Path) -> Any: ...
    def failed(self, error: Exception, shape: Shape, field: Field, path: Path) -> None: ...
    def settle_in_background(self, awaitables: list[Awaitable[Any]]) -> None: ...


class Listing:
    """A list under way."""

    __slots__ = ("_at", "_completed", "_field", "_item", "_items", "_path", "_pending", "_values")

    def __init__(self, values: Values, item: Shape, field: Field, at: Path, path: Path, items: Iterator[Any]) -> None:
        self._values = values
        self._item = item
        self._field = field
        self._at = at
        self._path = path
        self._items = items
        self._completed: list[Any] = []
        self._pending: list[int] = []
        """Where in what is completed something has to be awaited."""

    def complete(self) -> Any:
        """The list, or an awaitable of it."""
        if self._values.turns.spent >= MOST or not self._turn():
            return self._in_turns()
        return self._awaited() if self._pending else self._completed

    async def _in_turns(self) -> list[Any]:
        """What has to be awaited is begun at the end of each turn, so that it is not all begun at once."""
        completed, pending, begun = self._completed, self._pending, len(self._pending)
        for index in pending:
            completed[index] = asyncio.ensure_future(completed[index])
        while True:
            try:
                await self._values.turns.next()
            except asyncio.CancelledError:
                for index in pending:
                    completed[index].cancel()
                self._values.settle_in_background([completed[index] for index in pending])
                raise
            if self._turn():
                return await self._awaited() if pending else completed
            for index in pending[begun:]:
                completed[index] = asyncio.ensure_future(completed[index])
            begun = len(pending)

    def _turn(self) -> bool:
        """Completes items until all are, or the turn is over. Whether all are."""
        table, turns, completed = self._item.table, self._values.turns, self._completed
        try:
            for value in self._items:
                turns.spent += 1
                if table and table.get(type(value), other) is None:
                    completed.append(value)
                else:
                    result = self._one(value, Path(self._path, len(completed), None))
                    if self._values.is_awaitable(result):
                        self._pending.append(len(completed))
                    completed.append(result)
                if turns.spent >= MOST:
                    return False
        except Exception:
            orphans = [completed[index] for index in self._pending]
            orphans += collect_iterator_awaitables(self._items, self._values.is_awaitable)
            if orphans:
                self._values.settle_in_background(orphans)
            raise
        return True

    def _one(self, value: Any, path: Path) -> Any:
        values, item, field = self._values, self._item, self._field
        if values.is_awaitable(value):
            return values.awaited(value, item, field, self._at, path)
        try:
            completed = values.complete(item, field, self._at, path, value)
        except Exception as error:
            values.failed(error, item, field, path)
            return None
        return values.later(completed, item, field, path) if values.is_awaitable(completed) else completed

    async def _awaited(self) -> list[Any]:
        completed, pending = self._completed, self._pending
        if len(pending) == 1:
            completed[pending[0]] = await completed[pending[0]]
        else:
            found = await gather_with_cancel(*(completed[index] for index in pending))
            for index, value in zip(pending, found, strict=True):
                completed[index] = value
        return completed
