"""The examples of a page of documentation: how they are found, how their placeholders are filled, how answers compare.

An example is a ```graphql block. The ```json blocks right after it are its variables, where it has any, and then the
answer as it is documented: it has `data` or `errors`, and `extensions` where they matter (for a subscription: one block
for each frame, in order).
`‹Pat›` is whatever an earlier answer had where it documents `‹Pat›`, such as an id; the first answer that names it says
what it is. `‹now›`, `‹2 hours ago›` and `‹in 3 days›` are moments; `‹yesterday›`, `‹today›` and `‹20 days from today›`
are days in UTC. A moment or a day in an answer stands for any, and a list that ends with "…" goes on.
`<!-- as Ada, an admin -->` before an example says who asks; else it is Sam.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any

from tests.support.paths import ROOT

READER = "Sam"
_PART = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$|^<!-- as (?P<actor>.+?) -->$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"‹(.+)›")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_DAYS = re.compile(r"yesterday|today|(?P<count>\d+) days from today")
_SPAN = re.compile(r"now|(?P<ahead>in )?(?P<count>\d+) (?P<unit>second|minute|hour|day)s?( ago)?")


class DocumentationError(AssertionError):
    """A page does not hold what it should; the message says where."""


@dataclass(frozen=True)
class Example:
    """One operation as a page shows it."""

    place: str
    actor: str
    document: str
    variables: Mapping[str, Any]
    answers: tuple[Any, ...]

    @property
    def kind(self) -> str:
        found = re.match(r"\w+", self.document)
        return found.group() if found else "query"


@dataclass(frozen=True)
class Page:
    """A page of ours by its path from the root."""

    path: str
    text: str

    @classmethod
    def read(cls, path: str) -> "Page":
        return cls(path, (ROOT / path).read_text())

    def blocks(self, language: str) -> list[str]:
        return [each["text"] for each in _PART.finditer(self.text) if each["language"] == language]

    def examples(self) -> Iterator[Example]:
        """Raises Wrong where a block belongs to nothing."""
        actor, blocks = READER, list(_PART.finditer(self.text))
        while blocks:
            block = blocks.pop(0)
            if block["actor"]:
                actor = block["actor"]
                continue
            place = f"{self.path}:{self.text.count(chr(10), 0, block.start()) + 1}"
            if block["language"] == "json":
                raise DocumentationError(f"{place}: this JSON belongs to no operation")
            if block["language"] == "graphql":
                values = []
                while blocks and blocks[0]["language"] == "json":
                    values.append(_json(blocks.pop(0)["text"], place))
                variables = values.pop(0) if values and not _is_answer(values[0]) else {}
                for name in variables:
                    if not re.search(rf"\${name}\b", block["text"]):
                        raise DocumentationError(f"{place}: {name} is neither a variable of it nor an answer")
                if not all(_is_answer(value) for value in values):
                    raise DocumentationError(f"{place}: after the variables come answers, each with `data` or `errors`")
                yield Example(place, actor, block["text"], variables, tuple(values))
                actor = READER


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise DocumentationError(f"{place}: its JSON is none: {exc}") from exc


def _is_answer(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and value.keys() <= {"data", "errors", "extensions"}


def fill_placeholders(value: Any, names: Mapping[str, str]) -> Any:
    """A documented value with its placeholders filled. Raises Wrong for a name that no answer gave."""
    if isinstance(value, dict):
        return {key: fill_placeholders(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [fill_placeholders(each, names) for each in value]
    found = _NAME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    span = _SPAN.fullmatch(found[1])
    if span is not None:
        return _moment(span)
    days = _DAYS.fullmatch(found[1])
    if days is not None:
        ahead = timedelta(days=int(days["count"] or (-1 if found[1] == "yesterday" else 0)))
        return (datetime.now(UTC) + ahead).date().isoformat()
    if found[1] not in names:
        raise DocumentationError(f"no earlier answer says what ‹{found[1]}› is")
    return names[found[1]]


def _moment(span: "re.Match[str]") -> str:
    away = timedelta(**{f"{span['unit']}s": int(span["count"])}) if span["unit"] else timedelta()
    moment = datetime.now(UTC) + (away if span["ahead"] else -away)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def find_differences(documented: Any, real: Any, names: dict[str, str], path: str = "") -> Iterator[str]:
    """Where an answer is not as documented. Names that the documented one introduces are added to `names`."""
    if isinstance(documented, dict) and isinstance(real, dict):
        for key in documented | real:
            if key not in documented or key not in real:
                where = "documented" if key in documented else "in the real answer"
                yield f"{path}.{key} is only {where}: {(documented | real)[key]!r}"
            else:
                yield from find_differences(documented[key], real[key], names, f"{path}.{key}")
    elif isinstance(documented, list) and isinstance(real, list):
        if documented and documented[-1] == "…":
            documented, real = documented[:-1], real[: len(documented) - 1]
        for place, (one, other) in enumerate(zip_longest(documented, real, fillvalue="nothing")):
            yield from find_differences(one, other, names, f"{path}.{place}")
    elif not _same(documented, real, names, path.rpartition(".")[2]):
        meant = f" ({names.get(documented[1:-1])})" if isinstance(documented, str) and documented[:1] == "‹" else ""
        yield f"{path}: documented {documented!r}{meant}, in truth {real!r}"


def _same(documented: Any, real: Any, names: dict[str, str], key: str) -> bool:
    if isinstance(documented, str) and isinstance(real, str):
        found = _NAME.fullmatch(documented)
        if found is not None:
            # A thing has one name, or a slip of the pen would pass as a new one. Two places may coincide.
            new = found[1] not in names and (
                real not in names.values() or key == "asOf" or key.lower().endswith("cursor")
            )
            return (names.setdefault(found[1], real) if new else names.get(found[1])) == real
        for form in (_MOMENT, _DAY):
            if form.fullmatch(documented):
                return bool(form.fullmatch(real))
    return type(documented) is type(real) and bool(documented == real)
