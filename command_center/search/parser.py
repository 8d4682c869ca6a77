"""Checks a raw filter, of the API or of the database, and makes the tree of it: fine, or every problem at once.

Here: the catalogue of fields, how they nest, and the limits. The leaves are read by `conditions`.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from command_center.errors import UserErrors
from command_center.search import leaf_parsers
from command_center.search.filter_ast import All, AnyOf, Engagement, Filter, Leaf, Not, Part, Path
from command_center.search.leaf_parsers import FilterErrors, elements, given
from models.enums import UserErrorCode


@dataclass(frozen=True, slots=True)
class FilterLimits:
    """How deep a filter may nest, how many leaves it may have, and how many ids one list."""

    depth: int = 8
    leaves: int = 64
    ids: int = 1_000


DEFAULT_LIMITS = FilterLimits()
_UNLIMITED = FilterLimits(sys.maxsize, sys.maxsize, sys.maxsize)

# In the contract's order, which is the order of the canonical form.
_LEAVES: Mapping[str, Callable[[Any, Path, FilterErrors], Leaf | None]] = {
    "folder": leaf_parsers.folders,
    "folderGroup": leaf_parsers.folder_groups,
    "sender": leaf_parsers.ids_of("sender"),
    "everySender": leaf_parsers.every_sender,
    "person": leaf_parsers.ids_of("person"),
    "personGroup": leaf_parsers.ids_of("personGroup"),
    "campaign": leaf_parsers.ids_of("campaign"),
    "template": leaf_parsers.ids_of("template"),
    "sendKind": leaf_parsers.send_kinds,
    "bulkSend": leaf_parsers.ids_of("bulkSend"),
    "success": leaf_parsers.success,
    "subject": leaf_parsers.text_of("subject"),
    "address": leaf_parsers.text_of("address"),
    "company": leaf_parsers.text_of("company"),
    "createdAt": leaf_parsers.dates_of("createdAt"),
    "sentAt": leaf_parsers.dates_of("sentAt"),
    "scheduledAt": leaf_parsers.dates_of("scheduledAt"),
    "failedAt": leaf_parsers.dates_of("failedAt"),
}
FIELDS = ("all", "any", "not", *_LEAVES, "engagement")
_PLACES = {key: place for place, key in enumerate(FIELDS)}
_SHORT = 300
"""Bytes of a part that is kept once it was read."""


def check(raw: Mapping[str, Any], *, limits: FilterLimits = DEFAULT_LIMITS, path: Path = ()) -> Filter:
    """The tree of a filter. Raises `Refused` with every problem, each placed under `path`."""
    findings = FilterErrors(path, limits.ids)
    found = _filter(raw, (), 1, limits, findings)
    if findings.leaves > limits.leaves:
        message = f"A filter may have at most {limits.leaves} conditions; this one has {findings.leaves}."
        findings.refuse((), message, UserErrorCode.LIMIT_REACHED)
    if findings.problems:
        raise UserErrors(findings.problems)
    return found


def load(canonical: Mapping[str, Any]) -> Filter:
    """The tree of a stored filter. It was checked when it was saved: limits lowered since then leave it alone.

    Millions are loaded that differ in little, so parts read before are kept: all of a part is the same, its places too.
    """
    if not _PLACES.keys() >= canonical.keys():
        return check(canonical, limits=_UNLIMITED)
    parts: list[Part] = []
    for key in sorted(canonical, key=_PLACES.__getitem__):
        text = orjson.dumps(canonical[key])
        parts += (_stored if len(text) <= _SHORT else _read)(key, text)
    return Filter(tuple(parts))


def _read(key: str, text: bytes) -> tuple[Part, ...]:
    return check({key: orjson.loads(text)}, limits=_UNLIMITED).parts


_stored = lru_cache(maxsize=4_096)(_read)


def _filter(raw: Any, path: Path, depth: int, limits: FilterLimits, findings: FilterErrors) -> Filter:
    # What is too deep is not read: the recursion ends here, however deep the input goes.
    if depth > limits.depth:
        message = f"A filter may nest at most {limits.depth} levels deep."
        findings.refuse(path, message, UserErrorCode.LIMIT_REACHED)
        return Filter()

    def branch(raw: Any, path: Path) -> Filter:
        # Nor is what is too much: it is refused already, and reading it would only take time.
        if findings.leaves > limits.leaves:
            return Filter()
        return _filter(raw, path, depth + 1, limits, findings)

    before = findings.leaves
    said = given(raw, FIELDS, path, findings)
    parts = (_part(key, value, (*path, key), branch, findings) for key, value in said.items())
    found = Filter(tuple(part for part in parts if part is not None))
    if findings.leaves == before and depth > 1:
        # An empty branch counts as a leaf, lest a hundred thousand of them cost nothing.
        findings.leaves += 1
    return found


def _part(key: str, raw: Any, path: Path, branch: Callable[[Any, Path], Filter], findings: FilterErrors) -> Part | None:
    match key:
        case "all":
            return All(tuple(branch(element, place) for element, place in elements(raw, path, findings)))
        case "any":
            return AnyOf(tuple(branch(element, place) for element, place in elements(raw, path, findings)))
        case "not":
            return Not(branch(raw, path))
        case "engagement":
            return _engagement(raw, path, findings)
        case _:
            findings.leaves += 1
            return _LEAVES[key](raw, path, findings)


def _engagement(raw: Any, path: Path, findings: FilterErrors) -> Engagement:
    read = [leaf_parsers.engaged(element, place, findings) for element, place in elements(raw, path, findings)]
    findings.leaves += len(read)
    return Engagement(tuple(condition for condition in read if condition is not None))
