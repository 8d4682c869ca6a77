"""What we refuse, and why: raised by any room, turned into `userErrors` or coded errors in one place."""

from collections.abc import Iterable
from dataclasses import dataclass

from models.enums import UserErrorCode


@dataclass(frozen=True, slots=True)
class UserError:
    """One mistake: a sentence for people, the place in the input, and a code for programs."""

    message: str
    path: tuple[str, ...]
    code: UserErrorCode


class UserErrors(Exception):
    """An expected refusal: nothing was changed, and these are all the reasons."""

    def __init__(self, problems: Iterable[UserError]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{'.'.join(p.path)}: {p.message}" for p in self.problems))


def user_error(code: UserErrorCode, path: Iterable[str], message: str) -> UserErrors:
    """A refusal with a single reason."""
    return UserErrors([UserError(message, tuple(path), code)])


def not_found(path: Iterable[str], noun: str) -> UserErrors:
    """The answer for what is absent and for what is not the viewer's to see: the same one."""
    return user_error(UserErrorCode.NOT_FOUND, path, f"There is no such {noun}.")
