"""Values for arguments and variables, of the right types and of wrong ones, and how they are written in a document."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)

ODD_TEXTS = (
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        "\ufeff",
        "\u202eabc",
        "\U0001f9ff" * 3,
        "\ud800",
        "\udfff x",
        "\u0661\u0662",
        "ﬃ" * 50,
    ),
    *(
        "%",
        "_",
        "\\",
        "'",
        '"',
        "';--",
        "{{name}}",
        "\r\nBcc: x@y.example",
        "<script>",
        "\x7f\x1b[0m",
        "\u2028",
        "e\u0301",
    ),
    *("x" * 300, "x@y.example", "http://x.example/", "javascript:1", "null", "true", "1", "-1", "1e999", "[]", "{}"),
)
TEXTS: dict[str, tuple[Any, ...]] = {
    "DateTime": (
        "2026-01-01T00:00:00Z",
        "2030-02-03T04:05:06.789+14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ),
    "Date": ("2026-01-31", "2030-02-28", "0001-01-01", "9999-12-31", "2026-02-30"),
    "Duration": ("P3D", "PT12H", "PT1S", "PT0S", "P99999D", "PT99999999999999999999S", "P1Y", "-P1D"),
}
NUMBERS = (0, 1, 2, -1, 50, 200, 201, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**63, 10**30, 1.5, 1e308, -0.0)
WRONG: tuple[Any, ...] = (None, True, 0, 1.5, "x", [], {}, [None], [[]], {"x": {}}, {"": None}, 10**40, "\ud83d")


@dataclass(frozen=True)
class BareName:
    """What is written without quotes: an enum's value, a variable."""

    name: str


class Values:
    """Makes values. `wrong` is the chance of one that does not fit, at each place."""

    def __init__(self, random: Random, known: Sequence[str], wrong: float) -> None:
        self._random = random
        self._known = known
        self._wrong = wrong

    def fitting(self, type_: Any, depth: int = 4) -> Any:
        """A JSON value for an input type, or one that does not fit."""
        random = self._random
        if random.random() < self._wrong:
            return random.choice(WRONG)
        if not is_non_null_type(type_) and random.random() < 0.1:
            return None
        inner = get_nullable_type(type_)
        if is_list_type(inner):
            many = random.choice((0, 1, 1, 2, 3, 3, 201)) if random.random() < 0.3 else 1
            return [self.fitting(inner.of_type, depth - 1) for _ in range(many if depth > 2 else min(many, 2))]
        named = get_named_type(inner)
        if isinstance(named, GraphQLEnumType):
            return random.choice([*named.values, "NOTHING"] if random.random() < 0.05 else list(named.values))
        if isinstance(named, GraphQLInputObjectType):
            return self._members(named, depth)
        return self._scalar(named.name)

    def _members(self, named: GraphQLInputObjectType, depth: int) -> dict[str, Any]:
        found = {
            name: self.fitting(each.type, depth - 1)
            for name, each in named.fields.items()
            if is_non_null_type(each.type) or (depth > 0 and self._random.random() < 0.15)
        }
        if self._random.random() < self._wrong:
            found[self._random.choice(("x", "__proto__", "id", "\ufeff"))] = 1
        return found

    def _scalar(self, name: str) -> Any:
        random = self._random
        if name == "Int":
            return random.choice(NUMBERS if random.random() < 0.3 else (1, 2, 10, 50))
        if name == "Boolean":
            return random.random() < 0.5
        if name in ("ID", "ChangeCursor") or (name == "String" and random.random() < 0.2):
            return random.choice(self._known) if random.random() < 0.9 else random.choice(ODD_TEXTS)
        if name in TEXTS and random.random() < 0.9:
            return random.choice(TEXTS[name])
        return random.choice(ODD_TEXTS) if random.random() < 0.5 else f"t{random.randrange(100)}@x.example"


def literal(value: Any, type_: Any = None) -> str:
    """A value as a document writes it; the names of enums bare where the type says so."""
    if isinstance(value, BareName):
        return value.name
    named = get_named_type(type_) if type_ is not None else None
    if isinstance(value, dict):
        fields = getattr(named, "fields", {})
        inside = (
            f"{name}:{literal(each, fields[name].type if name in fields else None)}" for name, each in value.items()
        )
        return "{" + " ".join(inside) + "}"
    if isinstance(value, list):
        return "[" + " ".join(literal(each, type_) for each in value) + "]"
    if isinstance(named, GraphQLEnumType) and isinstance(value, str):
        return value
    return json.dumps(value)
