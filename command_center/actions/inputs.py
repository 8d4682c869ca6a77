"""Checks of single input values, shared by all actions.

Each check returns the value as it is to be stored, and adds an error at `path` if it is invalid. `what` begins the
error's message and names the value. `longest` is a number of characters.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from command_center.email_addresses import MAX_ADDRESS_CHARACTERS, InvalidAddress, normalize_address
from command_center.errors import ErrorCollector, InputPath, UserError, user_error
from models.enums import UserErrorCode

MAX_NAME_CHARACTERS = 200
"""The most characters in a name and in other short lines."""
MAX_SUBJECT_CHARACTERS = 998
"""The most characters in a subject."""
MAX_BODY_CHARACTERS = 500_000
"""The most characters in a body."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f]")


class Unset(Enum):
    """The type of the value of an absent argument.

    It is an enum, so that type checkers understand a comparison by `is`.
    """

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""The value of an argument that is absent, as opposed to null."""


@dataclass(frozen=True, slots=True)
class BulkResult:
    """The result of a bulk action.

    `keys` are those of the affected rows, in request order. The other rows have errors.
    """

    keys: tuple[int, ...]
    errors: tuple[UserError, ...]


def check_event_count(number: int, most: int, path: InputPath) -> None:
    """Check the number of events in one request.

    Raises: UserErrors (LIMIT_REACHED) if `number` exceeds `most`.
    """
    if number > most:
        message = f"One request takes at most {most} events, not {number}."
        raise user_error(UserErrorCode.LIMIT_REACHED, path, message)


def has_lone_surrogate(text: str) -> bool:
    """Return whether a text contains a lone surrogate.

    JSON can encode one, but no database can store it.
    """
    return _LONE_SURROGATE.search(text) is not None


def check_line(
    errors: ErrorCollector, value: str, path: InputPath, what: str, longest: int = MAX_NAME_CHARACTERS
) -> str:
    """Check a required single line of text.

    Returns it without surrounding white space.
    """
    text = value.strip()
    if not text:
        errors.add(UserErrorCode.BLANK, path, f"{what} must not be blank.")
    elif len(text) > longest:
        errors.add(UserErrorCode.TOO_LONG, path, f"{what} may have at most {longest} characters, not {len(text)}.")
    elif _CONTROL_CHARACTER.search(text):
        errors.add(UserErrorCode.INVALID, path, f"{what} must be one line without control characters.")
    elif has_lone_surrogate(text):
        errors.add(UserErrorCode.INVALID, path, f"{what} holds half of a character.")
    return text


def check_optional_line(
    errors: ErrorCollector, value: str | None, path: InputPath, what: str, longest: int = MAX_NAME_CHARACTERS
) -> str | None:
    """Check a line as `check_line` does, but return None if it is absent or blank."""
    return check_line(errors, value, path, what, longest) if value is not None and value.strip() else None


def check_text(
    errors: ErrorCollector, value: str, path: InputPath, what: str, longest: int = MAX_BODY_CHARACTERS
) -> str:
    """Check free text, which may be empty and have several lines."""
    if len(value) > longest:
        errors.add(UserErrorCode.TOO_LONG, path, f"{what} may have at most {longest} characters, not {len(value)}.")
    elif "\x00" in value:
        errors.add(UserErrorCode.INVALID, path, f"{what} must not hold a NUL character.")
    elif has_lone_surrogate(value):
        errors.add(UserErrorCode.INVALID, path, f"{what} holds half of a character.")
    return value


def check_address(errors: ErrorCollector, value: str, path: InputPath) -> str:
    """Check an email address, and return it as it is stored; see `email_addresses`."""
    text = value.strip()
    if not text:
        errors.add(UserErrorCode.BLANK, path, "An address must not be blank.")
    elif len(text) > MAX_ADDRESS_CHARACTERS:
        message = f"An address may have at most {MAX_ADDRESS_CHARACTERS} characters."
        errors.add(UserErrorCode.TOO_LONG, path, message)
    elif has_lone_surrogate(text):
        errors.add(UserErrorCode.INVALID, path, "An address looks like name@example.com.")
    else:
        try:
            return normalize_address(text)
        except InvalidAddress as exc:
            errors.add(UserErrorCode.INVALID, path, str(exc))
    return text


def check_addresses(errors: ErrorCollector, values: Iterable[str], path: InputPath) -> list[str]:
    """Check a list of email addresses.

    The path of an error ends with the position in the list.
    """
    return [check_address(errors, value, (*path, str(index))) for index, value in enumerate(values)]
