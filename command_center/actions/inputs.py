"""Validation of single input values, shared by all actions.

Each check adds its errors to an `ErrorCollector`, so that the client gets all validation errors together.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from command_center.email_addresses import MAX_ADDRESS_CHARACTERS, InvalidAddress, normalize_address
from command_center.errors import UserError, UserErrors, user_error
from models.enums import UserErrorCode

Path = tuple[str, ...]
"""The path of an argument within the input, with list positions as numbers in text form."""
UNSET: Any = object()
"""Stands for an argument that is absent, as opposed to null."""
MAX_NAME_CHARACTERS = 200
"""The most characters in a name and in other short lines."""
MAX_SUBJECT_CHARACTERS = 998
"""The most characters in a subject."""
MAX_BODY_CHARACTERS = 500_000
"""The most characters in a body."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class BulkResult:
    """The result of a bulk action: the keys of the affected rows, in request order, and the errors of the others."""

    keys: tuple[int, ...]
    problems: tuple[UserError, ...]


def check_event_count(number: int, most: int, path: Path) -> None:
    """Check the number of events in one request.

    Raises: UserErrors (LIMIT_REACHED) if `number` exceeds `most`.
    """
    if number > most:
        message = f"One request takes at most {most} events, not {number}."
        raise user_error(UserErrorCode.LIMIT_REACHED, path, message)


def has_lone_surrogate(text: str) -> bool:
    """Return whether a text contains a lone surrogate. JSON can encode one, but no database can store it."""
    return _LONE_SURROGATE.search(text) is not None


class ErrorCollector:
    """Collects the validation errors of one request.

    The checking methods return the value as it is to be stored, and add an error at `path` if it is invalid. `what`
    begins the error's message and names the value. `longest` is a number of characters.
    """

    def __init__(self) -> None:
        self.problems: list[UserError] = []

    def add(self, code: UserErrorCode, path: Iterable[str], message: str) -> None:
        """Add an error."""
        self.problems.append(UserError(message, tuple(path), code))

    def raise_any(self) -> None:
        """Raise UserErrors if there are any errors."""
        if self.problems:
            raise UserErrors(self.problems)

    def line(self, value: str, path: Path, what: str, longest: int = MAX_NAME_CHARACTERS) -> str:
        """Check a required single line of text, and return it without surrounding white space."""
        text = value.strip()
        if not text:
            self.add(UserErrorCode.BLANK, path, f"{what} must not be blank.")
        elif len(text) > longest:
            self.add(UserErrorCode.TOO_LONG, path, f"{what} may have at most {longest} characters, not {len(text)}.")
        elif _CONTROL_CHARACTER.search(text):
            self.add(UserErrorCode.INVALID, path, f"{what} must be one line without control characters.")
        elif has_lone_surrogate(text):
            self.add(UserErrorCode.INVALID, path, f"{what} holds half of a character.")
        return text

    def optional_line(self, value: str | None, path: Path, what: str, longest: int = MAX_NAME_CHARACTERS) -> str | None:
        """Check a line as `line` does, but return None if it is absent or blank."""
        return self.line(value, path, what, longest) if value is not None and value.strip() else None

    def text(self, value: str, path: Path, what: str, longest: int = MAX_BODY_CHARACTERS) -> str:
        """Check free text, which may be empty and have several lines."""
        if len(value) > longest:
            self.add(UserErrorCode.TOO_LONG, path, f"{what} may have at most {longest} characters, not {len(value)}.")
        elif "\x00" in value:
            self.add(UserErrorCode.INVALID, path, f"{what} must not hold a NUL character.")
        elif has_lone_surrogate(value):
            self.add(UserErrorCode.INVALID, path, f"{what} holds half of a character.")
        return value

    def address(self, value: str, path: Path) -> str:
        """Check an email address, and return it as it is stored; see `email_addresses`."""
        text = value.strip()
        if not text:
            self.add(UserErrorCode.BLANK, path, "An address must not be blank.")
        elif len(text) > MAX_ADDRESS_CHARACTERS:
            message = f"An address may have at most {MAX_ADDRESS_CHARACTERS} characters."
            self.add(UserErrorCode.TOO_LONG, path, message)
        elif has_lone_surrogate(text):
            self.add(UserErrorCode.INVALID, path, "An address looks like name@example.com.")
        else:
            try:
                return normalize_address(text)
            except InvalidAddress as exc:
                self.add(UserErrorCode.INVALID, path, str(exc))
        return text

    def addresses(self, values: Iterable[str], path: Path) -> list[str]:
        """Check a list of email addresses. The path of an error ends with the position in the list."""
        return [self.address(value, (*path, str(index))) for index, value in enumerate(values)]
