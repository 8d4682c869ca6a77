"""Expected errors, which the API returns in `userErrors`. Each package may raise them."""

from collections.abc import Iterable
from dataclasses import dataclass

from models.enums import UserErrorCode


@dataclass(frozen=True, slots=True)
class UserError:
    """One error: a sentence for people, the path in the input, and a code for programs."""

    message: str
    path: tuple[str, ...]
    code: UserErrorCode


class UserErrors(Exception):
    """The request was refused: nothing was changed, and these are all the reasons."""

    def __init__(self, errors: Iterable[UserError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{'.'.join(p.path)}: {p.message}" for p in self.errors))


def user_error(code: UserErrorCode, path: Iterable[str], message: str) -> UserErrors:
    """Return UserErrors with a single error."""
    return UserErrors([UserError(message, tuple(path), code)])


def not_found(path: Iterable[str], noun: str) -> UserErrors:
    """Return the error for an object that does not exist or that the viewer may not see. Both get the same error."""
    return user_error(UserErrorCode.NOT_FOUND, path, f"There is no such {noun}.")
