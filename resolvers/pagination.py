"""Implements keyset pagination, stable while rows are inserted and deleted.

One statement with LIMIT n + 1 reads a page. A cursor contains the type of row, the order's name, the values of its
columns and the row's key, and is opaque to clients. A second statement finds out whether rows lie on the other side of
the cursor from which the page starts. It runs only if the client selects that field.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import repeat
from typing import Any, Generic, Protocol, TypeVar

import orjson
from tortoise.expressions import Q
from tortoise.models import Model
from tortoise.queryset import QuerySet

from command_center import ids
from command_center.actions.inputs import has_lone_surrogate
from command_center.changes.cursors import Cursor
from command_center.database.connections import database
from command_center.database.fields import all_to_micros, from_micros, to_micros
from command_center.database.hydration import fetch_models, hydrate
from command_center.errors import user_error
from command_center.search.datetimes import EARLIEST, LATEST, parse_day
from command_center.search.dialects import FALSE, TRUE, Clause, all_of
from models.enums import UserErrorCode

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
_MALFORMED = "A cursor is handed back as it was received, to the same kind of connection and in the same order."
M = TypeVar("M", bound=Model)
N = TypeVar("N")


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a connection: `first` and `after`, or `last` and `before`.

    The default is the first 50.
    """

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    def checked(self) -> "Arguments":
        """Return these arguments unchanged if they are valid.

        Raises: UserErrors if both `first` and `last` are given, or one is out of range.
        """
        if self.first is not None and self.last is not None:
            raise user_error(UserErrorCode.INVALID, ("last",), "Give either `first` or `last`, not both.")
        for name, value in (("first", self.first), ("last", self.last)):
            if value is not None and not 0 <= value <= MAX_PAGE_SIZE:
                raise user_error(
                    UserErrorCode.INVALID, (name,), f"`{name}` is a number from 0 to {MAX_PAGE_SIZE}, not {value}."
                )
        return self

    @property
    def backwards(self) -> bool:
        """Whether the page is read from its end."""
        return self.last is not None

    @property
    def count(self) -> int:
        """The number of rows to return."""
        return next((value for value in (self.first, self.last) if value is not None), DEFAULT_PAGE_SIZE)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an order.

    In a cursor, moments are microseconds and days are texts.

    `attribute` is the name of the column and of the row's attribute. `max_value` is the largest number the column can
    hold. It is needed because a forged cursor may contain any number.
    """

    attribute: str
    descending: bool = True
    nullable: bool = False
    text: bool = False
    max_value: int = 2**62

    @property
    def moment(self) -> bool:
        return self.attribute.endswith("_at")

    @property
    def day(self) -> bool:
        return self.attribute.endswith("_on")


@dataclass(frozen=True, slots=True)
class Order:
    """A total order of rows: by columns, and by the row's key if they are equal.

    Nulls come last in both directions.

    `descending` is the direction of the key. If it is None, the key has the direction of the last column.
    """

    name: str
    columns: tuple[Column, ...]
    descending: bool | None = None

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns that rows are sorted by, with the primary key as the last."""
        descending = self.descending
        if descending is None:
            descending = self.columns[-1].descending if self.columns else True
        return (*self.columns, Column("id", descending))


Keyset = tuple[Any, ...]
"""The values of an order's columns in one row, with the key last."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Restricts a page to the rows after a given row, or to those before it.

    `keyset` has that row's values of the columns of the order. `included` admits the row itself.
    """

    keyset: Keyset
    after: bool
    included: bool = False


class RowSource(Protocol[M]):
    """Reads the rows of a page.

    `kind` names the type of row, and is part of its cursors.
    """

    @property
    def kind(self) -> str: ...

    async def rows(self, order: Order, bounds: Sequence[Bound], reverse: bool, limit: int) -> list[M]:
        """Return at most `limit` rows within all bounds, in the order or in its reverse."""
        ...


# It is not frozen: a frozen dataclass takes several times as long to create, and a page has many edges.
@dataclass(slots=True)
class Edge(Generic[N]):
    """A row of a page and its cursor."""

    cursor: str
    node: N


LazyBool = Callable[[], bool | Awaitable[bool]]


class PageInfo:
    """The boundaries of a page. Both `has_…` functions are exact."""

    def __init__(self, edges: Sequence[Edge[Any]], previous: LazyBool, following: LazyBool) -> None:
        self.start_cursor = edges[0].cursor if edges else None
        self.end_cursor = edges[-1].cursor if edges else None
        self.has_previous_page = previous
        self.has_next_page = following


class Page(Generic[N]):
    """A page of rows.

    If clients can subscribe to changes, `as_of` is a log position read before the rows.
    """

    def __init__(self, edges: list[Edge[N]], page_info: PageInfo, as_of: Cursor | None) -> None:
        self.edges = edges
        self.page_info = page_info
        self.as_of = as_of

    @property
    def nodes(self) -> list[N]:
        return [edge.node for edge in self.edges]


async def load_page(source: RowSource[M], order: Order, arguments: Arguments, as_of: Cursor | None = None) -> Page[M]:
    """Return the page of a source's rows that a connection's arguments request.

    Raises: UserErrors if the arguments are invalid, or a cursor is malformed or belongs to another connection.
    """
    arguments = arguments.checked()
    name = f"{source.kind} {order.name}"
    after = None if arguments.after is None else _parse(arguments.after, name, order, "after")
    before = None if arguments.before is None else _parse(arguments.before, name, order, "before")
    bounds = [Bound(keyset, side) for keyset, side in ((after, True), (before, False)) if keyset is not None]
    rows = await source.rows(order, bounds, arguments.backwards, arguments.count + 1)
    more = len(rows) > arguments.count
    rows = rows[: arguments.count]
    if arguments.backwards:
        rows.reverse()
    edges = _edges(rows, name, order)

    async def exists_beyond(outermost: M | None, start: Keyset, later: bool) -> bool:
        """Return whether the source has a row beyond `outermost`, a row of the page.

        `later` looks after that row, otherwise before it. For an empty page, `outermost` is None: then the row at the
        cursor `start` counts, as well as those beyond it.
        """
        bound = Bound(start, later, included=True) if outermost is None else Bound(_keyset(outermost, order), later)
        return bool(await source.rows(order, [bound], not later, 1))

    def previous() -> bool | Awaitable[bool]:
        if after is None or (arguments.backwards and more):
            return arguments.backwards and more
        return exists_beyond(rows[0] if rows else None, after, later=False)

    def following() -> bool | Awaitable[bool]:
        if before is None or (more and not arguments.backwards):
            return more and not arguments.backwards
        return exists_beyond(rows[-1] if rows else None, before, later=True)

    return Page(edges, PageInfo(edges, previous, following), as_of)


def _value(row: Model, column: Column) -> Any:
    value = getattr(row, column.attribute)
    if isinstance(value, datetime):
        return to_micros(value)
    # This converts members of enumerations and bools, which are numbers in the database.
    return int(value) if isinstance(value, int) else value


def _keyset(row: Model, order: Order) -> Keyset:
    return tuple(_value(row, column) for column in order.all_columns)


def _edges(rows: Sequence[M], name: str, order: Order) -> list[Edge[M]]:
    columns = [_values(rows, column) for column in order.all_columns]
    # orjson writes a day as text.
    cursors = ids.encode_opaque(map(orjson.dumps, zip(repeat(name), *columns)))
    return list(map(Edge, cursors, rows))


def _values(rows: Sequence[Model], column: Column) -> Sequence[Any]:
    """Return each row's value in a column, as a cursor contains it.

    The result equals that of `_value` for each row, but is faster if all values have one of the frequent types.
    """
    values = [getattr(row, column.attribute) for row in rows]
    types = set(map(type, values))
    if types <= {int, str, date, type(None)}:
        return values
    if types == {datetime}:
        return all_to_micros(values)
    return [_value(row, column) for row in rows]


def _parse(text: str, name: str, order: Order, argument: str) -> Keyset:
    """Return the values of an order's columns that a cursor contains.

    `name` tells the type of row and the order. `argument` is where the client gave the cursor.

    Raises: UserErrors if the cursor is malformed, or has another name.
    """
    try:
        content = json.loads(ids.decode_opaque(text) or b"")
    except (ValueError, RecursionError):
        content = None
    if not (isinstance(content, list) and len(content) == 1 + len(order.all_columns) and content[0] == name):
        raise user_error(UserErrorCode.INVALID, (argument,), _MALFORMED)
    pairs = list(zip(content[1:], order.all_columns, strict=True))
    if not all(_is_valid(value, column) for value, column in pairs):
        raise user_error(UserErrorCode.INVALID, (argument,), _MALFORMED)
    return tuple(parse_day(value) if column.day and value else value for value, column in pairs)


def _is_valid(value: Any, column: Column) -> bool:
    """Return whether a value from a cursor can be compared with a column.

    A cursor may be forged.
    """
    if value is None:
        return column.nullable
    if column.text:
        return isinstance(value, str) and "\x00" not in value and not has_lone_surrogate(value)
    if column.day:
        return isinstance(value, str) and _is_day(value)
    lowest, highest = (EARLIEST, LATEST) if column.moment else (-column.max_value, column.max_value)
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _is_day(text: str) -> bool:
    try:
        parse_day(text)
    except ValueError:
        return False
    return True


class QuerySource(Generic[M]):
    """Rows of a Tortoise query, ordered by columns that are never null."""

    def __init__(self, query: QuerySet[M]) -> None:
        self._query = query

    @property
    def kind(self) -> str:
        return self._query.model.__name__

    async def rows(self, order: Order, bounds: Sequence[Bound], reverse: bool, limit: int) -> list[M]:
        query = self._query
        for bound in bounds:
            query = query.filter(self._within(order, bound))
        names = [("-" if column.descending != reverse else "") + column.attribute for column in order.all_columns]
        return await fetch_models(query.order_by(*names).limit(limit))

    @staticmethod
    def _within(order: Order, bound: Bound) -> Q:
        steps: list[Q] = []
        equal: dict[str, Any] = {}
        for column, value in zip(order.all_columns, bound.keyset, strict=True):
            sign = "lt" if column.descending == bound.after else "gt"
            operand: Any = from_micros(value) if column.moment else value
            equalities = [Q(**{name: each}) for name, each in equal.items()]
            steps.append(Q(*equalities, Q(**{f"{column.attribute}__{sign}": operand})))
            equal[column.attribute] = operand
        if bound.included:
            steps.append(Q(*[Q(**{name: each}) for name, each in equal.items()]))
        # The condition on the first column alone is redundant, but lets the database use an index on that column. It
        # cannot use one for an OR.
        column, value = order.all_columns[0], next(iter(equal.values()))
        lookup = f"{column.attribute}__{'lte' if column.descending == bound.after else 'gte'}"
        return Q(Q(**{lookup: value}), Q(*steps, join_type=Q.OR))


class SqlSource(Generic[M]):
    """Rows of `SELECT e.*` from a hand-written FROM and WHERE.

    If the first column of the order can be null, the rows with and without a value are read by two statements. An
    index can answer each of them.
    """

    def __init__(self, model: type[M], tables: str, where: Clause) -> None:
        self._model = model
        self._tables = tables
        self._where = where

    @property
    def kind(self) -> str:
        return self._model.__name__

    async def rows(self, order: Order, bounds: Sequence[Bound], reverse: bool, limit: int) -> list[M]:
        ranges = _ranges(order, bounds)
        rows: list[M] = []
        for each in reversed(ranges) if reverse else ranges:
            if each != FALSE and len(rows) < limit:
                rows += await self._select(all_of([self._where, each]), order, reverse, limit - len(rows))
        return rows

    async def _select(self, where: Clause, order: Order, reverse: bool, limit: int) -> list[M]:
        ordering = (
            f"e.{column.attribute} {'DESC' if column.descending != reverse else 'ASC'}" for column in order.all_columns
        )
        rows = await database().fetch(
            f"SELECT e.* FROM {self._tables} WHERE {where.text} ORDER BY {', '.join(ordering)} LIMIT ?",
            *where.parameters,
            limit,
        )
        return hydrate(self._model, rows)


def _ranges(order: Order, bounds: Sequence[Bound]) -> list[Clause]:
    """Return conditions that together select the rows within all bounds.

    If the first column of the order can be null, there are two: for rows with a value in it, and for rows with null.
    Otherwise there is one.
    """
    first = order.all_columns[0]
    if not first.nullable:
        return [all_of(_beyond(order.all_columns, bound.keyset, bound) for bound in bounds)]
    present = [Clause(f"e.{first.attribute} IS NOT NULL")]
    absent = [Clause(f"e.{first.attribute} IS NULL")]
    for bound in bounds:
        if bound.keyset[0] is not None:
            present.append(_beyond(order.all_columns, bound.keyset, bound))
            absent.append(TRUE if bound.after else FALSE)
        else:
            present.append(FALSE if bound.after else TRUE)
            absent.append(_beyond(order.all_columns[1:], bound.keyset[1:], bound))
    return [all_of(present), all_of(absent)]


def _beyond(columns: Sequence[Column], keyset: Keyset, bound: Bound) -> Clause:
    """Return the condition for rows after or before the row with a keyset.

    `keyset` has a value for each of the columns. The bound tells the side and whether the row itself is included.

    Columns with the same direction are compared as one row value, for which an index can be used. Columns with
    different directions are compared one after the other, in lexicographic order.
    """
    first, value = f"e.{columns[0].attribute}", keyset[0]
    sign = "<" if columns[0].descending == bound.after else ">"
    if len({column.descending for column in columns}) == 1:
        names = ", ".join(f"e.{column.attribute}" for column in columns)
        return Clause(f"({names}) {sign}{'=' * bound.included} ({', '.join('?' for _ in keyset)})", keyset)
    rest = _beyond(columns[1:], keyset[1:], bound)
    # The first comparison is redundant, but lets the database use an index. It cannot use one for an OR.
    text = f"({first} {sign}= ? AND ({first} {sign} ? OR ({first} = ? AND {rest.text})))"
    return Clause(text, (value, value, value, *rest.parameters))
