"""Every place of the schema that takes an id or a cursor, and a document that leads a value there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)

HOLE = object()
_DEEPEST = 2
_FILLING: Mapping[str, Any] = {
    "ID": "x",
    "String": "a@x.example",
    "Int": 1,
    "Boolean": True,
    "Date": "2030-01-01",
    "DateTime": "2026-01-01T00:00:00Z",
}


@dataclass(frozen=True)
class IdPosition:
    """`coordinate` is the argument or input field. `document` takes it by `$v`, which is like `shape` with the value in
    its hole; it may ask for an object `$node` of the type `under`. `many`: a list of values is taken."""

    coordinate: str
    document: str
    shape: Any
    under: str
    cursor: bool
    many: bool

    def variables(self, value: Any) -> dict[str, Any]:
        return {"v": _with(self.shape, value)}


def _with(shape: Any, value: Any) -> Any:
    if shape is HOLE:
        return value
    if isinstance(shape, list):
        return [_with(each, value) for each in shape]
    return {name: _with(each, value) for name, each in shape.items()} if isinstance(shape, dict) else shape


def id_positions(schema: GraphQLSchema) -> Iterator[IdPosition]:
    """All places."""
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                for argument, given in field.args.items():
                    for coordinate, shape, last in _ways(f"{type_.name}.{name}", argument, given.type, 0):
                        under = "" if type_.name in ("Query", "Mutation", "Subscription") else type_.name
                        document = _document(type_.name, name, field, argument)
                        cursor = get_named_type(last).name != "ID"
                        yield IdPosition(
                            coordinate, document, shape, under, cursor, is_list_type(get_nullable_type(last))
                        )


def expected(schema: GraphQLSchema) -> set[str]:
    """The coordinates that must be among the places, found without going any way."""
    return {
        f"{type_.name}.{name}" + (f".{argument}" if argument else "")
        for type_ in schema.type_map.values()
        for name, field in getattr(type_, "fields", {}).items()
        if isinstance(type_, GraphQLObjectType | GraphQLInputObjectType)
        for argument, given in (getattr(field, "args", None) or {"": field}).items()
        if (argument or isinstance(type_, GraphQLInputObjectType)) and _takes(argument or name, given.type)
    }


def _takes(name: str, type_: Any) -> bool:
    leaf = get_named_type(type_).name
    return leaf in ("ID", "ChangeCursor") or (leaf == "String" and name in ("after", "before"))


def _ways(parent: str, name: str, type_: Any, depth: int) -> Iterator[tuple[str, Any, Any]]:
    """From an argument or an input's field to the ids and cursors in it: coordinate, shape and type of each."""
    if _takes(name, type_):
        yield f"{parent}.{name}", HOLE, type_
        return
    named = get_named_type(type_)
    if isinstance(named, GraphQLInputObjectType) and depth < _DEEPEST:
        for inner, field in named.fields.items():
            for coordinate, shape, last in _ways(named.name, inner, field.type, depth + 1):
                whole = {**_required(named), inner: shape}
                yield coordinate, [whole] if is_list_type(get_nullable_type(type_)) else whole, last


def _required(named: GraphQLInputObjectType) -> dict[str, Any]:
    return {name: _filled(each.type) for name, each in named.fields.items() if is_required_input_field(each)}


def _filled(type_: Any) -> Any:
    """Some value that fits."""
    inner = get_nullable_type(type_)
    if is_list_type(inner):
        return [_filled(inner.of_type)]
    named = get_named_type(inner)
    if named.name in _FILLING:
        return _FILLING[named.name]
    return _required(named) if isinstance(named, GraphQLInputObjectType) else next(iter(named.values))


def _document(parent: str, name: str, field: GraphQLField, argument: str) -> str:
    declared, given = [f"$v:{field.args[argument].type}"], [f"{argument}:$v"]
    for other, each in field.args.items():
        if other != argument and is_required_argument(each):
            declared.append(f"${other}:{each.type}={_said(_filled(each.type), each.type)}")
            given.append(f"{other}:${other}")
    below = _below(field) if is_composite_type(get_named_type(field.type)) else ""
    asked = f"{name}({' '.join(given)}){below}"
    if parent in ("Query", "Mutation", "Subscription"):
        return f"{parent.lower()}({' '.join(declared)}){{{asked}}}"
    return f"query($node:ID! {' '.join(declared)}){{node(id:$node){{... on {parent}{{{asked}}}}}}}"


def _said(value: Any, type_: Any) -> str:
    if isinstance(value, list):
        return f"[{_said(value[0], type_)}]"
    named = get_named_type(type_)
    if isinstance(value, dict):
        fields: Any = getattr(named, "fields", {})
        return "{" + " ".join(f"{name}:{_said(each, fields[name].type)}" for name, each in value.items()) + "}"
    if isinstance(value, bool | int):
        return str(value).lower()
    return f'"{value}"' if named.name in _FILLING else str(value)


def _below(field: GraphQLField) -> str:
    """What is asked of the answer: what leads on, and what went wrong."""
    fields: Mapping[str, Any] = getattr(get_named_type(field.type), "fields", {})
    wanted = {
        "edges": "edges{cursor node{id}}",
        "pageInfo": "pageInfo{hasNextPage hasPreviousPage startCursor}",
        "userErrors": "userErrors{message path code}",
        "cursor": "cursor",
        "id": "id",
        "deletedIds": "deletedIds",
    }
    return "{" + " ".join(["__typename", *(text for name, text in wanted.items() if name in fields)]) + "}"
