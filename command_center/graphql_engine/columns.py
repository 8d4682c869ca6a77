"""The objects of a list, read field by field for all of them together: a page has many rows and few fields.

Read is what a row tells of itself, and what was loaded for it ahead. A column in which anything is out of the ordinary
(fails, is absent where it may not be, awaitable, of another type) is left to the executor, which reads it anew, row by
row, as if nobody had: answers and errors are those of the stock executor as long as a row tells the same twice.
"""

from collections.abc import Sequence
from functools import cache
from inspect import iscoroutinefunction
from itertools import repeat
from operator import attrgetter
from types import CoroutineType, GeneratorType
from typing import Any, Protocol

from graphql import GraphQLObjectType
from graphql.pyutils import UndefinedType
from tortoise.models import Model

from command_center.graphql_engine.plans import Field, Selection
from command_center.graphql_engine.type_plans import ATOMS, Kind, Read, Table, blind, other


class Reader(Protocol):
    """What reading needs of the executor."""

    context_value: Any

    def is_awaitable(self, value: Any, /) -> bool: ...
    def selected(self, type_: GraphQLObjectType, field: Field, /) -> Selection | None: ...


class Columns:
    """Objects of one type, and the answers of them as far as they are read. `left` is what is not, in the order of the
    answer; where it is itself a column of objects that are read in part, it has their columns."""

    __slots__ = ("left", "rows", "type", "values")

    def __init__(
        self,
        type_: GraphQLObjectType,
        values: Sequence[Any],
        rows: list[dict[str, Any]],
        left: "list[tuple[str, Field, Columns | None]]",
    ) -> None:
        self.type = type_
        self.values = values
        self.rows = rows
        self.left = left


Part = tuple[Columns | None, int]
"""What could be read of some objects, None where they are not what they should be; and how many values were."""


def columns(reader: Reader, type_: GraphQLObjectType, field: Field, values: Sequence[Any]) -> Part:
    """What can be read at once of a field's values, where all of them are objects of that type."""
    try:
        if _plain(reader, values) and _of_type(type_, values):
            selection = reader.selected(type_, field)
            if selection is not None:
                return _read(reader, selection, values)
    except Exception:
        # It is told where it belongs, when the objects are completed one by one.
        pass
    return None, 0


def _read(reader: Reader, selection: Selection, values: Sequence[Any]) -> Part:
    count = len(values) * len(selection.fields)
    # Copies of one row, filled by columns: no row is put together name by name.
    blank: dict[str, Any] = dict.fromkeys([key for key, _, _, _ in selection.fields])
    rows = [blank.copy() for _ in values]
    left: list[tuple[str, Field, Columns | None]] = []
    for key, read, table, field in selection.fields:
        found, inner = None, None
        if read is not None and table:
            found = _leaves(read, table, values)
        elif field.shape.kind is Kind.OBJECT:
            found, inner, more = _objects(reader, field, values)
            count += more
        if found is None or inner is not None:
            left.append((key, field, inner))
        else:
            for row, value in zip(rows, found, strict=True):
                row[key] = value
    return Columns(selection.type, values, rows, left), count


def _leaves(read: Read, table: Table, values: Sequence[Any]) -> list[Any] | None:
    """Completed, where the table knows all their types."""
    found = _told(read, values)
    if found is None:
        return None
    makers = {type_: table.get(type_, other) for type_ in set(map(type, found))}
    if other in makers.values():
        _forget(read, found)
        return None
    same = {type_ for type_, make in makers.items() if make is None}
    if len(same) == len(makers):
        return found
    try:
        made = [make(value) if (make := makers[type(value)]) else value for value in found]
    except Exception:
        return None
    return made if set(map(type, made)) <= ATOMS | same else None


def _objects(reader: Reader, field: Field, values: Sequence[Any]) -> tuple[list[Any] | None, Columns | None, int]:
    """Completed; or only begun, and with the columns of what they are completed by."""
    if field.read is not None:
        found = _told(field.read, values)
    elif field.pointer is not None and field.call is not None:
        found = field.pointer.together(reader.context_value, values)
    else:
        found = None
    if found is None:
        return None, None, 0
    absent = type(None) in set(map(type, found))
    present = [value for value in found if value is not None] if absent else found
    inner, count = columns(reader, field.shape.type, field, present)
    if inner is None or (absent and (field.shape.non_null or inner.left)):
        if inner is None and field.read is not None:
            _forget(field.read, found)
        return None, None, count
    if not absent:
        return inner.rows, inner if inner.left else None, count
    rows = iter(inner.rows)
    return [None if value is None else next(rows) for value in found], None, count


def _told(read: Read, values: Sequence[Any]) -> list[Any] | None:
    """What each object tells, if all do."""
    found: list[Any] = []
    try:
        found.extend(map(read, values))
    except Exception:
        _forget(read, found)
        return None
    return found


def _forget(read: Read, found: Sequence[Any]) -> None:
    """What a method made to be awaited it makes once more when it is asked again."""
    if not isinstance(read, attrgetter):
        _close(found)


def _close(found: Sequence[Any]) -> None:
    """Nobody waits for these."""
    for value in found:
        if isinstance(value, CoroutineType):
            value.close()


def _plain(reader: Reader, values: Sequence[Any]) -> bool:
    """Whether none is absent, an error or awaitable."""
    if all(map(_certain, set(map(type, values)))):
        return True
    return all(map(_possible, set(map(type, values)))) and not any(map(reader.is_awaitable, values))


@cache
def _possible(type_: type) -> bool:
    return not issubclass(type_, type(None) | UndefinedType | Exception | CoroutineType | GeneratorType)


@cache
def _certain(type_: type) -> bool:
    """Whether its type alone says so. Rows can be awaited, but need not be."""
    if not _possible(type_):
        return False
    if issubclass(type_, Model):
        return True
    return not any(hasattr(type_, name) for name in ("__await__", "__getattr__")) and (
        type_.__getattribute__ is object.__getattribute__
    )


def _of_type(type_: GraphQLObjectType, values: Sequence[Any]) -> bool:
    fits: Any = type_.is_type_of
    if fits is None:
        return True
    if not blind(fits) or iscoroutinefunction(fits):
        return False
    found: list[Any] = []
    try:
        found.extend(map(fits, values, repeat(None)))
        if set(found) == {True}:
            return True
    except Exception:
        # It is said again when it is asked again.
        pass
    _close(found)
    return False
