"""Lists: completed item by item as the stock executor does, and in several turns where they are long."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from graphql.pyutils import Path, gather_with_cancel

from command_center.graphql_engine.columns import Columns
from command_center.graphql_engine.plans import Field
from command_center.graphql_engine.type_plans import Kind, TypePlan, other
from command_center.graphql_engine.yield_budget import MOST, YieldBudget

TOGETHER = 100
"""Items that are looked at at once."""


class Values(Protocol):
    """What a list needs of its executor."""

    turns: YieldBudget

    def is_awaitable(self, value: Any, /) -> bool: ...
    def complete(self, shape: TypePlan, field: Field, at: Path, path: Path, value: Any) -> Any: ...
    async def awaited(self, awaitable: Awaitable[Any], shape: TypePlan, field: Field, at: Path, path: Path) -> Any: ...
    async def later(self, completed: Awaitable[Any], shape: TypePlan, field: Field, path: Path) -> Any: ...
    def failed(self, error: Exception, shape: TypePlan, field: Field, path: Path) -> None: ...
    def settle_in_background(self, awaitables: list[Awaitable[Any]]) -> None: ...
    def together(self, shape: TypePlan, field: Field, values: Sequence[Any]) -> Columns | None: ...
    def field(self, field: Field, source: Any, path: Path) -> Any: ...
    async def awaited_fields(self, results: dict[str, Any], pending: list[str]) -> dict[str, Any]: ...


class ListCompleter:
    """A list under way."""

    __slots__ = (
        *("_at", "_columns", "_completed", "_field", "_first", "_item", "_items", "_next", "_path", "_pending"),
        *("_until", "_values"),
    )

    def __init__(
        self, values: Values, item: TypePlan, field: Field, at: Path, path: Path, items: Sequence[Any]
    ) -> None:
        self._values = values
        self._item = item
        self._field = field
        self._at = at
        self._path = path
        self._items = items
        self._completed: list[Any] = []
        self._pending: list[int] = []
        """Where in what is completed something has to be awaited."""
        self._next = 0
        self._first, self._until = 0, 0
        """Those that were looked at last, and what is known of them."""
        self._columns: Columns | None = None

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
        turns, items, completed = self._values.turns, self._items, self._completed
        try:
            while (index := self._next) < len(items):
                if turns.spent >= MOST:
                    return False
                if index == self._until:
                    self._look()
                    continue
                self._next += 1
                turns.spent += 1
                result = self._one(items[index], Path(self._path, index, None))
                if self._values.is_awaitable(result):
                    self._pending.append(index)
                completed.append(result)
        except Exception:
            orphans = [completed[index] for index in self._pending]
            orphans += [item for item in items[self._next :] if self._values.is_awaitable(item)]
            if orphans:
                self._values.settle_in_background(orphans)
            raise
        return True

    def _look(self) -> None:
        """At the next items together: completes them where there is nothing to it."""
        some = self._items[self._next : self._next + TOGETHER]
        self._first, self._until = self._next, self._next + len(some)
        table = self._item.table
        self._columns, done = None, None
        if table:
            done = some if all(table.get(type_, other) is None for type_ in set(map(type, some))) else None
            self._values.turns.spent += len(some) if done else 0
        elif self._item.kind is Kind.OBJECT and len(some) > 1:
            self._columns = self._values.together(self._item, self._field, some)
            done = self._columns.rows if self._columns and not self._columns.left else None
        if done is not None:
            self._completed += done
            self._next = self._until

    def _one(self, value: Any, path: Path) -> Any:
        values, item, field, columns = self._values, self._item, self._field, self._columns
        if columns is None and values.is_awaitable(value):
            return values.awaited(value, item, field, self._at, path)
        try:
            if columns is None:
                completed = values.complete(item, field, self._at, path, value)
            else:
                completed = self._rest(columns, self._next - 1 - self._first, path)
        except Exception as error:
            values.failed(error, item, field, path)
            return None
        return values.later(completed, item, field, path) if values.is_awaitable(completed) else completed

    def _rest(self, columns: Columns, index: int, path: Path) -> Any:
        """An object of which some columns are left, completed; or an awaitable of it."""
        values, row, source = self._values, columns.rows[index], columns.values[index]
        pending: list[str] = []
        try:
            for key, field, inner in columns.left:
                at = Path(path, key, columns.type.name)
                result = values.field(field, source, at) if inner is None else self._inner(inner, index, field, at)
                row[key] = result
                if values.is_awaitable(result):
                    pending.append(key)
        except Exception:
            if pending:
                values.settle_in_background([row[key] for key in pending])
            raise
        return values.awaited_fields(row, pending) if pending else row

    def _inner(self, columns: Columns, index: int, field: Field, path: Path) -> Any:
        values = self._values
        try:
            completed = self._rest(columns, index, path)
        except Exception as error:
            values.failed(error, field.shape, field, path)
            return None
        return values.later(completed, field.shape, field, path) if values.is_awaitable(completed) else completed

    async def _awaited(self) -> list[Any]:
        completed, pending = self._completed, self._pending
        if len(pending) == 1:
            completed[pending[0]] = await completed[pending[0]]
        else:
            found = await gather_with_cancel(*(completed[index] for index in pending))
            for index, value in zip(pending, found, strict=True):
                completed[index] = value
        return completed
