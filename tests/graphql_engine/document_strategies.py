"""Hypothesis strategies for valid documents of a schema, with their variables."""

from typing import Any, NamedTuple

from graphql import GraphQLSchema, get_named_type, is_abstract_type, is_composite_type, is_object_type
from hypothesis import strategies as st

DECLARATIONS = "$yes: Boolean!, $no: Boolean = false, $n: Int = 1, $choice: Choice, $colour: Colour, $json: Json"
ARGUMENTS = {
    "items": ("", "", "(first: 1)", "(first: $n)", "(first: null)"),
    "echo": (
        "",
        "(choice: {number: $n, inner: {colours: BLUE, extra: {a: [1, $n]}}})",
        "(choice: $choice, colour: $colour)",
        "(choice: {number: 4, extra: $json}, json: {a: $json, b: [$colour]}, many: 7)",
        '(json: "text", many: [1, 2], colour: RED)',
    ),
    "second": ("", "(n: 2)", "(n: $n)"),
}
DIRECTIVES = ("", "", "", "", "", "@include(if: $yes)", "@skip(if: $no)", "@include(if: true) @skip(if: $no)")


class GeneratedOperation(NamedTuple):
    """A document with one operation, and its variables."""

    text: str
    variables: dict[str, Any]


class DocumentWriter:
    """Writes one document. `draw` makes the choices."""

    def __init__(self, schema: GraphQLSchema, draw: Any) -> None:
        self._schema = schema
        self._draw = draw
        self._composite = {name: each for name, each in schema.type_map.items() if is_composite_type(each)}
        self._fragments: list[tuple[str, str]] = []
        self._budget = 25

    def write(self, operation: str) -> str:
        root = {"query": "Query", "mutation": "Mutation"}[operation]
        text = f"{operation} ({DECLARATIONS}) {self._write_selections(root, 4)}"
        while self._fragments:
            name, type_ = self._fragments.pop()
            text += f" fragment {name} on {type_} {self._write_selections(type_, 2)}"
        return text

    def _write_selections(self, type_: str, depth: int) -> str:
        count = self._draw(st.integers(1, 4))
        return "{ " + " ".join(self._write_selection(type_, depth) for _ in range(count)) + " }"

    def _write_selection(self, type_: str, depth: int) -> str:
        self._budget -= 1
        directive = self._draw(st.sampled_from(DIRECTIVES))
        kind = self._draw(st.sampled_from(("field", "field", "field", "inline", "spread", "typename")))
        if self._budget > 0 and depth and kind in ("inline", "spread"):
            inner = self._draw(st.sampled_from(self._find_overlapping(type_)))
            if kind == "inline":
                condition = self._draw(st.sampled_from(("", f"on {inner}")))
                return f"... {condition} {directive} {self._write_selections(inner if condition else type_, depth - 1)}"
            name = f"F{self._budget}"
            self._fragments.append((name, inner))
            return f"...{name} {directive}"
        fields = getattr(self._composite[type_], "fields", {})
        if kind == "typename" or not fields:
            return f"{self._write_alias('__typename')}__typename {directive}"
        return self._write_field(type_, fields, directive, depth)

    def _write_field(self, type_: str, fields: dict[str, Any], directive: str, depth: int) -> str:
        deep = self._budget > 0 and depth > 0
        names = [name for name, each in fields.items() if deep or not is_composite_type(get_named_type(each.type))]
        if not names:
            return f"__typename {directive}"
        name = self._draw(st.sampled_from(names))
        arguments = self._draw(st.sampled_from(ARGUMENTS.get(name, ("",))))
        inner = get_named_type(fields[name].type)
        below = self._write_selections(inner.name, depth - 1) if is_composite_type(inner) else ""
        return f"{self._write_alias(name)}{name}{arguments} {directive} {below}"

    def _write_alias(self, name: str) -> str:
        return self._draw(st.sampled_from(("", "", f"{name}Again: ", f"{name}Too: ")))  # type: ignore[no-any-return]

    def _find_overlapping(self, type_: str) -> list[str]:
        """Return the types that share an object type with this one."""
        return sorted(name for name in self._composite if self._find_objects(name) & self._find_objects(type_))

    def _find_objects(self, name: str) -> set[str]:
        type_ = self._composite[name]
        if is_object_type(type_):
            return {name}
        assert is_abstract_type(type_)
        return {each.name for each in self._schema.get_possible_types(type_)}


@st.composite
def generate_operations(draw: Any, schema: GraphQLSchema) -> GeneratedOperation:
    """Generate operations. Fields may overlap in ways that cannot be merged; the test filters these."""
    operation = draw(st.sampled_from(("query", "query", "query", "mutation")))
    text = DocumentWriter(schema, draw).write(operation)
    choices = st.sampled_from(({"number": 1}, {"inner": {"colours": ["RED"]}}, None, {}, {"number": None}, {"x": 1}, 7))
    optional: dict[str, st.SearchStrategy[Any]] = {
        "no": st.sampled_from((True, False, None)),
        "n": st.sampled_from((1, 2, None, 1.0, "1")),
        "choice": choices,
        "colour": st.sampled_from(("RED", None, "GREEN")),
        "json": st.sampled_from(({"a": [1]}, None, "text", 0.5)),
    }
    variables = draw(st.fixed_dictionaries({"yes": st.booleans()}, optional=optional))
    return GeneratedOperation(text, variables)
