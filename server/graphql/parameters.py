"""What a client asks for, whatever the transport: `query`, `variables`, `operationName`, `extensions`, of their types.

Nothing here knows GraphQL: only the shape is looked at, and how much there is of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

DEEPEST: Final = 50
"""How deep values may nest in the variables. A filter needs 20; coercing hundreds would end the interpreter's stack."""
_NO_JSON: Final = "The request is not JSON in UTF-8."

OBJECTS: Final = 30
"""For so many values one object is allowed: making one of ours of it, member by member, takes longest of all."""


class Malformed(Exception):
    """A request that is none; `code` is for programs, the message may be shown."""

    def __init__(self, message: str, code: str = "BAD_REQUEST") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Parameters:
    """One operation as it was asked for."""

    query: str
    variables: Mapping[str, Any]
    operation_name: str | None


def parsed(text: bytes | str) -> Any:
    """The value of a JSON text. Raises Malformed."""
    try:
        return orjson.loads(text)
    except ValueError as exc:
        escape = b"\\ud" if isinstance(text, bytes) else "\\ud"
        if escape not in text.lower():  # type: ignore[operator]
            raise Malformed(_NO_JSON) from exc
    try:
        # Half a character, which only an escape can say: whichever field it is in tells of it better than we can.
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise Malformed(_NO_JSON) from exc


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def parameters(asked: Any, most_values: int) -> Parameters:
    """The parameters in a JSON value. Raises Malformed."""
    if isinstance(asked, list):
        raise Malformed("One operation a request: batches are not taken.", "BATCHING_NOT_SUPPORTED")
    if not isinstance(asked, dict):
        raise Malformed("A request is a JSON object with `query`.")
    query, variables, name = asked.get("query"), asked.get("variables"), asked.get("operationName")
    extensions = asked.get("extensions")
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
    _measure(variables, most_values)
    # Some clients send the empty name for none.
    return Parameters(query, variables or {}, name or None)


def _measure(variables: Any, most: int) -> None:
    """Level by level, for the stack of a recursion is what a deep value is after."""
    level, count, objects = [variables], 0, 0
    for _ in range(DEEPEST + 1):
        count += len(level)
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                objects += 1
                below += value.values()
            elif isinstance(value, list):
                below += value
        if objects > 1 + most // OBJECTS:
            message = f"The variables hold more than the {most // OBJECTS} objects that are allowed."
            raise Malformed(message, "TOO_MANY_VALUES")
        if count > most:
            raise Malformed(f"The variables hold more than the {most} values that are allowed.", "TOO_MANY_VALUES")
        if not below:
            return
        level = below
    raise Malformed(f"The variables nest deeper than the {DEEPEST} levels that are allowed.", "TOO_DEEP")
