"""Fields whose value is the row that another points at by its key. Declared as what they are, so that those of a whole
list can be loaded in one statement before the first of them is asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from tortoise.models import Model

from resolvers.context import Context

NAME = "pointer"
"""Under which a field's metadata has it."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """From rows with this attribute to rows of the model."""

    model: type[Model]
    attribute: str

    def follow(self, context: Context, row: Any) -> Any:
        """The row, or None; or an awaitable of that where it has not been loaded ahead."""
        return context.loaders.near(self.model, getattr(row, self.attribute))

    def together(self, context: Context, rows: Iterable[Any]) -> list[Any] | None:
        """What each of these rows points at, if all of it has been loaded ahead."""
        return context.loaders.all_near(self.model, map(attrgetter(self.attribute), rows))

    async def load(self, context: Context, rows: Iterable[Any]) -> None:
        """What all these rows point at."""
        await context.loaders.ahead(self.model, [getattr(row, self.attribute) for row in rows])
