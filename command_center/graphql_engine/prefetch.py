"""What the fields of a list point at is loaded for all of it at once, as soon as the list is there.

For whoever looks on, the list's own resolver took a little longer, and the fields then found their rows loaded.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import Any

from graphql import GraphQLObjectType

from command_center.graphql_engine.plans import Field, Selection, Wanted
from command_center.graphql_engine.type_plans import Kind, Pointer, Read

Select = Callable[[GraphQLObjectType, Field], Selection | None]
Way = tuple[Read, ...]


def wanted(field: Field, select: Select) -> Wanted:
    """The pointers that can be reached from a field's value by reading attributes alone, and how."""
    return tuple(_wanted(field, select, ()))


def _wanted(field: Field, select: Select, way: Way) -> Iterator[tuple[Way, Pointer]]:
    shape = field.shape.item or field.shape
    selection = select(shape.type, field) if shape.kind is Kind.OBJECT else None
    for _, _, _, below in selection.fields if selection is not None else ():
        if below.pointer is not None:
            yield way, below.pointer
        elif isinstance(below.read, attrgetter):
            yield from _wanted(below, select, (*way, below.read))


async def prefetch(wanted: Wanted, context: Any, value: Any) -> None:
    """Whatever goes wrong here is left to the fields, which then ask for themselves."""
    with suppress(Exception):
        loads = [pointer.load(context, _reached([value], way)) for way, pointer in wanted]
        await (loads[0] if len(loads) == 1 else asyncio.gather(*loads))


def _reached(values: Sequence[Any], way: Way) -> list[Any]:
    found = _flat(values)
    for read in way:
        found = _flat([read(value) for value in found])
    return found


def _flat(values: Sequence[Any]) -> list[Any]:
    lists = (value if type(value) in (list, tuple) else (value,) for value in values if value is not None)
    return list(chain.from_iterable(lists))
