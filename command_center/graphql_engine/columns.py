"""Completes the objects of a list column by column.

Each field is read for all objects at once. A page has many rows and few fields, so this is faster than row by row. Only
values that rows hold, or that were prefetched for them, are read. A value is unusual if it fails, is an invalid null,
is awaitable, or has another type. The executor completes a column that has one again, row by row. Responses and errors
therefore equal those of graphql-core's executor, provided that reading a row twice gives the same value.
"""

from collections.abc import Sequence
from functools import cache
from inspect import iscoroutinefunction
from itertools import repeat
from operator import attrgetter
from types import CoroutineType, GeneratorType
from typing import Protocol

from graphql import GraphQLObjectType
from graphql.pyutils import UndefinedType

from command_center.graphql_engine.plans import PlannedField, SelectionPlan
from command_center.graphql_engine.type_plans import ATOMIC_TYPES, NO_INFO, Read, Table, ignores_info, unknown_type


class ColumnReader(Protocol):
    """The part of the executor's interface that this module uses."""

    context_value: object
    row_types: tuple[type, ...]

    def is_awaitable(self, value: object, /) -> bool:
        """Return whether a value must be awaited."""

    def select_fields(self, type_: GraphQLObjectType, field: PlannedField, /) -> SelectionPlan:
        """Return the plan of the fields that `field` selects from objects of a type."""


class ObjectColumns:
    """Objects of one type, and the parts of their response that are complete.

    `values` are the objects, and `rows` are their responses. `incomplete` lists the fields whose response values are
    missing, in the order of the response. If such a field holds objects that are partly complete, their columns come
    with it.
    """

    __slots__ = ("incomplete", "rows", "type", "values")

    def __init__(
        self,
        type_: GraphQLObjectType,
        values: Sequence[object],
        rows: list[dict[str, object]],
        incomplete: "list[tuple[str, PlannedField, ObjectColumns | None]]",
    ) -> None:
        self.type = type_
        self.values = values
        self.rows = rows
        self.incomplete = incomplete


Completion = tuple[ObjectColumns | None, int]
"""The columns of some objects, or None if they are not all of the expected kind; and how many values were completed."""


def complete_columns(
    reader: ColumnReader, type_: GraphQLObjectType, field: PlannedField, values: Sequence[object]
) -> Completion:
    """Compute the responses of a field's values, if all are objects of one type.

    Return them by columns, and the number of values completed. Otherwise return None and 0.
    """
    try:
        if _are_ready(reader, values) and _all_of_type(type_, values):
            return _complete_fields(reader, reader.select_fields(type_, field), values)
    except Exception:
        # The error is reported in its place when the objects are completed one by one.
        pass
    return None, 0


def _complete_fields(reader: ColumnReader, selection: SelectionPlan, values: Sequence[object]) -> Completion:
    count = len(values) * len(selection.fields)
    # Copies of one dictionary that are filled column by column, which is faster than building each row key by key.
    blank: dict[str, object] = dict.fromkeys([key for key, _, _, _ in selection.fields])
    rows = [blank.copy() for _ in values]
    incomplete: list[tuple[str, PlannedField, ObjectColumns | None]] = []
    for key, read, table, field in selection.fields:
        values_of_field: Sequence[object] | None = None
        inner_columns: ObjectColumns | None = None
        if read is not None and table:
            values_of_field = _complete_leaves(read, table, values)
        elif field.type_plan.object_type is not None:
            values_of_field, inner_columns, inner_count = _complete_objects(
                reader, field, field.type_plan.object_type, values
            )
            count += inner_count
        if values_of_field is None or inner_columns is not None:
            incomplete.append((key, field, inner_columns))
        else:
            for row, value in zip(rows, values_of_field, strict=True):
                row[key] = value
    return ObjectColumns(selection.type, values, rows, incomplete), count


def _complete_leaves(read: Read, table: Table, values: Sequence[object]) -> list[object] | None:
    """Return the response value of a leaf field for each object.

    The result is None if reading or converting a value fails, or if the table lacks the type of one.
    """
    values_read = _read_all(read, values)
    if values_read is None:
        return None
    makers = {type_: table.get(type_, unknown_type) for type_ in set(map(type, values_read))}
    if unknown_type in makers.values():
        _discard(read, values_read)
        return None
    unchanged = {type_ for type_, make in makers.items() if make is None}
    if len(unchanged) == len(makers):
        return values_read
    try:
        completed = [make(value) if (make := makers[type(value)]) else value for value in values_read]
    except Exception:
        return None
    return completed if set(map(type, completed)) <= ATOMIC_TYPES | unchanged else None


def _complete_objects(
    reader: ColumnReader, field: PlannedField, type_: GraphQLObjectType, values: Sequence[object]
) -> tuple[Sequence[object] | None, ObjectColumns | None, int]:
    """Return the responses of a field's objects, their columns, and a count.

    The responses are None if the objects cannot be read, and the columns are None if the responses are complete. The
    count is the number of values that were completed.
    """
    if field.read is not None:
        objects = _read_all(field.read, values)
    elif field.reference is not None and field.call is not None:
        objects = field.reference.get_prefetched(reader.context_value, values)
    else:
        objects = None
    if objects is None:
        return None, None, 0
    has_null = type(None) in set(map(type, objects))
    present = [value for value in objects if value is not None] if has_null else objects
    inner_columns, count = complete_columns(reader, type_, field, present)
    if inner_columns is None or (has_null and (field.type_plan.non_null or inner_columns.incomplete)):
        if inner_columns is None and field.read is not None:
            _discard(field.read, objects)
        return None, None, count
    if not has_null:
        return inner_columns.rows, inner_columns if inner_columns.incomplete else None, count
    rows = iter(inner_columns.rows)
    return [None if value is None else next(rows) for value in objects], None, count


def _read_all(read: Read, values: Sequence[object]) -> list[object] | None:
    """Return what `read` returns for each object, or None if any call fails."""
    results: list[object] = []
    try:
        results.extend(map(read, values))
    except Exception:
        _discard(read, results)
        return None
    return results


def _discard(read: Read, results: Sequence[object]) -> None:
    """Close the coroutines in a method's results.

    The method creates new ones when it is called again.
    """
    if not isinstance(read, attrgetter):
        _close_coroutines(results)


def _close_coroutines(results: Sequence[object]) -> None:
    """Close coroutines that nobody awaits."""
    for value in results:
        if isinstance(value, CoroutineType):
            value.close()


def _are_ready(reader: ColumnReader, values: Sequence[object]) -> bool:
    """Return whether no value is null, an error or awaitable."""
    if all(_is_certainly_ready(type_, reader.row_types) for type_ in set(map(type, values))):
        return True
    return all(map(_may_be_ready, set(map(type, values)))) and not any(map(reader.is_awaitable, values))


@cache
def _may_be_ready(type_: type) -> bool:
    return not issubclass(type_, type(None) | UndefinedType | Exception | CoroutineType | GeneratorType)


@cache
def _is_certainly_ready(type_: type, row_types: tuple[type, ...]) -> bool:
    """Return whether the type alone shows that a value is ready."""
    if not _may_be_ready(type_):
        return False
    if issubclass(type_, row_types):
        return True
    return not any(hasattr(type_, name) for name in ("__await__", "__getattr__")) and (
        type_.__getattribute__ is object.__getattribute__
    )


def _all_of_type(type_: GraphQLObjectType, values: Sequence[object]) -> bool:
    is_type_of = type_.is_type_of
    if is_type_of is None:
        return True
    if not ignores_info(is_type_of) or iscoroutinefunction(is_type_of):
        return False
    results: list[object] = []
    try:
        results.extend(map(is_type_of, values, repeat(NO_INFO)))
        if set(results) == {True}:
            return True
    except Exception:
        # The error occurs again, and is reported, when the executor calls the function.
        pass
    _close_coroutines(results)
    return False
