"""Describes fields whose value is the row that a foreign key names.

The GraphQL engine finds these descriptions in the fields' metadata. It can therefore prefetch the rows for a whole list
in one statement before it resolves the first of them.
"""

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, TypeVar

from tortoise.models import Model

from resolvers.context import Context

REFERENCE_METADATA_KEY = "reference"
"""The key of the `Reference` in a field's metadata."""
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Reference(Generic[M]):
    """A reference from rows with a foreign key, the attribute, to rows of a model."""

    model: type[M]
    attribute: str

    def load(self, context: Context, row: object) -> M | Awaitable[M | None] | None:
        """Return the row to which `row` refers, or None if there is none.

        If it was not prefetched, return an awaitable of this result.
        """
        return context.loaders.get_or_load_row(self.model, getattr(row, self.attribute))

    def get_prefetched(self, context: Context, rows: Iterable[object]) -> list[M | None] | None:
        """Return the row to which each of `rows` refers, if all were prefetched.

        Otherwise return None.
        """
        return context.loaders.get_prefetched_rows(self.model, map(attrgetter(self.attribute), rows))

    async def prefetch(self, context: Context, rows: Iterable[object]) -> None:
        """Load the rows to which `rows` refer together, before fields need them."""
        await context.loaders.prefetch(self.model, [getattr(row, self.attribute) for row in rows])
