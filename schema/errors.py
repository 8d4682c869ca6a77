"""Defines user errors and notices, and returns them beside an action's result.

Validation errors are values in a payload's `userErrors`, not GraphQL errors.
"""

from collections.abc import Awaitable
from typing import TypeVar

import strawberry

from command_center.actions.bodies import BodyNotice
from command_center.errors import UserError, UserErrors
from schema.enums import UserErrorCode
from schema.field_helpers import publishes

T = TypeVar("T")


@strawberry.interface(name="UserError", description="An error in the input, with its location.")
class UserErrorInterface:
    message: str = strawberry.field(description="The error as a sentence for people.")
    path: list[str] = strawberry.field(description="The location in the arguments.")
    code: UserErrorCode = strawberry.field(description="The kind of error, for programs.")


@publishes(UserError, "An error in the arguments of a mutation.", "InputError")
class InputErrorType(UserErrorInterface):
    pass


@publishes(BodyNotice, "A warning about a saved text: something in it will not be sent as it was written.", "Notice")
class NoticeType:
    path: list[str] = strawberry.field(description="The argument that contains the text.")
    message: str = strawberry.field(description="The warning as a sentence for people.")


async def run_action(action: Awaitable[T]) -> tuple[T | None, list[UserError]]:
    """Await an action and return its result with its errors.

    If the action raises UserErrors, the result is None.
    """
    try:
        return await action, []
    except UserErrors as exc:
        return None, list(exc.errors)


async def run_action_with_notices(
    action: Awaitable[tuple[T, list[BodyNotice]]],
) -> tuple[T | None, list[BodyNotice], list[UserError]]:
    """Await an action and return its result, its notices and its errors.

    If the action raises UserErrors, the result is None and there are no notices.
    """
    result, errors = await run_action(action)
    return (None, [], errors) if result is None else (*result, errors)
