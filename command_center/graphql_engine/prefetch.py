"""Loads the rows that list items refer to, for all items together.

This happens as soon as the list is resolved. From outside it looks as if the list's resolver took slightly longer. The
fields then find their rows loaded.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import Any

from graphql import GraphQLObjectType

from command_center.graphql_engine.plans import PlannedField, Prefetches, Selection
from command_center.graphql_engine.type_plans import Kind, Read, RowReference

SelectFields = Callable[[GraphQLObjectType, PlannedField], Selection | None]
Reads = tuple[Read, ...]
"""Attribute reads, one after the other, that lead from a field's value to a nested one."""


def find_prefetches(field: PlannedField, select: SelectFields) -> Prefetches:
    """Return the references that attribute reads can reach from a field's value.

    Each comes with those reads.
    """
    return tuple(_find_prefetches(field, select, ()))


def _find_prefetches(field: PlannedField, select: SelectFields, reads: Reads) -> Iterator[tuple[Reads, RowReference]]:
    shape = field.type_plan.item or field.type_plan
    selection = select(shape.type, field) if shape.kind is Kind.OBJECT else None
    for _, _, _, below in selection.fields if selection is not None else ():
        if below.reference is not None:
            yield reads, below.reference
        elif isinstance(below.read, attrgetter):
            yield from _find_prefetches(below, select, (*reads, below.read))


async def prefetch(prefetches: Prefetches, context: Any, value: Any) -> None:
    """Load the references.

    Errors are ignored, because the fields load for themselves what is missing.
    """
    with suppress(Exception):
        loads = [reference.prefetch(context, _follow_reads([value], reads)) for reads, reference in prefetches]
        await (loads[0] if len(loads) == 1 else asyncio.gather(*loads))


def _follow_reads(values: Sequence[Any], reads: Reads) -> list[Any]:
    reached = _flatten(values)
    for read in reads:
        reached = _flatten([read(value) for value in reached])
    return reached


def _flatten(values: Sequence[Any]) -> list[Any]:
    lists = (value if type(value) in (list, tuple) else (value,) for value in values if value is not None)
    return list(chain.from_iterable(lists))
