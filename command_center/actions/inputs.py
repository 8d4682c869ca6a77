"""Checks of single values that several nouns share. Each adds what is wrong to a list, so that all is said at once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from command_center.email_addresses import MAX_ADDRESS_CHARACTERS, InvalidAddress, normalize_address
from command_center.errors import UserError, UserErrors, user_error
from models.enums import UserErrorCode

Path = tuple[str, ...]
UNSET: Any = object()
"""A value that was not given at all, as opposed to null."""
NAME = 200
SUBJECT = 998
BODY = 500_000
_HALF = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What a bulk did: the keys of the rows, in the order asked, and each refusal."""

    keys: tuple[int, ...]
    problems: tuple[UserError, ...]


def few_enough(number: int, most: int, path: Path) -> None:
    """Raises Refused where one request names more events than it may."""
    if number > most:
        message = f"One request takes at most {most} events, not {number}."
        raise user_error(UserErrorCode.LIMIT_REACHED, path, message)


def broken(text: str) -> bool:
    """Whether there is a lone surrogate in it: JSON can say one, and no database can keep it."""
    return _HALF.search(text) is not None


class ErrorCollector:
    """What was found wrong so far."""

    def __init__(self) -> None:
        self.problems: list[UserError] = []

    def add(self, code: UserErrorCode, path: Iterable[str], message: str) -> None:
        self.problems.append(UserError(message, tuple(path), code))

    def raise_any(self) -> None:
        """Raises Refused where there is anything."""
        if self.problems:
            raise UserErrors(self.problems)

    def line(self, value: str, path: Path, what: str, longest: int = NAME) -> str:
        """One line of text that must be there; white space around it does not count."""
        text = value.strip()
        if not text:
            self.add(UserErrorCode.BLANK, path, f"{what} must not be blank.")
        elif len(text) > longest:
            self.add(UserErrorCode.TOO_LONG, path, f"{what} may have at most {longest} characters, not {len(text)}.")
        elif _CONTROL.search(text):
            self.add(UserErrorCode.INVALID, path, f"{what} must be one line without control characters.")
        elif broken(text):
            self.add(UserErrorCode.INVALID, path, f"{what} holds half of a character.")
        return text

    def optional_line(self, value: str | None, path: Path, what: str, longest: int = NAME) -> str | None:
        """As `line`, where blank is the same as absent."""
        return self.line(value, path, what, longest) if value is not None and value.strip() else None

    def text(self, value: str, path: Path, what: str, longest: int = BODY) -> str:
        """Free text, which may be empty."""
        if len(value) > longest:
            self.add(UserErrorCode.TOO_LONG, path, f"{what} may have at most {longest} characters, not {len(value)}.")
        elif "\x00" in value:
            self.add(UserErrorCode.INVALID, path, f"{what} must not hold a NUL character.")
        elif broken(value):
            self.add(UserErrorCode.INVALID, path, f"{what} holds half of a character.")
        return value

    def address(self, value: str, path: Path) -> str:
        """Return one email address as it is stored, see `email_addresses`."""
        text = value.strip()
        if not text:
            self.add(UserErrorCode.BLANK, path, "An address must not be blank.")
        elif len(text) > MAX_ADDRESS_CHARACTERS:
            message = f"An address may have at most {MAX_ADDRESS_CHARACTERS} characters."
            self.add(UserErrorCode.TOO_LONG, path, message)
        elif broken(text):
            self.add(UserErrorCode.INVALID, path, "An address looks like name@example.com.")
        else:
            try:
                return normalize_address(text)
            except InvalidAddress as exc:
                self.add(UserErrorCode.INVALID, path, str(exc))
        return text

    def addresses(self, values: Iterable[str], path: Path) -> list[str]:
        return [self.address(value, (*path, str(place))) for place, value in enumerate(values)]
