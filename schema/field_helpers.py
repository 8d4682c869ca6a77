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
Asked: TypeAlias = strawberry.Info[Context, None]
UNSET: Any = strawberry.UNSET


def said(description: str) -> Any:
    """What an argument means, as its part of an Annotated type."""
    return strawberry.argument(description=description)


First = Annotated[int | None, said("How many from the start of what `after` leaves; at most 200.")]
After = Annotated[str | None, said("A cursor: only what comes after it.")]
Last = Annotated[int | None, said("How many from the end of what `before` leaves; at most 200.")]
Before = Annotated[str | None, said("A cursor: only what comes before it.")]
FromCursor = Annotated[ChangeCursor | None, said("Where to go on: the cursor of the last frame, or an `asOf`.")]
Id = Annotated[strawberry.ID, said("An id as it was received. What is not the viewer's to see counts as absent.")]
Ids = Annotated[
    list[strawberry.ID], said("Ids as they were received. Each refused one is named by its place, the others are done.")
]
ViewAs = Annotated[strawberry.ID | None, said("The user whose mail is meant; absent, the viewer.")]


def answer(rows: object) -> T:  # type: ignore[type-var]
    """The resolver's answer, or the awaitable of it, as the type of the field."""
    return cast(T, rows)


def pointing(pointer: Pointer, description: str) -> Any:
    """A field that is the row which its own points at."""

    def follow(self: Any, info: Asked):  # type: ignore[no-untyped-def]
        return pointer.follow(info.context, self)

    return strawberry.field(resolver=follow, description=description, metadata={NAME: pointer})


def given(value: T) -> T | None:
    """An argument's value; None where it is absent or null, which are the same."""
    return None if value is UNSET else value


def paging(first: Any, after: Any, last: Any, before: Any) -> Arguments:
    """The four arguments of every connection."""
    return Arguments(*(cast(Any, given(value)) for value in (first, after, last, before)))
