"""Describes fields whose value is the row that a foreign key of the parent row names.

The GraphQL engine finds these descriptions in the fields' metadata. It can therefore prefetch the rows for a whole list
in one statement before it resolves the first of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from tortoise.models import Model

from resolvers.context import Context

POINTER_METADATA_KEY = "pointer"
"""The key of the `Pointer` in a field's metadata."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """A reference from rows with a foreign key, the attribute, to rows of a model."""

    model: type[Model]
    attribute: str

    def follow(self, context: Context, row: Any) -> Any:
        """Return the referenced row or None, or an awaitable of that if it was not prefetched."""
        return context.loaders.loaded(self.model, getattr(row, self.attribute))

    def follow_all(self, context: Context, rows: Iterable[Any]) -> list[Any] | None:
        """Return the referenced rows of these rows, or None unless all of them were prefetched."""
        return context.loaders.all_loaded(self.model, map(attrgetter(self.attribute), rows))

    async def load(self, context: Context, rows: Iterable[Any]) -> None:
        """Prefetch the referenced rows of these rows."""
        await context.loaders.prefetch(self.model, [getattr(row, self.attribute) for row in rows])
