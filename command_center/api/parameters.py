"""What a client asks for, whatever the transport: `query`, `variables`, `operationName`, `extensions`, of their types.

Nothing here knows GraphQL: only the shape is looked at, and how much there is of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from sys import getsizeof
from typing import Any, Final

import orjson

DEEPEST: Final = 50
"""How deep values may nest in the variables. A filter needs 20; coercing hundreds would end the interpreter's stack."""
_NO_JSON: Final = "The request is not JSON in UTF-8."

OBJECTS: Final = 30
"""For so many values one object is allowed: making one of ours of it, member by member, takes longest of all."""


VALUES_OF_ONE: Final = 10
CHARACTERS_OF_ONE: Final = 1_000
"""So many values, and so many characters of texts, in the variables cost as much as one object of the answer."""

VALUE_BYTES: Final = 64
"""About what a value takes that is no text, with its place in a list or an object."""


class Malformed(Exception):
    """A request that is none; `code` is for programs, the message may be shown."""

    def __init__(self, message: str, code: str = "BAD_REQUEST") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Parameters:
    """One operation as it was asked for. `values` and `characters` are how much the variables hold; `bytes` is about
    what the text of the document and the variables take in memory."""

    query: str
    variables: Mapping[str, Any]
    operation_name: str | None
    values: int = 0
    characters: int = 0
    bytes: int = 0

    @property
    def cost(self) -> int:
        """What the variables add to the cost of the operation. A few short values add nothing."""
        return self.values // VALUES_OF_ONE + self.characters // CHARACTERS_OF_ONE


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
    values, characters, size = _measure(variables, most_values)
    # Some clients send the empty name for none.
    return Parameters(query, variables or {}, name or None, values, characters, size + getsizeof(query))


def _measure(variables: Any, most: int) -> tuple[int, int, int]:
    """Return how many values there are, the characters of the texts, and about the bytes of it all.

    Level by level, for the stack of a recursion is what a deep value is after. Raises Malformed.
    """
    if not variables:
        return 0, 0, 0
    level, count, objects, characters, size = [variables], 0, 0, 0, 0
    for _ in range(DEEPEST + 1):
        count += len(level)
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                objects += 1
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                characters += len(value)
                size += getsizeof(value)
        if objects > 1 + most // OBJECTS:
            message = f"The variables hold more than the {most // OBJECTS} objects that are allowed."
            raise Malformed(message, "TOO_MANY_VALUES")
        if count > most:
            raise Malformed(f"The variables hold more than the {most} values that are allowed.", "TOO_MANY_VALUES")
        if not below:
            # The object that holds the variables is none of them.
            return count - 1, characters, size + VALUE_BYTES * count
        level = below
    raise Malformed(f"The variables nest deeper than the {DEEPEST} levels that are allowed.", "TOO_DEEP")
