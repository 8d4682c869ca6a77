"""Where the schema's types meet the rows: resolvers return rows as they are, and a type only says what of them is shown.

`Asked` is the info of a field; `answer` vouches that a resolver's rows are what the field's type describes.
"""

from typing import Any, TypeAlias, TypeVar, cast

import strawberry

from resolvers.context import Context
from resolvers.pages import Arguments

T = TypeVar("T")
Asked: TypeAlias = strawberry.Info[Context, None]
UNSET: Any = strawberry.UNSET


def answer(rows: object) -> T:  # type: ignore[type-var]
    """The resolver's answer, or the awaitable of it, as the type of the field."""
    return cast(T, rows)


def given(value: T) -> T | None:
    """An argument's value; None where it is absent or null, which are the same."""
    return None if value is UNSET else value


def paging(first: Any, after: Any, last: Any, before: Any) -> Arguments:
    """The four arguments of every connection."""
    return Arguments(*(cast(Any, given(value)) for value in (first, after, last, before)))
