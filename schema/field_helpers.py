"""Provides what all fields of the schema share: argument types, and casts from rows to types.

Resolvers return database rows unchanged; the schema's types only declare which attributes are exposed. The type checker
cannot see that a row fits a type, so `as_field_type` casts it.
"""

from typing import Annotated, Any, TypeAlias, TypeVar, cast

import strawberry

from resolvers.context import Context
from resolvers.pagination import Arguments
from resolvers.references import REFERENCE_METADATA_KEY, Reference
from schema.scalars import ChangeCursor

T = TypeVar("T")
Info: TypeAlias = strawberry.Info[Context, None]
UNSET: Any = strawberry.UNSET


def described(description: str) -> Any:
    """Return an argument's description, for use in an Annotated type."""
    return strawberry.argument(description=description)


First = Annotated[int | None, described("How many items to return from the start, or from `after` on; at most 200.")]
After = Annotated[str | None, described("A cursor; only items after it are returned.")]
Last = Annotated[int | None, described("How many items to return from the end, or back from `before`; at most 200.")]
Before = Annotated[str | None, described("A cursor; only items before it are returned.")]
FromCursor = Annotated[
    ChangeCursor | None, described("Where to resume: the cursor of the last change message, or an `asOf`.")
]
Id = Annotated[
    strawberry.ID,
    described("An id exactly as it was received. An object that the viewer may not see counts as absent."),
]
Ids = Annotated[
    list[strawberry.ID],
    described(
        "Ids exactly as they were received. Each rejected id is reported with its index; the others are processed."
    ),
]
ViewAs = Annotated[strawberry.ID | None, described("The user whose mail to show; if absent, the viewer.")]


def as_field_type(rows: object) -> T:  # type: ignore[type-var]
    """Cast a resolver's result, or an awaitable of it, to the type of the field."""
    return cast(T, rows)


def reference_field(reference: Reference[Any], description: str) -> Any:
    """Return a field whose value is the row that a foreign key of the parent row names."""

    def load(self: Any, info: Info):  # type: ignore[no-untyped-def]
        return reference.load(info.context, self)

    return strawberry.field(resolver=load, description=description, metadata={REFERENCE_METADATA_KEY: reference})


def value_or_none(value: T) -> T | None:
    """Return an argument's value, or None if it is absent or null."""
    return None if value is UNSET else value


def paging(first: Any, after: Any, last: Any, before: Any) -> Arguments:
    """Return the four arguments of a connection, not checked yet."""
    return Arguments(*(cast(Any, value_or_none(value)) for value in (first, after, last, before)))
