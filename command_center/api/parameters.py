"""Parses the parameters of a request, for all transports.

The parameters are `query`, `variables`, `operationName` and `extensions`. This module checks types and sizes, and knows
nothing about GraphQL.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from sys import getsizeof
from typing import Final

import orjson

MAX_DEPTH: Final = 50
"""The deepest nesting of variables. A filter needs 20; coercing hundreds of levels would overflow the stack."""
_NO_JSON: Final = "The request is not JSON in UTF-8."

VALUES_PER_OBJECT: Final = 30
"""Values per allowed object: objects are limited more strictly, because creating them takes the most time."""


VALUES_PER_COST: Final = 10
"""The number of values in the variables that cost as much as one object of the response."""
CHARACTERS_PER_COST: Final = 1_000
"""The number of characters of strings in the variables that cost as much as one object of the response."""

VALUE_BYTES: Final = 64
"""The approximate memory of a value that is not a string, with its entry in a list or object."""


class Malformed(Exception):
    """The request is invalid.

    `code` is for programs, and the message may be shown to the client.
    """

    def __init__(self, message: str, code: str = "BAD_REQUEST") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one operation.

    `values` and `characters` count what the variables contain. `bytes` is the approximate memory of the document's text
    and the variables.
    """

    query: str
    variables: Mapping[str, object]
    operation_name: str | None
    values: int = 0
    characters: int = 0
    bytes: int = 0

    @property
    def cost(self) -> int:
        """The number that the variables add to the cost of the operation.

        A few short values add nothing.
        """
        return self.values // VALUES_PER_COST + self.characters // CHARACTERS_PER_COST


def parse_json(text: bytes | str) -> object:
    """Return the value of a JSON text. Raises: Malformed if it is not JSON."""
    value: object
    try:
        value = orjson.loads(text)
        return value
    except ValueError as exc:
        escape = b"\\ud" if isinstance(text, bytes) else "\\ud"
        if escape not in text.lower():  # type: ignore[operator]
            raise Malformed(_NO_JSON) from exc
    try:
        # A lone surrogate, which only an escape can produce. The validation of its field reports it better.
        value = json.loads(text, parse_constant=_refuse_constant)
        return value
    except (ValueError, RecursionError) as exc:
        raise Malformed(_NO_JSON) from exc


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)


def parse_parameters(value: object, most_values: int) -> Parameters:
    """Return the parameters of a request, given its body as a JSON value.

    `most_values` limits the values in the variables. Raises: Malformed if they are invalid.
    """
    if isinstance(value, list):
        raise Malformed("One operation a request: batches are not taken.", "BATCHING_NOT_SUPPORTED")
    if not isinstance(value, dict):
        raise Malformed("A request is a JSON object with `query`.")
    query, variables, name = value.get("query"), value.get("variables"), value.get("operationName")
    extensions = value.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise Malformed("`extensions` is an object or null.")
    if query is None and extensions and "persistedQuery" in extensions:
        # Apollo's clients know this message, and send the document after it.
        raise Malformed("PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED")
    if not isinstance(query, str):
        raise Malformed("`query` is missing: it is the text of a GraphQL document.")
    if variables is not None and not isinstance(variables, dict):
        raise Malformed("`variables` is an object or null.")
    if name is not None and not isinstance(name, str):
        raise Malformed("`operationName` is a text or null.")
    values, characters, size = _measure(variables, most_values)
    # Some clients send an empty name instead of none.
    return Parameters(query, variables or {}, name or None, values, characters, size + getsizeof(query))


def _measure(variables: Mapping[str, object] | None, max_values: int) -> tuple[int, int, int]:
    """Return three sizes of variables: values, characters of strings, bytes in memory.

    The traversal goes level by level, because deep values could exhaust the stack of a recursion. Raises: Malformed if
    a limit is exceeded.
    """
    if not variables:
        return 0, 0, 0
    level: list[object] = [variables]
    count, objects, characters, size = 0, 0, 0, 0
    for _ in range(MAX_DEPTH + 1):
        count += len(level)
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                objects += 1
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                characters += len(value)
                size += getsizeof(value)
        if objects > 1 + max_values // VALUES_PER_OBJECT:
            message = f"The variables hold more than the {max_values // VALUES_PER_OBJECT} objects that are allowed."
            raise Malformed(message, "TOO_MANY_VALUES")
        if count > max_values:
            raise Malformed(
                f"The variables hold more than the {max_values} values that are allowed.", "TOO_MANY_VALUES"
            )
        if not below:
            # The object that holds the variables does not count.
            return count - 1, characters, size + VALUE_BYTES * count
        level = below
    raise Malformed(f"The variables nest deeper than the {MAX_DEPTH} levels that are allowed.", "TOO_DEEP")
