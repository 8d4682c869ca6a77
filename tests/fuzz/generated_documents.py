"""Documents made up at random from the schema: most of them valid, all of what the language has in them."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from graphql import (
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    introspection_types,
    is_abstract_type,
    is_composite_type,
    is_non_null_type,
)

from tests.fuzz.generated_values import BareName, Values, literal

KINDS = ("query", "query", "query", "mutation", "subscription")
META = {"__schema": "__Schema", "__type": "__Type"}


class GeneratedDocument:
    """One document and its variables."""

    def __init__(self, schema: GraphQLSchema, random: Random, known: Sequence[str]) -> None:
        self._schema = schema
        self._random = random
        # Half of the documents have nothing wrong with them by intent.
        self._wrong = random.choice((0.0, 0.0, 0.01, 0.1))
        self._values = Values(random, known, self._wrong)
        self._left = random.choice((3, 10, 30, 200))
        self._declared: list[str] = []
        self._fragments: dict[str, str] = {}
        self._composite = sorted(name for name, each in schema.type_map.items() if is_composite_type(each))
        self.variables: dict[str, Any] = {}
        self.kind = random.choice(KINDS)
        depth = random.choice((1, 2, 4, 6, 11, 14))
        inner = self._selections(f"{self.kind.title()}", depth, self.kind == "subscription")
        declared = f"({' '.join(self._declared)})" if self._declared else ""
        fragments = " ".join(self._fragments.values())
        self.text = f"{self.kind} {random.choice(('', 'A'))}{declared}{self._directive()}{inner} {fragments}"

    def _selections(self, parent: str, depth: int, one: bool = False) -> str:
        many = 1 if one else self._random.choice((1, 1, 2, 3, 6))
        return "{" + " ".join(self._selection(parent, depth) for _ in range(many)) + "}"

    def _selection(self, parent: str, depth: int) -> str:
        self._left -= 1
        chance = self._random.random()
        if chance < 0.1 and depth > 0 and self._left > 0:
            return f"... on {self._meeting(parent)}{self._directive()}{self._selections(self._narrowed, depth - 1)}"
        if chance < 0.15 and depth > 0 and self._left > 0:
            return self._spread(parent, depth)
        return self._field(parent, depth)

    def _meeting(self, parent: str) -> str:
        """A type that the parent may be, or any where something is to be wrong."""
        type_: Any = self._schema.type_map.get(parent)
        possible = (
            [each.name for each in self._schema.get_possible_types(type_)] if is_abstract_type(type_) else [parent]
        )
        self._narrowed = self._random.choice(self._composite if self._random.random() < self._wrong else possible)
        return self._narrowed

    def _spread(self, parent: str, depth: int) -> str:
        if self._fragments and self._random.random() < 0.5 * self._wrong:
            return f"...{self._random.choice([*self._fragments, 'Nobody'])}"
        name, on = f"F{len(self._fragments)}", self._meeting(parent)
        self._fragments[name] = ""
        self._fragments[name] = f"fragment {name} on {on}{self._selections(on, depth - 1)}"
        return f"...{name}{self._directive()}"

    def _field(self, parent: str, depth: int) -> str:
        random = self._random
        fields = self._fields(parent)
        names = [
            name
            for name, field in fields.items()
            if (depth > 0 and self._left > 0) or not is_composite_type(get_named_type(field.type))
        ]
        if parent == "Query" and random.random() < 0.05:
            name = random.choice(list(META))
            argument = f'(name:"{random.choice(self._composite)}")' if name == "__type" else ""
            return f"{name}{argument}{self._selections(META[name], min(depth, 6))}"
        if not names or random.random() < max(self._wrong, 0.05):
            return random.choice(("__typename", "t:__typename")) if random.random() >= self._wrong else "nothing{x}"
        name = random.choice(names)
        field = fields[name]
        alias = f"{random.choice('abcdefgh')}:" if random.random() < 0.2 else ""
        leads_to = get_named_type(field.type)
        below = self._selections(leads_to.name, depth - 1) if is_composite_type(leads_to) else ""
        return f"{alias}{name}{self._arguments(field.args)}{self._directive()}{below}"

    def _fields(self, parent: str) -> Mapping[str, Any]:
        type_: Any = self._schema.type_map.get(parent) or introspection_types.get(parent)
        return {} if isinstance(type_, GraphQLUnionType) or type_ is None else getattr(type_, "fields", {})

    def _arguments(self, arguments: Mapping[str, Any]) -> str:
        given = [
            f"{name}:{self._argument(each.type)}"
            for name, each in arguments.items()
            if is_non_null_type(each.type) or self._random.random() < 0.25
        ]
        return f"({' '.join(given)})" if given else ""

    def _argument(self, type_: Any) -> str:
        value = self._values.fitting(type_)
        if self._random.random() < 0.5:
            return literal(value, type_)
        name = f"v{len(self._declared)}"
        other = self._random.random() < self._wrong
        said = self._random.choice(("Int", "[ID]", "Email", "EmailFilter!", "Nothing")) if other else str(type_)
        self._declared.append(f"${name}:{said}")
        if self._random.random() >= self._wrong:
            self.variables[name] = value
        return literal(BareName(f"${name}"))

    def _directive(self) -> str:
        random = self._random
        if random.random() < self._wrong:
            return random.choice(("@skip", '@include(if:"x")', "@nothing", "@deprecated", "@skip(if:$no)", "@oneOf"))
        if random.random() < 0.03:
            return random.choice(("@include(if:true)", "@skip(if:false)"))
        return ""
