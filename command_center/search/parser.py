"""Parses a raw filter of the API or the database into a tree.

All errors are returned together.

This module defines the fields, how they nest, and the limits. `leaf_parsers` parses the leaves.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import orjson

from command_center.errors import ErrorCollector, InputPath
from command_center.search import leaf_parsers
from command_center.search.filter_ast import All, AnyOf, EngagementConditions, Filter, Leaf, Not, Part
from command_center.search.leaf_parsers import Parser, ParseState, list_elements, object_fields
from models.enums import UserErrorCode


@dataclass(frozen=True, slots=True)
class FilterLimits:
    """The limits of a filter.

    They concern its depth, the number of its leaves, and the number of ids in one list.
    """

    depth: int = 8
    leaves: int = 64
    ids: int = 1_000


DEFAULT_LIMITS = FilterLimits()
_UNLIMITED = FilterLimits(sys.maxsize, sys.maxsize, sys.maxsize)

# The contract's order, which is also the order of the canonical form.
_LEAVES: Mapping[str, Parser[Leaf | None]] = {
    "folder": leaf_parsers.parse_folders,
    "folderGroup": leaf_parsers.parse_folder_groups,
    "sender": leaf_parsers.ids_parser("sender"),
    "everySender": leaf_parsers.parse_every_sender,
    "person": leaf_parsers.ids_parser("person"),
    "personGroup": leaf_parsers.ids_parser("personGroup"),
    "campaign": leaf_parsers.ids_parser("campaign"),
    "template": leaf_parsers.ids_parser("template"),
    "sendKind": leaf_parsers.parse_send_kinds,
    "bulkSend": leaf_parsers.ids_parser("bulkSend"),
    "success": leaf_parsers.parse_success,
    "subject": leaf_parsers.text_parser("subject"),
    "address": leaf_parsers.text_parser("address"),
    "company": leaf_parsers.text_parser("company"),
    "createdAt": leaf_parsers.dates_parser("createdAt"),
    "sentAt": leaf_parsers.dates_parser("sentAt"),
    "scheduledAt": leaf_parsers.dates_parser("scheduledAt"),
    "failedAt": leaf_parsers.dates_parser("failedAt"),
}
FIELDS = ("all", "any", "not", *_LEAVES, "engagement")
_FIELD_ORDER = {key: position for position, key in enumerate(FIELDS)}
_MAX_CACHED_PART_BYTES = 300
"""The most bytes of a stored part whose tree is cached."""


def parse_filter(raw: Mapping[str, object], *, limits: FilterLimits = DEFAULT_LIMITS, path: InputPath = ()) -> Filter:
    """Parse a filter.

    Raises: UserErrors with every error, each with a path that begins with `path`.
    """
    state = ParseState(ErrorCollector(path), limits.ids)
    filter = _filter(raw, (), 1, limits, state)
    if state.leaves > limits.leaves:
        message = f"A filter may have at most {limits.leaves} conditions; this one has {state.leaves}."
        state.add_error((), message, UserErrorCode.LIMIT_REACHED)
    state.errors.raise_any()
    return filter


def parse_stored_filter(canonical: Mapping[str, object]) -> Filter:
    """Parse a stored filter.

    It was checked when it was saved, so limits that were lowered since do not apply.

    Millions of similar filters are loaded, so short parts are cached, with the paths of their leaves.
    """
    if not _FIELD_ORDER.keys() >= canonical.keys():
        return parse_filter(canonical, limits=_UNLIMITED)
    parts: list[Part] = []
    for key in sorted(canonical, key=_FIELD_ORDER.__getitem__):
        text = orjson.dumps(canonical[key])
        parts += (_cached_part if len(text) <= _MAX_CACHED_PART_BYTES else _parse_part)(key, text)
    return Filter(tuple(parts))


def _parse_part(key: str, text: bytes) -> tuple[Part, ...]:
    return parse_filter({key: orjson.loads(text)}, limits=_UNLIMITED).parts


_cached_part = lru_cache(maxsize=4_096)(_parse_part)


def _filter(raw: object, path: InputPath, depth: int, limits: FilterLimits, state: ParseState) -> Filter:
    # Parts that are too deep are not parsed, so the recursion is bounded for any input.
    if depth > limits.depth:
        message = f"A filter may nest at most {limits.depth} levels deep."
        state.add_error(path, message, UserErrorCode.LIMIT_REACHED)
        return Filter()

    def branch(raw: object, path: InputPath) -> Filter:
        # With too many leaves the filter is rejected already, so parsing more of it would only take time.
        if state.leaves > limits.leaves:
            return Filter()
        return _filter(raw, path, depth + 1, limits, state)

    leaves_before = state.leaves
    fields = object_fields(raw, FIELDS, path, state)
    parts = (_parse_field(key, value, (*path, key), branch, state) for key, value in fields.items())
    filter = Filter(tuple(part for part in parts if part is not None))
    if state.leaves == leaves_before and depth > 1:
        # Count an empty branch as a leaf, so that the limit covers inputs with a hundred thousand of them.
        state.leaves += 1
    return filter


def _parse_field(
    key: str, raw: object, path: InputPath, branch: Callable[[object, InputPath], Filter], state: ParseState
) -> Part | None:
    match key:
        case "all":
            return All(
                tuple(branch(element, element_path) for element, element_path in list_elements(raw, path, state))
            )
        case "any":
            return AnyOf(
                tuple(branch(element, element_path) for element, element_path in list_elements(raw, path, state))
            )
        case "not":
            return Not(branch(raw, path))
        case "engagement":
            return _engagement(raw, path, state)
        case _:
            state.leaves += 1
            return _LEAVES[key](raw, path, state)


def _engagement(raw: object, path: InputPath, state: ParseState) -> EngagementConditions:
    conditions = [
        leaf_parsers.parse_engagement(element, element_path, state)
        for element, element_path in list_elements(raw, path, state)
    ]
    state.leaves += len(conditions)
    return EngagementConditions(tuple(condition for condition in conditions if condition is not None))
