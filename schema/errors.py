"""Mistakes of meaning, as plain values beside the result."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import strawberry

from command_center.errors import Problem, Refused
from schema.enums import UserErrorCode

P = TypeVar("P")


@strawberry.interface(description="A mistake in the input, with its place.")
class UserError:
    message: str = strawberry.field(description="A sentence for people.")
    path: list[str] = strawberry.field(description="The place in the arguments.")
    code: UserErrorCode = strawberry.field(description="The kind of mistake, for programs.")


@strawberry.type(description="A mistake in the input.")
class InputError(UserError):
    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, Problem)


@strawberry.type(description="Something to know about a text that was saved: what will not leave as it was written.")
class Notice:
    path: list[str] = strawberry.field(description="The argument with the text.")
    message: str = strawberry.field(description="A sentence for people.")


async def attempt(payload: Callable[..., P], name: str, deed: Awaitable[Any], nothing: Any = None) -> P:
    """The payload of a deed; of a refused one the reasons, and `nothing` in the place of the result."""
    try:
        return payload(**{name: await deed}, user_errors=[])
    except Refused as exc:
        return payload(**{name: nothing}, user_errors=list(exc.problems))


async def attempt_with_notices(payload: Callable[..., P], name: str, deed: Awaitable[tuple[Any, Any]]) -> P:
    """As `attempt`, of a deed that returns its result and its notices."""
    try:
        result, notices = await deed
    except Refused as exc:
        return payload(**{name: None}, notices=[], user_errors=list(exc.problems))
    return payload(**{name: result}, notices=notices, user_errors=[])
