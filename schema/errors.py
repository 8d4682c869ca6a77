"""Defines user errors and notices, and turns an action's outcome into a payload.

Validation errors are values in a payload's `userErrors`, not GraphQL errors.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import strawberry

from command_center import errors
from command_center.errors import UserErrors
from schema.enums import UserErrorCode

P = TypeVar("P")


@strawberry.interface(name="UserError", description="An error in the input, with its location.")
class UserErrorInterface:
    message: str = strawberry.field(description="The error as a sentence for people.")
    path: list[str] = strawberry.field(description="The location in the arguments.")
    code: UserErrorCode = strawberry.field(description="The kind of error, for programs.")


@strawberry.type(description="An error in the arguments of a mutation.")
class InputError(UserErrorInterface):
    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, errors.UserError)


@strawberry.type(description="A warning about a saved text: something in it will not be sent as it was written.")
class Notice:
    path: list[str] = strawberry.field(description="The argument that contains the text.")
    message: str = strawberry.field(description="The warning as a sentence for people.")


async def run_action(payload: Callable[..., P], name: str, action: Awaitable[Any], nothing: Any = None) -> P:
    """Await an action and return its payload, with its result in the field `name`.

    If the action raises UserErrors, the payload has these errors, and `nothing` in the field.
    """
    try:
        return payload(**{name: await action}, user_errors=[])
    except UserErrors as exc:
        return payload(**{name: nothing}, user_errors=list(exc.errors))


async def run_action_with_notices(payload: Callable[..., P], name: str, action: Awaitable[tuple[Any, Any]]) -> P:
    """Do the same as `run_action` for an action that returns its result and its notices."""
    try:
        result, notices = await action
    except UserErrors as exc:
        return payload(**{name: None}, notices=[], user_errors=list(exc.errors))
    return payload(**{name: result}, notices=notices, user_errors=[])
