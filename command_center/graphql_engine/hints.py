"""Defines what the engine needs to know about a schema and cannot read from it.

The application passes it in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Measure(Enum):
    """What determines the number of objects in a list."""

    FIXED = "the field itself"
    PAGE = "`first` or `last`"
    IDS = "the list among its own arguments"
    BATCH = "the list among the arguments of the mutation whose payload it is part of"


@dataclass(frozen=True, slots=True)
class SchemaHints:
    """Numbers and names that the cost estimate and the plans need."""

    default_page: int = 50
    """Rows of a page if neither `first` nor `last` is given."""
    max_page: int = 100
    """The largest `first` or `last`."""
    lists: Mapping[str, tuple[Measure, int]] = field(default_factory=dict)
    """For lists outside connections, by `Type.field`: the measure, and the number if that is absent or fixed."""
    reference_key: str = "reference"
    """The key of a field's metadata under which it describes the row it refers to."""
    row_types: tuple[type, ...] = ()
    """Base classes of rows, which are never awaited, even if Python could await them."""
