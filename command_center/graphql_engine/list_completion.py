"""Completes lists item by item, with pauses for other tasks if a list is long."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from graphql.pyutils import Path, gather_with_cancel

from command_center.graphql_engine.columns import Columns
from command_center.graphql_engine.plans import PlannedField
from command_center.graphql_engine.type_plans import Kind, TypePlan, unknown_type
from command_center.graphql_engine.yield_budget import MAX_VALUES_PER_TURN, YieldBudget

BATCH_ITEMS = 100
"""Items that are examined together."""


class ListExecutor(Protocol):
    """What this module needs from the executor, whose class describes the methods."""

    yield_budget: YieldBudget

    def is_awaitable(self, value: Any, /) -> bool: ...
    def complete(self, shape: TypePlan, field: PlannedField, at: Path, path: Path, value: Any) -> Any: ...
    async def complete_awaitable(
        self, awaitable: Awaitable[Any], shape: TypePlan, field: PlannedField, at: Path, path: Path
    ) -> Any: ...
    async def await_completion(
        self, completed: Awaitable[Any], shape: TypePlan, field: PlannedField, path: Path
    ) -> Any: ...
    def record_error(self, error: Exception, shape: TypePlan, field: PlannedField, path: Path) -> None: ...
    def settle_in_background(self, awaitables: list[Awaitable[Any]]) -> None: ...
    def complete_together(self, shape: TypePlan, field: PlannedField, values: Sequence[Any]) -> Columns | None: ...
    def field(self, field: PlannedField, source: Any, path: Path) -> Any: ...
    async def awaited_fields(self, results: dict[str, Any], pending: list[str]) -> dict[str, Any]: ...


class ListCompleter:
    """Completes the items of one list."""

    __slots__ = (
        *("_at", "_batch_end", "_batch_start", "_columns", "_completed", "_executor", "_field", "_item", "_items"),
        *("_next", "_path", "_pending"),
    )

    def __init__(
        self, executor: ListExecutor, item: TypePlan, field: PlannedField, at: Path, path: Path, items: Sequence[Any]
    ) -> None:
        self._executor = executor
        self._item = item
        self._field = field
        self._at = at
        self._path = path
        self._items = items
        self._completed: list[Any] = []
        self._pending: list[int] = []
        """The indexes of the completed items that must be awaited."""
        self._next = 0
        self._batch_start, self._batch_end = 0, 0
        """The range of the items that were examined last; `_columns` holds what they have in common."""
        self._columns: Columns | None = None

    def complete(self) -> Any:
        """Return the completed list, or an awaitable of it."""
        if self._executor.yield_budget.completed_values >= MAX_VALUES_PER_TURN or not self._complete_turn():
            return self._complete_in_turns()
        return self._await_pending() if self._pending else self._completed

    async def _complete_in_turns(self) -> list[Any]:
        """Complete the list with pauses.

        Awaitable items are started at the end of each turn, so that not all of them start at once.
        """
        completed, pending, started = self._completed, self._pending, len(self._pending)
        for index in pending:
            completed[index] = asyncio.ensure_future(completed[index])
        while True:
            try:
                await self._executor.yield_budget.wait()
            except asyncio.CancelledError:
                for index in pending:
                    completed[index].cancel()
                self._executor.settle_in_background([completed[index] for index in pending])
                raise
            if self._complete_turn():
                return await self._await_pending() if pending else completed
            for index in pending[started:]:
                completed[index] = asyncio.ensure_future(completed[index])
            started = len(pending)

    def _complete_turn(self) -> bool:
        """Complete items until the turn is over. Returns true if the list ended."""
        budget, items, completed = self._executor.yield_budget, self._items, self._completed
        try:
            while (index := self._next) < len(items):
                if budget.completed_values >= MAX_VALUES_PER_TURN:
                    return False
                if index == self._batch_end:
                    self._complete_batch()
                    continue
                self._next += 1
                budget.completed_values += 1
                result = self._complete_item(items[index], Path(self._path, index, None))
                if self._executor.is_awaitable(result):
                    self._pending.append(index)
                completed.append(result)
        except Exception:
            unawaited = [completed[index] for index in self._pending]
            unawaited += [item for item in items[self._next :] if self._executor.is_awaitable(item)]
            if unawaited:
                self._executor.settle_in_background(unawaited)
            raise
        return True

    def _complete_batch(self) -> None:
        """Examine the next items together, and complete them if every value is ready."""
        batch = self._items[self._next : self._next + BATCH_ITEMS]
        self._batch_start, self._batch_end = self._next, self._next + len(batch)
        table = self._item.table
        self._columns, done = None, None
        if table:
            done = batch if all(table.get(type_, unknown_type) is None for type_ in set(map(type, batch))) else None
            self._executor.yield_budget.completed_values += len(batch) if done else 0
        elif self._item.kind is Kind.OBJECT and len(batch) > 1:
            self._columns = self._executor.complete_together(self._item, self._field, batch)
            done = self._columns.rows if self._columns and not self._columns.incomplete else None
        if done is not None:
            self._completed += done
            self._next = self._batch_end

    def _complete_item(self, value: Any, path: Path) -> Any:
        executor, item, field, columns = self._executor, self._item, self._field, self._columns
        if columns is None and executor.is_awaitable(value):
            return executor.complete_awaitable(value, item, field, self._at, path)
        try:
            if columns is None:
                completed = executor.complete(item, field, self._at, path, value)
            else:
                completed = self._complete_object(columns, self._next - 1 - self._batch_start, path)
        except Exception as error:
            executor.record_error(error, item, field, path)
            return None
        return (
            executor.await_completion(completed, item, field, path) if executor.is_awaitable(completed) else completed
        )

    def _complete_object(self, columns: Columns, index: int, path: Path) -> Any:
        """Complete an object of which some columns are incomplete.

        The result may be awaitable.
        """
        executor, row, source = self._executor, columns.rows[index], columns.values[index]
        pending: list[str] = []
        try:
            for key, field, inner in columns.incomplete:
                at = Path(path, key, columns.type.name)
                result = (
                    executor.field(field, source, at)
                    if inner is None
                    else self._complete_inner(inner, index, field, at)
                )
                row[key] = result
                if executor.is_awaitable(result):
                    pending.append(key)
        except Exception:
            if pending:
                executor.settle_in_background([row[key] for key in pending])
            raise
        return executor.awaited_fields(row, pending) if pending else row

    def _complete_inner(self, columns: Columns, index: int, field: PlannedField, path: Path) -> Any:
        executor = self._executor
        try:
            completed = self._complete_object(columns, index, path)
        except Exception as error:
            executor.record_error(error, field.type_plan, field, path)
            return None
        return (
            executor.await_completion(completed, field.type_plan, field, path)
            if executor.is_awaitable(completed)
            else completed
        )

    async def _await_pending(self) -> list[Any]:
        completed, pending = self._completed, self._pending
        if len(pending) == 1:
            completed[pending[0]] = await completed[pending[0]]
        else:
            results = await gather_with_cancel(*(completed[index] for index in pending))
            for index, value in zip(pending, results, strict=True):
                completed[index] = value
        return completed
