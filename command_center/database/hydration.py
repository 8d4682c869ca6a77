"""Rows of the database as rows of Tortoise, many at once: what of a row needs converting is worked out once for a model
and done column by column, and the rest of it is taken as it is."""

from collections.abc import Callable, Iterable
from enum import IntEnum
from functools import cache, partial
from typing import Any, TypeAlias, TypeVar

from tortoise.fields import BooleanField
from tortoise.models import Model
from tortoise.queryset import QuerySet

from command_center.database.connections import Row
from command_center.database.fields import MomentField, all_from_micros

M = TypeVar("M", bound=Model)
Convert: TypeAlias = Callable[[list[Any]], Iterable[Any]]
"""Makes the values of a column, none of which is absent, what a row has of them."""


class _Members(dict[int, IntEnum]):
    """The members of an enumeration by number. A number without one is looked up as `enum(number)` does."""

    def __init__(self, enum: type[IntEnum]) -> None:
        super().__init__({member.value: member for member in enum})
        self._enum = enum

    def __missing__(self, number: int) -> IntEnum:
        return self._enum(number)


def hydrated(model: type[M], rows: list[Row]) -> list[M]:
    """These rows, each with all columns of the model, as Tortoise would have read them. They are its own now."""
    converted, own_key = _converted(model, model._meta.default_connection)
    for name, convert in converted:
        given = [row for row in rows if row[name] is not None]
        if given:
            for row, value in zip(given, convert([row[name] for row in given]), strict=True):
                row[name] = value
    made: list[M] = []
    make, be = model.__new__, object.__setattr__
    for row in rows:
        row |= {"_partial": False, "_saved_in_db": True, "_custom_generated_pk": own_key, "_await_when_save": {}}
        instance = make(model)
        # Not attribute by attribute: nothing here has to be noticed as a change.
        be(instance, "__dict__", row)
        made.append(instance)
    return made


async def selected(query: QuerySet[M]) -> list[M]:
    """What a query for whole rows finds. Tortoise makes the statement, and would make the rows one by one."""
    query._choose_db_if_not_chosen()
    query._make_query()
    return hydrated(query.model, await query._db.execute_query_dict(*query.query.get_parameterized_sql()))


@cache
def _converted(model: type[Model], _database: str | None) -> tuple[list[tuple[str, Convert]], bool]:
    """The columns that are kept otherwise than read, and whether the key is of our own making. A process may have
    opened one kind of database after the other, and each of them knows other types."""
    meta = model._meta
    found: list[tuple[str, Convert]] = []
    for column, attribute, field in (*meta.db_native_fields, *meta.db_default_fields, *meta.db_complex_fields):
        if column != attribute:
            raise TypeError(f"{model.__name__}.{attribute} has a column of another name")
        enum = getattr(field, "enum_type", None)
        if isinstance(field, BooleanField):
            found.append((column, partial(map, bool)))
        elif isinstance(field, MomentField):
            found.append((column, all_from_micros))
        elif enum is not None and issubclass(enum, IntEnum):
            found.append((column, partial(map, _Members(enum).__getitem__)))
        elif (column, attribute, field) not in meta.db_native_fields:
            found.append((column, partial(map, field.to_python_value)))
    return found, meta.db_pk_column not in meta.generated_db_fields
