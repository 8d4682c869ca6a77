"""Keyset pages, both ways: a statement of LIMIT n + 1, opaque cursors, stable while rows come and go.

A cursor holds the kind of row, the order's name, the values of its columns and the row's key. Whether there is
something on the far side of where the page began is asked only when the client asks.
"""

import base64
import binascii
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
from command_center.actions.inputs import broken
from command_center.changes.cursors import Cursor
from command_center.database.connections import database
from command_center.database.fields import all_to_micros, from_micros, to_micros
from command_center.database.hydration import hydrated, selected
from command_center.errors import user_error
from command_center.search.datetimes import EARLIEST, LATEST, parse_day
from command_center.search.dialects import FALSE, TRUE, Clause, every
from models.enums import UserErrorCode

DEFAULT, MOST = 50, 200
_MALFORMED = "A cursor is handed back as it was received, to the same kind of connection and in the same order."
M = TypeVar("M", bound=Model)
N = TypeVar("N")


@dataclass(frozen=True, slots=True)
class Arguments:
    """`first`/`after` or `last`/`before`; neither means the first 50."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    def checked(self) -> "Arguments":
        """These, once they make sense. Raises Refused."""
        if self.first is not None and self.last is not None:
            raise user_error(UserErrorCode.INVALID, ("last",), "Give either `first` or `last`, not both.")
        for name, value in (("first", self.first), ("last", self.last)):
            if value is not None and not 0 <= value <= MOST:
                raise user_error(UserErrorCode.INVALID, (name,), f"`{name}` is a number from 0 to {MOST}, not {value}.")
        return self

    @property
    def backwards(self) -> bool:
        return self.last is not None

    @property
    def count(self) -> int:
        return next((value for value in (self.first, self.last) if value is not None), DEFAULT)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an order. `attribute` is the row's; moments travel in cursors as microseconds, days as text.

    `most` is the largest number the column can hold: a cursor of somebody's own making may hold any.
    """

    attribute: str
    descending: bool = True
    nullable: bool = False
    text: bool = False
    most: int = 2**62

    @property
    def moment(self) -> bool:
        return self.attribute.endswith("_at")

    @property
    def day(self) -> bool:
        return self.attribute.endswith("_on")


@dataclass(frozen=True, slots=True)
class Order:
    """Columns, then the row's key. Absent values are last either way.

    `descending` is the key's direction; absent, that of the last column.
    """

    name: str
    columns: tuple[Column, ...]
    descending: bool | None = None

    @property
    def whole(self) -> tuple[Column, ...]:
        descending = self.descending
        if descending is None:
            descending = self.columns[-1].descending if self.columns else True
        return (*self.columns, Column("id", descending))


Place = tuple[Any, ...]
"""The values of an order's columns at one row, the key last."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Rows after a place, or before it; the row at the place itself only where it is included."""

    place: Place
    after: bool
    included: bool = False


class Source(Protocol[M]):
    """Where the rows of a page come from. `kind` names what they are: their cursors say it."""

    @property
    def kind(self) -> str: ...

    async def rows(self, order: Order, bounds: Sequence[Bound], reverse: bool, limit: int) -> list[M]:
        """Rows within all the bounds, in the order or reversed."""
        ...


# A frozen one takes several times as long to make, and a page is made of them.
@dataclass(slots=True)
class Edge(Generic[N]):
    cursor: str
    node: N


Answer = Callable[[], bool | Awaitable[bool]]


class PageInfo:
    """Both answers are exact."""

    def __init__(self, edges: Sequence[Edge[Any]], previous: Answer, following: Answer) -> None:
        self.start_cursor = edges[0].cursor if edges else None
        self.end_cursor = edges[-1].cursor if edges else None
        self.has_previous_page = previous
        self.has_next_page = following


class Page(Generic[N]):
    """A page of rows, and, where it can be followed, the place in the change log read before them."""

    def __init__(self, edges: list[Edge[N]], page_info: PageInfo, as_of: Cursor | None) -> None:
        self.edges = edges
        self.page_info = page_info
        self.as_of = as_of

    @property
    def nodes(self) -> list[N]:
        return [edge.node for edge in self.edges]


async def page(source: Source[M], order: Order, arguments: Arguments, as_of: Cursor | None = None) -> Page[M]:
    """One page. Raises Refused for arguments or cursors that make no sense."""
    asked = arguments.checked()
    name = f"{source.kind} {order.name}"
    after = None if asked.after is None else _parse(asked.after, name, order, "after")
    before = None if asked.before is None else _parse(asked.before, name, order, "before")
    bounds = [Bound(place, side) for place, side in ((after, True), (before, False)) if place is not None]
    rows = await source.rows(order, bounds, asked.backwards, asked.count + 1)
    more = len(rows) > asked.count
    rows = rows[: asked.count]
    if asked.backwards:
        rows.reverse()
    edges = _edges(rows, name, order)

    async def beyond(edge: M | None, asked_from: Place, later: bool) -> bool:
        """Whether a row lies past the page's edge; past or at where it was asked from, where the page is empty."""
        bound = Bound(asked_from, later, included=True) if edge is None else Bound(_place(edge, order), later)
        return bool(await source.rows(order, [bound], not later, 1))

    def previous() -> bool | Awaitable[bool]:
        if after is None or (asked.backwards and more):
            return asked.backwards and more
        return beyond(rows[0] if rows else None, after, later=False)

    def following() -> bool | Awaitable[bool]:
        if before is None or (more and not asked.backwards):
            return more and not asked.backwards
        return beyond(rows[-1] if rows else None, before, later=True)

    return Page(edges, PageInfo(edges, previous, following), as_of)


def _value(row: Model, column: Column) -> Any:
    value = getattr(row, column.attribute)
    if isinstance(value, datetime):
        return to_micros(value)
    # Not an enum's member or a truth, which are numbers in the database.
    return int(value) if isinstance(value, int) else value


def _place(row: Model, order: Order) -> Place:
    return tuple(_value(row, column) for column in order.whole)


def _edges(rows: Sequence[M], name: str, order: Order) -> list[Edge[M]]:
    columns = [_values(rows, column) for column in order.whole]
    # A day is written as the text it is.
    cursors = ids.opaque(map(orjson.dumps, zip(repeat(name), *columns)))
    return list(map(Edge, cursors, rows))


def _values(rows: Sequence[Model], column: Column) -> Sequence[Any]:
    """What `_value` says of each."""
    found = [getattr(row, column.attribute) for row in rows]
    types = set(map(type, found))
    if types <= {int, str, date, type(None)}:
        return found
    if types == {datetime}:
        return all_to_micros(found)
    return [_value(row, column) for row in rows]


def _parse(text: str, name: str, order: Order, argument: str) -> Place:
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        found = json.loads(plain)
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if not (isinstance(found, list) and len(found) == 1 + len(order.whole) and found[0] == name):
        raise user_error(UserErrorCode.INVALID, (argument,), _MALFORMED)
    read = list(zip(found[1:], order.whole, strict=True))
    if not all(_sound(value, column) for value, column in read):
        raise user_error(UserErrorCode.INVALID, (argument,), _MALFORMED)
    return tuple(parse_day(value) if column.day and value else value for value, column in read)


def _sound(value: Any, column: Column) -> bool:
    if value is None:
        return column.nullable
    if column.text:
        return isinstance(value, str) and "\x00" not in value and not broken(value)
    if column.day:
        return isinstance(value, str) and _is_day(value)
    least, most = (EARLIEST, LATEST) if column.moment else (-column.most, column.most)
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_day(text: str) -> bool:
    try:
        parse_day(text)
    except ValueError:
        return False
    return True


class Rows(Generic[M]):
    """Rows of a Tortoise query, ordered by columns that are never absent."""

    def __init__(self, query: QuerySet[M]) -> None:
        self._query = query

    @property
    def kind(self) -> str:
        return self._query.model.__name__

    async def rows(self, order: Order, bounds: Sequence[Bound], reverse: bool, limit: int) -> list[M]:
        query = self._query
        for bound in bounds:
            query = query.filter(self._within(order, bound))
        names = [("-" if column.descending != reverse else "") + column.attribute for column in order.whole]
        return await selected(query.order_by(*names).limit(limit))

    @staticmethod
    def _within(order: Order, bound: Bound) -> Q:
        steps: list[Q] = []
        equal: dict[str, Any] = {}
        for column, value in zip(order.whole, bound.place, strict=True):
            sign = "lt" if column.descending == bound.after else "gt"
            given: Any = from_micros(value) if column.moment else value
            steps.append(
                Q(*[Q(**{name: known}) for name, known in equal.items()], Q(**{f"{column.attribute}__{sign}": given}))
            )
            equal[column.attribute] = given
        if bound.included:
            steps.append(Q(*[Q(**{name: known}) for name, known in equal.items()]))
        # Said once more of the first column alone, for the sake of its index: alternatives are looked up in none.
        column, value = order.whole[0], next(iter(equal.values()))
        reach = f"{column.attribute}__{'lte' if column.descending == bound.after else 'gte'}"
        return Q(Q(**{reach: value}), Q(*steps, join_type=Q.OR))


class Selection(Generic[M]):
    """Rows of `SELECT e.*` from a hand-written FROM and WHERE. Where the first column of the order may be absent, what
    is present and what is absent are two runs, each of which an index can answer."""

    def __init__(self, model: type[M], tables: str, where: Clause) -> None:
        self._model = model
        self._tables = tables
        self._where = where

    @property
    def kind(self) -> str:
        return self._model.__name__

    async def rows(self, order: Order, bounds: Sequence[Bound], reverse: bool, limit: int) -> list[M]:
        runs = _runs(order, bounds)
        found: list[M] = []
        for run in reversed(runs) if reverse else runs:
            if run != FALSE and len(found) < limit:
                found += await self._run(every([self._where, run]), order, reverse, limit - len(found))
        return found

    async def _run(self, where: Clause, order: Order, reverse: bool, limit: int) -> list[M]:
        ordering = (
            f"e.{column.attribute} {'DESC' if column.descending != reverse else 'ASC'}" for column in order.whole
        )
        rows = await database().fetch(
            f"SELECT e.* FROM {self._tables} WHERE {where.text} ORDER BY {', '.join(ordering)} LIMIT ?",
            *where.parameters,
            limit,
        )
        return hydrated(self._model, rows)


def _runs(order: Order, bounds: Sequence[Bound]) -> list[Clause]:
    """The rows within the bounds, absent values last."""
    first = order.whole[0]
    if not first.nullable:
        return [every(_beyond(order.whole, bound.place, bound) for bound in bounds)]
    present = [Clause(f"e.{first.attribute} IS NOT NULL")]
    absent = [Clause(f"e.{first.attribute} IS NULL")]
    for bound in bounds:
        if bound.place[0] is not None:
            present.append(_beyond(order.whole, bound.place, bound))
            absent.append(TRUE if bound.after else FALSE)
        else:
            present.append(FALSE if bound.after else TRUE)
            absent.append(_beyond(order.whole[1:], bound.place[1:], bound))
    return [every(present), every(absent)]


def _beyond(columns: Sequence[Column], place: Place, bound: Bound) -> Clause:
    """After a place, or before it. Columns in one direction are compared as one, which an index on them can look up;
    others one by one, as words are ordered letter by letter."""
    first, value = f"e.{columns[0].attribute}", place[0]
    sign = "<" if columns[0].descending == bound.after else ">"
    if len({column.descending for column in columns}) == 1:
        names = ", ".join(f"e.{column.attribute}" for column in columns)
        return Clause(f"({names}) {sign}{'=' * bound.included} ({', '.join('?' for _ in place)})", place)
    rest = _beyond(columns[1:], place[1:], bound)
    # The first bound is implied, and said for the sake of an index: alternatives are looked up in none.
    text = f"({first} {sign}= ? AND ({first} {sign} ? OR ({first} = ? AND {rest.text})))"
    return Clause(text, (value, value, value, *rest.parameters))
