"""Completes lists item by item, with pauses for other tasks if a list is long."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol, TypeGuard

from graphql import GraphQLError, GraphQLObjectType, located_error
from graphql.pyutils import Path, gather_with_cancel, is_iterable

from command_center.graphql_engine.columns import ObjectColumns
from command_center.graphql_engine.plans import PlannedField
from command_center.graphql_engine.type_plans import TypePlan, unknown_type
from command_center.graphql_engine.yield_budget import MAX_VALUES_PER_TURN, YieldBudget

BATCH_ITEMS = 100
"""Items that are examined together."""


class ListExecutor(Protocol):
    """The part of the executor's interface that this module uses.

    `PlannedExecutor` describes the methods.
    """

    yield_budget: YieldBudget

    def is_awaitable(self, value: object, /) -> TypeGuard[Awaitable[object]]: ...
    def complete_value(self, plan: TypePlan, field: PlannedField, at: Path, path: Path, value: object) -> object: ...
    async def complete_awaitable(
        self, awaitable: Awaitable[object], plan: TypePlan, field: PlannedField, at: Path, path: Path
    ) -> object: ...
    async def await_completion(
        self, completed: Awaitable[object], plan: TypePlan, field: PlannedField, path: Path
    ) -> object: ...
    def record_error(self, error: Exception, plan: TypePlan, field: PlannedField, path: Path) -> None: ...
    def settle_in_background(self, awaitables: Sequence[Awaitable[object]]) -> None: ...
    def complete_together(
        self, type_: GraphQLObjectType, field: PlannedField, values: Sequence[object]
    ) -> ObjectColumns | None: ...
    def execute_field(self, field: PlannedField, source: object, path: Path) -> object: ...
    async def await_fields(
        self, results: dict[str, object], pending: Mapping[str, Awaitable[object]]
    ) -> dict[str, object]: ...


def read_iterable(value: object, position: str) -> tuple[Sequence[object], Exception | None]:
    """Return the items of an iterable that is no list, and the error that ended it.

    The error is None if the iteration reached its end. `position` is the field, as `Type.field`.

    Raises: GraphQLError if the value is not iterable.
    """
    if not is_iterable(value):
        raise GraphQLError(f"Expected Iterable, but did not find one for field '{position}'.")
    items: list[object] = []
    try:
        items.extend(value)
    except Exception as error:
        return items, error
    return items, None


class ListCompleter:
    """Completes the items of one list.

    `failure` is the error that follows the last item, or None.
    """

    __slots__ = (
        *("_at", "_batch_end", "_batch_start", "_columns", "_completed", "_executor", "_failure", "_field", "_item"),
        *("_items", "_next", "_path", "_pending"),
    )

    def __init__(
        self,
        executor: ListExecutor,
        item: TypePlan,
        field: PlannedField,
        at: Path,
        path: Path,
        items: Sequence[object],
        failure: Exception | None = None,
    ) -> None:
        self._executor = executor
        self._item = item
        self._field = field
        self._at = at
        self._path = path
        self._items = items
        self._failure = failure
        self._completed: list[object] = []
        self._pending: dict[int, Awaitable[object]] = {}
        """The completed items that must be awaited, by their indexes."""
        self._next = 0
        self._batch_start, self._batch_end = 0, 0
        """The range of the items that were examined last; `_columns` holds what they have in common."""
        self._columns: ObjectColumns | None = None

    def complete(self) -> object:
        """Return the completed list, or an awaitable of it."""
        if self._executor.yield_budget.completed_values >= MAX_VALUES_PER_TURN or not self._complete_turn():
            return self._complete_in_turns()
        return self._await_pending() if self._pending else self._completed

    async def complete_stream(self, stream: AsyncIterable[object]) -> list[object]:
        """Complete the items of an asynchronous iterable, each as soon as it is there."""
        items: list[object] = []
        self._items = items
        iterator = aiter(stream)
        try:
            while self._failure is None:
                try:
                    items.append(await anext(iterator))
                except StopAsyncIteration:
                    break
                except Exception as error:
                    self._failure = located_error(error, self._field.nodes, self._path.as_list())
                while not self._complete_turn():
                    await self._executor.yield_budget.wait()
        except Exception:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                with suppress(Exception):
                    await close()
            raise
        return await self._await_pending() if self._pending else self._completed

    async def _complete_in_turns(self) -> list[object]:
        """Complete the list with pauses.

        Awaitable items are started at the end of each turn, so that not all of them start at once.
        """
        pending = self._pending
        futures: list[asyncio.Future[object]] = []
        while True:
            for index in islice(pending, len(futures), None):
                future = asyncio.ensure_future(pending[index])
                futures.append(future)
                pending[index] = future
            try:
                await self._executor.yield_budget.wait()
            except asyncio.CancelledError:
                for started in futures:
                    started.cancel()
                self._executor.settle_in_background(futures)
                raise
            if self._complete_turn():
                return await self._await_pending() if pending else self._completed

    def _complete_turn(self) -> bool:
        """Complete items until other tasks should run. Return True if the list ended."""
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
                    self._pending[index] = result
                completed.append(result)
            if self._failure is not None:
                raise self._failure
        except Exception:
            unawaited = [*self._pending.values()]
            unawaited += [item for item in items[self._next :] if self._executor.is_awaitable(item)]
            if unawaited:
                self._executor.settle_in_background(unawaited)
            raise
        return True

    def _complete_batch(self) -> None:
        """Examine the next items together, and complete them if every value is ready."""
        batch = self._items[self._next : self._next + BATCH_ITEMS]
        self._batch_start, self._batch_end = self._next, self._next + len(batch)
        table, object_type = self._item.table, self._item.object_type
        self._columns = None
        done: Sequence[object] | None = None
        if table:
            done = batch if all(table.get(type_, unknown_type) is None for type_ in set(map(type, batch))) else None
            self._executor.yield_budget.completed_values += len(batch) if done else 0
        elif object_type is not None and len(batch) > 1:
            self._columns = self._executor.complete_together(object_type, self._field, batch)
            done = self._columns.rows if self._columns and not self._columns.incomplete else None
        if done is not None:
            self._completed += done
            self._next = self._batch_end

    def _complete_item(self, value: object, path: Path) -> object:
        executor, item, field, columns = self._executor, self._item, self._field, self._columns
        if columns is None and executor.is_awaitable(value):
            return executor.complete_awaitable(value, item, field, self._at, path)
        try:
            if columns is None:
                completed = executor.complete_value(item, field, self._at, path, value)
            else:
                completed = self._complete_row(columns, self._next - 1 - self._batch_start, path)
        except Exception as error:
            executor.record_error(error, item, field, path)
            return None
        return (
            executor.await_completion(completed, item, field, path) if executor.is_awaitable(completed) else completed
        )

    def _complete_row(self, columns: ObjectColumns, index: int, path: Path) -> object:
        """Complete those fields of one object that could not be completed for all objects at once.

        `columns` holds the fields that were completed for all objects of the list, and names the others; `index` is
        the object's place in it. Returns the object's response, or an awaitable of it.
        """
        executor, row, source = self._executor, columns.rows[index], columns.values[index]
        pending: dict[str, Awaitable[object]] = {}
        try:
            for key, field, inner in columns.incomplete:
                at = Path(path, key, columns.type.name)
                result = (
                    executor.execute_field(field, source, at)
                    if inner is None
                    else self._complete_inner(inner, index, field, at)
                )
                row[key] = result
                if executor.is_awaitable(result):
                    pending[key] = result
        except Exception:
            if pending:
                executor.settle_in_background([*pending.values()])
            raise
        return executor.await_fields(row, pending) if pending else row

    def _complete_inner(self, columns: ObjectColumns, index: int, field: PlannedField, path: Path) -> object:
        executor = self._executor
        try:
            completed = self._complete_row(columns, index, path)
        except Exception as error:
            executor.record_error(error, field.type_plan, field, path)
            return None
        return (
            executor.await_completion(completed, field.type_plan, field, path)
            if executor.is_awaitable(completed)
            else completed
        )

    async def _await_pending(self) -> list[object]:
        completed, pending = self._completed, self._pending
        if len(pending) == 1:
            for index, awaitable in pending.items():
                completed[index] = await awaitable
        else:
            results = await gather_with_cancel(*pending.values())
            for index, value in zip(pending, results, strict=True):
                completed[index] = value
        return completed
