"""Loads the rows that list items refer to, for all items together.

This happens as soon as the list is resolved. From outside it looks as if the list's resolver took slightly longer. The
fields then find their rows loaded.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from operator import attrgetter

from graphql import GraphQLObjectType

from command_center.graphql_engine.plans import PlannedField, Prefetches, SelectionPlan
from command_center.graphql_engine.type_plans import Read, RowReference

SelectFields = Callable[[GraphQLObjectType, PlannedField], SelectionPlan]
Reads = tuple[Read, ...]
"""Attribute reads, one after the other, that lead from a field's value to a nested one."""


def find_prefetches(field: PlannedField, select: SelectFields) -> Prefetches:
    """Return the references to rows that can be loaded once a field's value is known.

    Each comes with the attributes to read, one after the other, from the field's value to the rows that refer.
    """
    return tuple(_find_prefetches(field, select, ()))


def _find_prefetches(field: PlannedField, select: SelectFields, reads: Reads) -> Iterator[tuple[Reads, RowReference]]:
    type_ = (field.type_plan.item or field.type_plan).object_type
    for _, _, _, below in select(type_, field).fields if type_ is not None else ():
        if below.reference is not None:
            yield reads, below.reference
        elif isinstance(below.read, attrgetter):
            yield from _find_prefetches(below, select, (*reads, below.read))


async def load_references(prefetches: Prefetches, context: object, value: object) -> None:
    """Load the rows to which a field's value refers, directly or through attributes.

    Errors are ignored, because the fields load for themselves what is missing.
    """
    with suppress(Exception):
        loads = [reference.prefetch(context, _follow_reads([value], reads)) for reads, reference in prefetches]
        await (loads[0] if len(loads) == 1 else asyncio.gather(*loads))


def _follow_reads(values: Sequence[object], reads: Reads) -> list[object]:
    reached = _flatten(values)
    for read in reads:
        reached = _flatten([read(value) for value in reached])
    return reached


def _flatten(values: Sequence[object]) -> list[object]:
    lists = (
        value if type(value) is list or type(value) is tuple else (value,) for value in values if value is not None
    )
    return list(chain.from_iterable(lists))
