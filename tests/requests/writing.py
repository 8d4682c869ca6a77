"""Documents made up at random, such that little but the overlap of fields can be wrong with them."""

from collections.abc import Mapping
from random import Random
from typing import Any

from graphql import (
    GraphQLAbstractType,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_composite_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)

SCALARS = {
    "Int": ("1", "2", "$n"),
    "String": ('"s"', '"t"', '"""s"""'),
    "ID": ('"s"', "1"),
    "Boolean": ("true", "false"),
}
ALIASES = ("a", "b")


class Writer:
    """Writes one document. Of each type only a few fields are used, so that they meet again and again."""

    def __init__(self, schema: GraphQLSchema, random: Random) -> None:
        self._schema = schema
        self._random = random
        self._composite = {name: type_ for name, type_ in schema.type_map.items() if is_composite_type(type_)}
        self._menus: dict[str, list[str]] = {}
        self._aliases = random.choice((0.0, 0.05, 0.3))
        self._left = random.choice((4, 10, 25))
        plain = sorted(name for name in self._composite if not name.startswith("__"))
        self._fragments = [random.choice(plain) for _ in range(random.randint(0, 4))]

    def document(self) -> str:
        text = " ".join(
            f"query Q{number}($n: Int = 3) {self._selections('Query', 5, -1)}"
            for number in range(self._random.choice((1, 1, 2)))
        )
        # A fragment spreads only later ones: none comes back to itself. What nobody spreads is left out.
        for number, name in enumerate(self._fragments):
            if f"...F{number} " in text:
                text += f" fragment F{number} on {name} {self._selections(name, 4, number)}"
        return text

    def _selections(self, parent: str, depth: int, within: int) -> str:
        count = self._random.choice((1, 2, 2, 3, 4))
        return "{ " + " ".join(self._selection(parent, depth, within) for _ in range(count)) + " }"

    def _selection(self, parent: str, depth: int, within: int) -> str:
        chance = self._random.random()
        if chance < 0.2:
            later = range(within + 1, len(self._fragments))
            fitting = [each for each in later if self._meet(parent, self._fragments[each])]
            if fitting:
                return f"...F{self._random.choice(fitting)} "
        if chance < 0.4 and depth:
            return self._inline(parent, depth - 1, within)
        return self._field(parent, depth, within)

    def _inline(self, parent: str, depth: int, within: int) -> str:
        name = self._random.choice([each for each in sorted(self._composite) if self._meet(parent, each)])
        if self._random.random() < 0.2:
            return f"... {self._selections(parent, depth, within)}"
        return f"... on {name} {self._selections(name, depth, within)}"

    def _meet(self, one: str, other: str) -> bool:
        return bool(self._objects(one) & self._objects(other))

    def _objects(self, name: str) -> set[str]:
        type_: Any = self._composite[name]
        abstract: GraphQLAbstractType | None = type_ if is_abstract_type(type_) else None
        return {name} if abstract is None else {each.name for each in self._schema.get_possible_types(abstract)}

    def _field(self, parent: str, depth: int, within: int) -> str:
        self._left -= 1
        depth = 0 if self._left < 0 else depth
        fields: Mapping[str, Any] = getattr(self._composite[parent], "fields", {})
        name = self._random.choice(self._menu(parent, fields))
        if name not in fields or (is_composite_type(get_named_type(fields[name].type)) and not depth):
            return self._alias("__typename") + "__typename"
        definition = fields[name]
        leads_to = get_named_type(definition.type)
        below = f" {self._selections(leads_to.name, depth - 1, within)}" if is_composite_type(leads_to) else ""
        return f"{self._alias(name)}{name}{self._arguments(definition.args)}{below}"

    def _menu(self, parent: str, fields: Mapping[str, Any]) -> list[str]:
        if parent not in self._menus:
            names = [*sorted(fields), "__typename"]
            self._menus[parent] = self._random.sample(names, min(len(names), self._random.choice((2, 3, 5))))
        return self._menus[parent]

    def _alias(self, name: str) -> str:
        return f"{self._random.choice((*ALIASES, name, 'id'))}: " if self._random.random() < self._aliases else ""

    def _arguments(self, arguments: Mapping[str, GraphQLArgument]) -> str:
        given = [
            f"{name}: {self._value(argument.type, 2)}"
            for name, argument in arguments.items()
            if is_required_argument(argument) or self._random.random() < 0.1
        ]
        self._random.shuffle(given)
        return f"({', '.join(given)})" if given else ""

    def _value(self, type_: Any, depth: int) -> str:
        named = get_named_type(type_)
        if is_list_type(get_nullable_type(type_)) and self._random.random() < 0.9:
            return f"[{', '.join(self._value(named, depth) for _ in range(self._random.randint(0, 2)))}]"
        if isinstance(named, GraphQLEnumType):
            return str(self._random.choice(list(named.values)[:2]))
        if isinstance(named, GraphQLInputObjectType):
            given = [
                f"{name}: {self._value(each.type, depth - 1)}"
                for name, each in named.fields.items()
                if is_required_input_field(each) or (depth > 0 and self._random.random() < 0.1)
            ]
            self._random.shuffle(given)
            return "{" + ", ".join(given) + "}"
        return self._random.choice(SCALARS.get(named.name, ('"2026-01-01"', '"2026-01-02"')))
