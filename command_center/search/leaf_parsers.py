"""Parses the leaves of a raw filter and collects its errors.

`parser` parses what contains them.

Parsers never raise for bad input: they add an error with its path and return None.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, TypeVar

from command_center.errors import ErrorCollector, InputPath
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
_COUNT_KEYS = ("atLeast", "atMost")
_SPAN_KEYS = ("within", "afterSend")
_ENGAGEMENT_KEYS = ("kind", *_COUNT_KEYS, *_SPAN_KEYS, "url", "verdict")

Value = TypeVar("Value")
Choice = TypeVar("Choice", bound=IntEnum)


@dataclass(slots=True)
class ParseState:
    """The errors found while a filter is parsed, and the number of its leaves so far.

    `most_ids` is the maximal number of elements of a list.
    """

    errors: ErrorCollector
    most_ids: int
    leaves: int = 0

    def add_error(self, path: InputPath, message: str, code: UserErrorCode = UserErrorCode.INVALID) -> None:
        """Add an error at a path, which is relative to the filter."""
        self.errors.add(code, path, message)


Parser: TypeAlias = Callable[[object, InputPath, ParseState], Value]
"""Parses a raw value at a path. It returns None, or an empty result, if it adds errors."""


def object_fields(raw: object, keys: tuple[str, ...], path: InputPath, state: ParseState) -> dict[str, object]:
    """Return the non-null fields of an object, in the order of `keys`.

    Add an error for each other key, and if `raw` is not an object.
    """
    if not isinstance(raw, Mapping):
        state.add_error(path, "This must be an object.")
        return {}
    for key in raw:
        if key not in keys:
            state.add_error((*path, str(key)), "There is no such field.")
    return {key: raw[key] for key in keys if key in raw and raw[key] is not None}


def list_elements(raw: object, path: InputPath, state: ParseState) -> Iterator[tuple[object, InputPath]]:
    """Yield the elements of a list, each with its path."""
    if not isinstance(raw, list | tuple):
        state.add_error(path, "This must be a list.")
        return
    if len(raw) > state.most_ids:
        state.add_error(path, f"A list may hold at most {state.most_ids:,}, not {len(raw):,}.")
        return
    for position, element in enumerate(raw):
        yield element, (*path, str(position))


def parse_list(raw: object, path: InputPath, state: ParseState, parse_element: Parser[Value | None]) -> list[Value]:
    """Parse the elements of a list, and return those without errors.

    The errors of the others are added to `state`.
    """
    values = (parse_element(element, element_path, state) for element, element_path in list_elements(raw, path, state))
    return [value for value in values if value is not None]


def enum_parser(choices: type[Choice]) -> Parser[Choice | None]:
    """Return a parser of the names of an enumeration."""
    members = dict(choices.__members__)

    def parse(raw: object, path: InputPath, state: ParseState) -> Choice | None:
        if isinstance(raw, str) and raw in members:
            return members[raw]
        state.add_error(path, f"This must be one of {', '.join(members)}.")
        return None

    return parse


_folder = enum_parser(FolderName)
_folder_group = enum_parser(FolderGroupName)
_send_kind = enum_parser(SendKind)
_kind = enum_parser(EngagementKind)
_verdict = enum_parser(EngagementVerdict)


def _boolean(raw: object, path: InputPath, state: ParseState) -> bool | None:
    if isinstance(raw, bool):
        return raw
    state.add_error(path, "This must be true or false.")
    return None


def _count(raw: object, path: InputPath, state: ParseState) -> int | None:
    # In Python, bool is a subclass of int.
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= _MAX_COUNT:
        return raw
    state.add_error(path, "This must be a whole number, zero or more.")
    return None


def _text_parser(parse_text: Callable[[str], Value]) -> Parser[Value | None]:
    """Return a parser that adds the ValueError of `parse_text` as an error."""

    def parse(raw: object, path: InputPath, state: ParseState) -> Value | None:
        try:
            return parse_text(raw if isinstance(raw, str) else "")
        except ValueError as error:
            message = str(error)
            state.add_error(path, f"{message[:1].upper()}{message[1:]}.")
            return None

    return parse


_moment = _text_parser(datetimes.parse_moment)
_span: Parser[Span | None] = _text_parser(as_span)


def _phrase(raw: object, path: InputPath, state: ParseState) -> str | None:
    """Parse a text to compare with."""
    if not isinstance(raw, str):
        state.add_error(path, "This must be text.")
    elif not raw:
        state.add_error(path, "This must not be empty.")
    elif len(raw) > MAX_TEXT_LENGTH:
        state.add_error(path, f"This is longer than {MAX_TEXT_LENGTH} characters.", UserErrorCode.TOO_LONG)
    elif "\0" in raw or any("\ud800" <= character <= "\udfff" for character in raw):
        # No database column can store these characters, so no text could ever match.
        state.add_error(path, "This holds a character that no text can have.")
    else:
        return raw
    return None


def parse_text_test(raw: object, path: InputPath, state: ParseState) -> TextTest:
    """Parse the tests of one text."""
    fields = object_fields(raw, _TEXT_KEYS, path, state)
    return TextTest(*(_phrase(fields[key], (*path, key), state) if key in fields else None for key in _TEXT_KEYS))


def _bounds(raw: object, path: InputPath, state: ParseState) -> Bounds:
    fields = object_fields(raw, _TIME_KEYS, path, state)
    since, until = (_moment(fields[key], (*path, key), state) if key in fields else None for key in _TIME_KEYS[:2])
    within, older = (_span(fields[key], (*path, key), state) if key in fields else None for key in _TIME_KEYS[2:])
    return Bounds(since, until, within, older)


def parse_folders(raw: object, path: InputPath, state: ParseState) -> Leaf | None:
    """Parse a list of folders."""
    return Folders(tuple(parse_list(raw, path, state, _folder)), path)


def parse_folder_groups(raw: object, path: InputPath, state: ParseState) -> Leaf | None:
    """Parse a list of folder groups."""
    return FolderGroups(tuple(parse_list(raw, path, state, _folder_group)), path)


def parse_send_kinds(raw: object, path: InputPath, state: ParseState) -> Leaf | None:
    """Parse a list of ways of sending."""
    return SendKinds(tuple(parse_list(raw, path, state, _send_kind)), path)


def parse_success(raw: object, path: InputPath, state: ParseState) -> Leaf | None:
    """Parse whether emails are marked as a success."""
    value = _boolean(raw, path, state)
    return None if value is None else Success(value, path)


def parse_every_sender(raw: object, path: InputPath, state: ParseState) -> Leaf | None:
    """Parse whether the emails of every sender are included."""
    value = _boolean(raw, path, state)
    return None if value is None else EverySender(value, path)


def parse_id_texts(raw: object, path: InputPath, state: ParseState) -> list[str] | None:
    """Return ids as the client wrote them, or None if there are too many."""
    if isinstance(raw, list | tuple) and len(raw) > state.most_ids:
        state.add_error(path, f"These are more than {state.most_ids} ids.")
        return None
    return parse_list(raw, path, state, _id_text)


def _id_text(raw: object, path: InputPath, state: ParseState) -> str | None:
    if isinstance(raw, str):
        return raw
    state.add_error(path, "This must be an id.")
    return None


def ids_parser(field: IdsField) -> Parser[Leaf | None]:
    """Return a parser of ids.

    An id that is malformed or of another noun stays, with a key that no row has. This package does not know what a
    viewer may see, so such an id is treated like one that is not visible.
    """

    def parse(raw: object, path: InputPath, state: ParseState) -> Leaf | None:
        texts = parse_id_texts(raw, path, state)
        if texts is None:
            return None
        keys = (decode_key(NOUNS[field], text) for text in texts)
        return Ids(field, tuple(NO_KEY if key is None else key for key in keys), tuple(texts), path)

    return parse


def text_parser(field: TextField) -> Parser[Leaf | None]:
    """Return a parser of the tests of a text field."""
    return lambda raw, path, state: Text(field, parse_text_test(raw, path, state), path)


def dates_parser(field: DateField) -> Parser[Leaf | None]:
    """Return a parser of the bounds of a date field."""
    return lambda raw, path, state: Dates(field, _bounds(raw, path, state), path)


def parse_engagement(raw: object, path: InputPath, state: ParseState) -> EngagementCondition | None:
    """Parse one engagement condition, with defaults filled in."""
    fields = object_fields(raw, _ENGAGEMENT_KEYS, path, state)
    if isinstance(raw, Mapping) and "kind" not in fields:
        state.add_error((*path, "kind"), "A condition needs a kind.")
    kind = _kind(fields["kind"], (*path, "kind"), state) if "kind" in fields else None
    least, most = (_count(fields[key], (*path, key), state) if key in fields else None for key in _COUNT_KEYS)
    within, after = (_span(fields[key], (*path, key), state) if key in fields else None for key in _SPAN_KEYS)
    url = parse_text_test(fields["url"], (*path, "url"), state) if "url" in fields else None
    verdicts = _verdicts(fields["verdict"], (*path, "verdict"), state) if "verdict" in fields else None
    if least is not None and most is not None and least > most:
        state.add_error((*path, "atLeast"), "This is more than atMost.")
    if url is not None and kind not in (None, EngagementKind.CLICK):
        state.add_error((*path, "url"), "Only clicks have a link.")
    if kind is None:
        return None
    return EngagementCondition(
        kind=kind,
        at_least=least if "atLeast" in fields or "atMost" in fields else 1,
        at_most=most,
        within=within,
        after_send=after,
        url=url,
        verdicts=verdicts or (EngagementVerdict.HUMAN,),
        path=path,
    )


def _verdicts(raw: object, path: InputPath, state: ParseState) -> tuple[EngagementVerdict, ...] | None:
    if isinstance(raw, list | tuple) and not raw:
        state.add_error(path, "This must not be empty.")
        return None
    return tuple(parse_list(raw, path, state, _verdict))
