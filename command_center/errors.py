"""Expected errors, which the API returns in `userErrors`.

Each package may raise them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from models.enums import UserErrorCode

InputPath: TypeAlias = tuple[str, ...]
"""The path of an argument within the input, with list positions as numbers in text form."""


@dataclass(frozen=True, slots=True)
class UserError:
    """An error for the client: a message for people, an input path and a code."""

    message: str
    path: InputPath
    code: UserErrorCode


class UserErrors(Exception):
    """Raised if a request is refused with one or more errors. Nothing was changed."""

    def __init__(self, errors: Iterable[UserError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{'.'.join(error.path)}: {error.message}" for error in self.errors))


class ErrorCollector:
    """Collects the errors of one request, so that the client gets all together.

    `prefix` comes before the path of each error. It is for checks that do not know their position in the input.
    """

    __slots__ = ("_errors", "_prefix")

    def __init__(self, prefix: InputPath = ()) -> None:
        self._prefix = prefix
        self._errors: list[UserError] = []

    def __len__(self) -> int:
        return len(self._errors)

    def __iter__(self) -> Iterator[UserError]:
        return iter(self._errors)

    def add(self, code: UserErrorCode, path: Iterable[str], message: str) -> None:
        """Add an error."""
        self._errors.append(UserError(message, (*self._prefix, *path), code))

    def extend(self, errors: Iterable[UserError]) -> None:
        """Add errors whose paths are complete."""
        self._errors.extend(errors)

    def raise_any(self) -> None:
        """Raise UserErrors if there are any errors."""
        if self._errors:
            raise UserErrors(self._errors)


def user_error(code: UserErrorCode, path: Iterable[str], message: str) -> UserErrors:
    """Return UserErrors with a single error."""
    return UserErrors([UserError(message, tuple(path), code)])


def not_found(path: Iterable[str], noun: str) -> UserErrors:
    """Return the error for an object that does not exist or is not visible.

    Both cases have the same error, so that a viewer cannot tell them apart.
    """
    return user_error(UserErrorCode.NOT_FOUND, path, f"There is no such {noun}.")
