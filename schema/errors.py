"""Mistakes of meaning, as plain values beside the result."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import strawberry

from command_center import errors
from command_center.errors import UserErrors
from schema.enums import UserErrorCode

P = TypeVar("P")


@strawberry.interface(name="UserError", description="A mistake in the input, with its place.")
class UserErrorInterface:
    message: str = strawberry.field(description="A sentence for people.")
    path: list[str] = strawberry.field(description="The place in the arguments.")
    code: UserErrorCode = strawberry.field(description="The kind of mistake, for programs.")


@strawberry.type(description="A mistake in the input.")
class InputError(UserErrorInterface):
    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, errors.UserError)


@strawberry.type(description="Something to know about a text that was saved: what will not leave as it was written.")
class Notice:
    path: list[str] = strawberry.field(description="The argument with the text.")
    message: str = strawberry.field(description="A sentence for people.")


async def run_action(payload: Callable[..., P], name: str, action: Awaitable[Any], nothing: Any = None) -> P:
    """The payload of a deed; of a refused one the reasons, and `nothing` in the place of the result."""
    try:
        return payload(**{name: await action}, user_errors=[])
    except UserErrors as exc:
        return payload(**{name: nothing}, user_errors=list(exc.problems))


async def run_action_with_notices(payload: Callable[..., P], name: str, action: Awaitable[tuple[Any, Any]]) -> P:
    """As `attempt`, of a deed that returns its result and its notices."""
    try:
        result, notices = await action
    except UserErrors as exc:
        return payload(**{name: None}, notices=[], user_errors=list(exc.problems))
    return payload(**{name: result}, notices=notices, user_errors=[])
