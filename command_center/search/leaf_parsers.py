"""Parses the leaves of a raw filter and collects its errors. `parser` parses what contains them.

Parsers never raise for bad input: they add an error with its path and return None.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from command_center.errors import UserError
from command_center.ids import decode_key
from command_center.search import datetimes
from command_center.search.durations import Span, as_span
from command_center.search.filter_ast import (
    NO_KEY,
    Bounds,
    DateField,
    Dates,
    EngagementCondition,
    EverySender,
    FolderGroups,
    Folders,
    Ids,
    IdsField,
    Leaf,
    Path,
    SendKinds,
    Success,
    Text,
    TextField,
    TextTest,
)
from command_center.search.references import NOUNS
from models.enums import EngagementKind, EngagementVerdict, FolderGroupName, FolderName, SendKind, UserErrorCode

MAX_TEXT_LENGTH = 1_000
_MAX_COUNT = 2**31 - 1
_TEXT_KEYS = ("equals", "contains", "startsWith", "endsWith")
_TIME_KEYS = ("from", "until", "within", "olderThan")
_ENGAGEMENT_KEYS = ("kind", "atLeast", "atMost", "within", "afterSend", "url", "verdict")

Value = TypeVar("Value")
Choice = TypeVar("Choice", bound=IntEnum)


@dataclass(slots=True)
class FilterErrors:
    """The errors so far, and the number of leaves parsed.

    `prefix` is the filter's position in the caller's input.
    """

    prefix: Path
    most_ids: int
    leaves: int = 0
    user_errors: list[UserError] = field(default_factory=list)

    def add(self, path: Path, message: str, code: UserErrorCode = UserErrorCode.INVALID) -> None:
        """Add an error. `path` is relative to the filter."""
        self.user_errors.append(UserError(message, self.prefix + path, code))


def object_fields(raw: Any, keys: tuple[str, ...], path: Path, errors: FilterErrors) -> dict[str, Any]:
    """Return the non-null fields of an object, in the order of `keys`. Other keys are errors."""
    if not isinstance(raw, Mapping):
        errors.add(path, "This must be an object.")
        return {}
    for key in raw:
        if key not in keys:
            errors.add((*path, str(key)), "There is no such field.")
    return {key: raw[key] for key in keys if key in raw and raw[key] is not None}


def list_elements(raw: Any, path: Path, errors: FilterErrors) -> Iterator[tuple[Any, Path]]:
    """Yield the elements of a list, each with its path."""
    if not isinstance(raw, list | tuple):
        errors.add(path, "This must be a list.")
        return
    if len(raw) > errors.most_ids:
        errors.add(path, f"A list may hold at most {errors.most_ids:,}, not {len(raw):,}.")
        return
    for position, element in enumerate(raw):
        yield element, (*path, str(position))


def parse_list(
    raw: Any, path: Path, errors: FilterErrors, parse_element: Callable[[Any, Path, FilterErrors], Value | None]
) -> list[Value]:
    """Return the elements of a list that could be parsed."""
    values = (
        parse_element(element, element_path, errors) for element, element_path in list_elements(raw, path, errors)
    )
    return [value for value in values if value is not None]


def enum_parser(choices: type[Choice]) -> Callable[[Any, Path, FilterErrors], Choice | None]:
    """Return a parser of the names of an enumeration."""
    members = dict(choices.__members__)

    def parse(raw: Any, path: Path, errors: FilterErrors) -> Choice | None:
        if isinstance(raw, str) and raw in members:
            return members[raw]
        errors.add(path, f"This must be one of {', '.join(members)}.")
        return None

    return parse


_folder = enum_parser(FolderName)
_folder_group = enum_parser(FolderGroupName)
_send_kind = enum_parser(SendKind)
_kind = enum_parser(EngagementKind)
_verdict = enum_parser(EngagementVerdict)


def _boolean(raw: Any, path: Path, errors: FilterErrors) -> bool | None:
    if isinstance(raw, bool):
        return raw
    errors.add(path, "This must be true or false.")
    return None


def _count(raw: Any, path: Path, errors: FilterErrors) -> int | None:
    # In Python, bool is a subclass of int.
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= _MAX_COUNT:
        return raw
    errors.add(path, "This must be a whole number, zero or more.")
    return None


def _text_parser(parse_text: Callable[[str], Value]) -> Callable[[Any, Path, FilterErrors], Value | None]:
    """Return a parser that adds the ValueError of `parse_text` as an error."""

    def parse(raw: Any, path: Path, errors: FilterErrors) -> Value | None:
        try:
            return parse_text(raw if isinstance(raw, str) else "")
        except ValueError as error:
            message = str(error)
            errors.add(path, f"{message[:1].upper()}{message[1:]}.")
            return None

    return parse


_moment = _text_parser(datetimes.parse_moment)
_span: Callable[[Any, Path, FilterErrors], Span | None] = _text_parser(as_span)


def _phrase(raw: Any, path: Path, errors: FilterErrors) -> str | None:
    """Parse a text to compare with."""
    if not isinstance(raw, str):
        errors.add(path, "This must be text.")
    elif not raw:
        errors.add(path, "This must not be empty.")
    elif len(raw) > MAX_TEXT_LENGTH:
        errors.add(path, f"This is longer than {MAX_TEXT_LENGTH} characters.", UserErrorCode.TOO_LONG)
    elif "\0" in raw or any("\ud800" <= character <= "\udfff" for character in raw):
        # No database column can store these characters, so no text could ever match.
        errors.add(path, "This holds a character that no text can have.")
    else:
        return raw
    return None


def parse_text_test(raw: Any, path: Path, errors: FilterErrors) -> TextTest:
    """Parse the tests of one text."""
    fields = object_fields(raw, _TEXT_KEYS, path, errors)
    return TextTest(*(_phrase(fields[key], (*path, key), errors) if key in fields else None for key in _TEXT_KEYS))


def _bounds(raw: Any, path: Path, errors: FilterErrors) -> Bounds:
    fields = object_fields(raw, _TIME_KEYS, path, errors)
    since, until = (_moment(fields[key], (*path, key), errors) if key in fields else None for key in _TIME_KEYS[:2])
    within, older = (_span(fields[key], (*path, key), errors) if key in fields else None for key in _TIME_KEYS[2:])
    return Bounds(since, until, within, older)


def parse_folders(raw: Any, path: Path, errors: FilterErrors) -> Leaf | None:
    return Folders(tuple(parse_list(raw, path, errors, _folder)), path)


def parse_folder_groups(raw: Any, path: Path, errors: FilterErrors) -> Leaf | None:
    return FolderGroups(tuple(parse_list(raw, path, errors, _folder_group)), path)


def parse_send_kinds(raw: Any, path: Path, errors: FilterErrors) -> Leaf | None:
    return SendKinds(tuple(parse_list(raw, path, errors, _send_kind)), path)


def parse_success(raw: Any, path: Path, errors: FilterErrors) -> Leaf | None:
    value = _boolean(raw, path, errors)
    return None if value is None else Success(value, path)


def parse_every_sender(raw: Any, path: Path, errors: FilterErrors) -> Leaf | None:
    value = _boolean(raw, path, errors)
    return None if value is None else EverySender(value, path)


def parse_id_texts(raw: Any, path: Path, errors: FilterErrors) -> list[str] | None:
    """Return ids as the client wrote them, or None if there are too many."""
    if isinstance(raw, list | tuple) and len(raw) > errors.most_ids:
        errors.add(path, f"These are more than {errors.most_ids} ids.")
        return None
    return parse_list(raw, path, errors, _id_text)


def _id_text(raw: Any, path: Path, errors: FilterErrors) -> str | None:
    if isinstance(raw, str):
        return raw
    errors.add(path, "This must be an id.")
    return None


def ids_parser(field: IdsField) -> Callable[[Any, Path, FilterErrors], Leaf | None]:
    """Return a parser of ids.

    An id that is malformed or of another noun stays, with a key that no row has. This package does not know what a
    viewer may see, so such an id is treated like one that is not visible.
    """

    def parse(raw: Any, path: Path, errors: FilterErrors) -> Leaf | None:
        texts = parse_id_texts(raw, path, errors)
        if texts is None:
            return None
        keys = (decode_key(NOUNS[field], text) for text in texts)
        return Ids(field, tuple(NO_KEY if key is None else key for key in keys), tuple(texts), path)

    return parse


def text_parser(field: TextField) -> Callable[[Any, Path, FilterErrors], Leaf | None]:
    """Return a parser of the tests of a text field."""
    return lambda raw, path, errors: Text(field, parse_text_test(raw, path, errors), path)


def dates_parser(field: DateField) -> Callable[[Any, Path, FilterErrors], Leaf | None]:
    """Return a parser of the bounds of a date field."""
    return lambda raw, path, errors: Dates(field, _bounds(raw, path, errors), path)


def parse_engagement(raw: Any, path: Path, errors: FilterErrors) -> EngagementCondition | None:
    """Parse one engagement condition, with defaults filled in."""
    fields = object_fields(raw, _ENGAGEMENT_KEYS, path, errors)
    if isinstance(raw, Mapping) and "kind" not in fields:
        errors.add((*path, "kind"), "A condition needs a kind.")
    values = {key: _ENGAGEMENT_PARSERS[key](value, (*path, key), errors) for key, value in fields.items()}
    _check_contradictions(values, path, errors)
    if values.get("kind") is None:
        return None
    return EngagementCondition(
        kind=values["kind"],
        at_least=values.get("atLeast") if "atLeast" in fields or "atMost" in fields else 1,
        at_most=values.get("atMost"),
        within=values.get("within"),
        after_send=values.get("afterSend"),
        url=values.get("url"),
        verdicts=values.get("verdict") or (EngagementVerdict.HUMAN,),
        path=path,
    )


def _check_contradictions(values: Mapping[str, Any], path: Path, errors: FilterErrors) -> None:
    least, most = values.get("atLeast"), values.get("atMost")
    if least is not None and most is not None and least > most:
        errors.add((*path, "atLeast"), "This is more than atMost.")
    if "url" in values and values.get("kind") not in (None, EngagementKind.CLICK):
        errors.add((*path, "url"), "Only clicks have a link.")


def _verdicts(raw: Any, path: Path, errors: FilterErrors) -> tuple[EngagementVerdict, ...] | None:
    if isinstance(raw, list | tuple) and not raw:
        errors.add(path, "This must not be empty.")
        return None
    return tuple(parse_list(raw, path, errors, _verdict))


_ENGAGEMENT_PARSERS: Mapping[str, Callable[[Any, Path, FilterErrors], Any]] = {
    "kind": _kind,
    "atLeast": _count,
    "atMost": _count,
    "within": _span,
    "afterSend": _span,
    "url": parse_text_test,
    "verdict": _verdicts,
}
