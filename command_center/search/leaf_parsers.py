"""Reads the leaves of a raw filter and gathers what is wrong with them; `check` reads what holds leaves together.

Readers never raise for bad input: they note a problem with its place and answer None.
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
    Engaged,
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

LONGEST_TEXT = 1_000
_LARGEST_COUNT = 2**31 - 1
_TEXT_KEYS = ("equals", "contains", "startsWith", "endsWith")
_TIME_KEYS = ("from", "until", "within", "olderThan")
_ENGAGEMENT_KEYS = ("kind", "atLeast", "atMost", "within", "afterSend", "url", "verdict")

Value = TypeVar("Value")
Choice = TypeVar("Choice", bound=IntEnum)


@dataclass(slots=True)
class FilterErrors:
    """The problems so far, and how many leaves were read. `prefix` is the filter's place in the caller's input."""

    prefix: Path
    most_ids: int
    leaves: int = 0
    problems: list[UserError] = field(default_factory=list)

    def refuse(self, path: Path, message: str, code: UserErrorCode = UserErrorCode.INVALID) -> None:
        self.problems.append(UserError(message, self.prefix + path, code))


def given(raw: Any, keys: tuple[str, ...], path: Path, findings: FilterErrors) -> dict[str, Any]:
    """What an object says, nulls left out, in the order of `keys`; other keys are problems."""
    if not isinstance(raw, Mapping):
        findings.refuse(path, "This must be an object.")
        return {}
    for key in raw:
        if key not in keys:
            findings.refuse((*path, str(key)), "There is no such field.")
    return {key: raw[key] for key in keys if key in raw and raw[key] is not None}


def elements(raw: Any, path: Path, findings: FilterErrors) -> Iterator[tuple[Any, Path]]:
    """The elements of a list, each with its place."""
    if not isinstance(raw, list | tuple):
        findings.refuse(path, "This must be a list.")
        return
    if len(raw) > findings.most_ids:
        findings.refuse(path, f"A list may hold at most {findings.most_ids:,}, not {len(raw):,}.")
        return
    for place, element in enumerate(raw):
        yield element, (*path, str(place))


def each(
    raw: Any, path: Path, findings: FilterErrors, read: Callable[[Any, Path, FilterErrors], Value | None]
) -> list[Value]:
    """The elements of a list that could be read."""
    read_all = (read(element, place, findings) for element, place in elements(raw, path, findings))
    return [value for value in read_all if value is not None]


def choice(choices: type[Choice]) -> Callable[[Any, Path, FilterErrors], Choice | None]:
    """A reader of the names of an enumeration."""
    named = dict(choices.__members__)

    def read(raw: Any, path: Path, findings: FilterErrors) -> Choice | None:
        if isinstance(raw, str) and raw in named:
            return named[raw]
        findings.refuse(path, f"This must be one of {', '.join(named)}.")
        return None

    return read


_folder = choice(FolderName)
_folder_group = choice(FolderGroupName)
_send_kind = choice(SendKind)
_kind = choice(EngagementKind)
_verdict = choice(EngagementVerdict)


def _boolean(raw: Any, path: Path, findings: FilterErrors) -> bool | None:
    if isinstance(raw, bool):
        return raw
    findings.refuse(path, "This must be true or false.")
    return None


def _count(raw: Any, path: Path, findings: FilterErrors) -> int | None:
    # To Python a truth value is a number as well.
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= _LARGEST_COUNT:
        return raw
    findings.refuse(path, "This must be a whole number, zero or more.")
    return None


def _parsed(parse: Callable[[str], Value]) -> Callable[[Any, Path, FilterErrors], Value | None]:
    def read(raw: Any, path: Path, findings: FilterErrors) -> Value | None:
        try:
            return parse(raw if isinstance(raw, str) else "")
        except ValueError as error:
            message = str(error)
            findings.refuse(path, f"{message[:1].upper()}{message[1:]}.")
            return None

    return read


_moment = _parsed(datetimes.parse)
_span: Callable[[Any, Path, FilterErrors], Span | None] = _parsed(as_span)


def _phrase(raw: Any, path: Path, findings: FilterErrors) -> str | None:
    if not isinstance(raw, str):
        findings.refuse(path, "This must be text.")
    elif not raw:
        findings.refuse(path, "This must not be empty.")
    elif len(raw) > LONGEST_TEXT:
        findings.refuse(path, f"This is longer than {LONGEST_TEXT} characters.", UserErrorCode.TOO_LONG)
    elif "\0" in raw or any("\ud800" <= character <= "\udfff" for character in raw):
        # No database column could hold them, so nothing could ever be equal.
        findings.refuse(path, "This holds a character that no text can have.")
    else:
        return raw
    return None


def text_test(raw: Any, path: Path, findings: FilterErrors) -> TextTest:
    """What is asked of a text."""
    said = given(raw, _TEXT_KEYS, path, findings)
    return TextTest(*(_phrase(said[key], (*path, key), findings) if key in said else None for key in _TEXT_KEYS))


def _bounds(raw: Any, path: Path, findings: FilterErrors) -> Bounds:
    said = given(raw, _TIME_KEYS, path, findings)
    since, until = (_moment(said[key], (*path, key), findings) if key in said else None for key in _TIME_KEYS[:2])
    within, older = (_span(said[key], (*path, key), findings) if key in said else None for key in _TIME_KEYS[2:])
    return Bounds(since, until, within, older)


def folders(raw: Any, path: Path, findings: FilterErrors) -> Leaf | None:
    return Folders(tuple(each(raw, path, findings, _folder)), path)


def folder_groups(raw: Any, path: Path, findings: FilterErrors) -> Leaf | None:
    return FolderGroups(tuple(each(raw, path, findings, _folder_group)), path)


def send_kinds(raw: Any, path: Path, findings: FilterErrors) -> Leaf | None:
    return SendKinds(tuple(each(raw, path, findings, _send_kind)), path)


def success(raw: Any, path: Path, findings: FilterErrors) -> Leaf | None:
    value = _boolean(raw, path, findings)
    return None if value is None else Success(value, path)


def every_sender(raw: Any, path: Path, findings: FilterErrors) -> Leaf | None:
    value = _boolean(raw, path, findings)
    return None if value is None else EverySender(value, path)


def id_texts(raw: Any, path: Path, findings: FilterErrors) -> list[str] | None:
    """Ids as they were given; None where they are too many."""
    if isinstance(raw, list | tuple) and len(raw) > findings.most_ids:
        findings.refuse(path, f"These are more than {findings.most_ids} ids.")
        return None
    return each(raw, path, findings, _id_text)


def _id_text(raw: Any, path: Path, findings: FilterErrors) -> str | None:
    if isinstance(raw, str):
        return raw
    findings.refuse(path, "This must be an id.")
    return None


def ids_of(field: IdsField) -> Callable[[Any, Path, FilterErrors], Leaf | None]:
    """A reader of ids. One that is no id of the noun stays, with a key no row has: who sees what is not known here."""

    def read(raw: Any, path: Path, findings: FilterErrors) -> Leaf | None:
        texts = id_texts(raw, path, findings)
        if texts is None:
            return None
        keys = (decode_key(NOUNS[field], text) for text in texts)
        return Ids(field, tuple(NO_KEY if key is None else key for key in keys), tuple(texts), path)

    return read


def text_of(field: TextField) -> Callable[[Any, Path, FilterErrors], Leaf | None]:
    return lambda raw, path, findings: Text(field, text_test(raw, path, findings), path)


def dates_of(field: DateField) -> Callable[[Any, Path, FilterErrors], Leaf | None]:
    return lambda raw, path, findings: Dates(field, _bounds(raw, path, findings), path)


def engaged(raw: Any, path: Path, findings: FilterErrors) -> Engaged | None:
    """One engagement condition, its defaults filled in."""
    said = given(raw, _ENGAGEMENT_KEYS, path, findings)
    if isinstance(raw, Mapping) and "kind" not in said:
        findings.refuse((*path, "kind"), "A condition needs a kind.")
    read = {key: _ENGAGEMENT_READERS[key](value, (*path, key), findings) for key, value in said.items()}
    _contradictions(read, path, findings)
    if read.get("kind") is None:
        return None
    return Engaged(
        kind=read["kind"],
        at_least=read.get("atLeast") if "atLeast" in said or "atMost" in said else 1,
        at_most=read.get("atMost"),
        within=read.get("within"),
        after_send=read.get("afterSend"),
        url=read.get("url"),
        verdicts=read.get("verdict") or (EngagementVerdict.HUMAN,),
        path=path,
    )


def _contradictions(read: Mapping[str, Any], path: Path, findings: FilterErrors) -> None:
    least, most = read.get("atLeast"), read.get("atMost")
    if least is not None and most is not None and least > most:
        findings.refuse((*path, "atLeast"), "This is more than atMost.")
    if "url" in read and read.get("kind") not in (None, EngagementKind.CLICK):
        findings.refuse((*path, "url"), "Only clicks have a link.")


def _verdicts(raw: Any, path: Path, findings: FilterErrors) -> tuple[EngagementVerdict, ...] | None:
    if isinstance(raw, list | tuple) and not raw:
        findings.refuse(path, "This must not be empty.")
        return None
    return tuple(each(raw, path, findings, _verdict))


_ENGAGEMENT_READERS: Mapping[str, Callable[[Any, Path, FilterErrors], Any]] = {
    "kind": _kind,
    "atLeast": _count,
    "atMost": _count,
    "within": _span,
    "afterSend": _span,
    "url": text_test,
    "verdict": _verdicts,
}
