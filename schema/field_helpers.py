"""Where the schema's types meet the rows: resolvers return rows as they are, a type only says what of them is shown.

`Asked` is the info of a field; `answer` vouches that a resolver's rows are what the field's type describes.
"""

from typing import Annotated, Any, TypeAlias, TypeVar, cast

import strawberry

from resolvers.context import Context
from resolvers.pagination import Arguments
from resolvers.references import NAME, Pointer
from schema.scalars import ChangeCursor

T = TypeVar("T")
Info: TypeAlias = strawberry.Info[Context, None]
UNSET: Any = strawberry.UNSET


def described(description: str) -> Any:
    """What an argument means, as its part of an Annotated type."""
    return strawberry.argument(description=description)


First = Annotated[int | None, described("How many from the start of what `after` leaves; at most 200.")]
After = Annotated[str | None, described("A cursor: only what comes after it.")]
Last = Annotated[int | None, described("How many from the end of what `before` leaves; at most 200.")]
Before = Annotated[str | None, described("A cursor: only what comes before it.")]
FromCursor = Annotated[ChangeCursor | None, described("Where to go on: the cursor of the last frame, or an `asOf`.")]
Id = Annotated[strawberry.ID, described("An id as it was received. What is not the viewer's to see counts as absent.")]
Ids = Annotated[
    list[strawberry.ID],
    described("Ids as they were received. Each refused one is named by its place, the others are done."),
]
ViewAs = Annotated[strawberry.ID | None, described("The user whose mail is meant; absent, the viewer.")]


def as_field_type(rows: object) -> T:  # type: ignore[type-var]
    """The resolver's answer, or the awaitable of it, as the type of the field."""
    return cast(T, rows)


def reference_field(pointer: Pointer, description: str) -> Any:
    """A field that is the row which its own points at."""

    def follow(self: Any, info: Info):  # type: ignore[no-untyped-def]
        return pointer.follow(info.context, self)

    return strawberry.field(resolver=follow, description=description, metadata={NAME: pointer})


def value_or_none(value: T) -> T | None:
    """An argument's value; None where it is absent or null, which are the same."""
    return None if value is UNSET else value


def paging(first: Any, after: Any, last: Any, before: Any) -> Arguments:
    """The four arguments of every connection."""
    return Arguments(*(cast(Any, value_or_none(value)) for value in (first, after, last, before)))
