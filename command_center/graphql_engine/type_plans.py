"""What is known of a field before anybody asks for it: how it is read, and what its values are completed to.

Nothing here is executed. Where a field is read in a way not known here, its own resolver is called.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cache
from inspect import iscoroutinefunction, isfunction, signature
from operator import attrgetter
from typing import Any, Protocol

from graphql import (
    GraphQLBoolean,
    GraphQLField,
    GraphQLID,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLString,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from strawberry.schema.schema_converter import CustomGraphQLEnumType, GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from command_center.graphql_engine.arguments import Conversions
from command_center.graphql_engine.variables import Coercions

Info = GraphQLResolveInfo[Any]
Read = Callable[[Any], Any]
Call = Callable[[Any, Any], Any]
Asked = Callable[[Any, Any, Mapping[str, Any]], Any]
Table = Mapping[type, Callable[[Any], Any] | None]
"""For values of exactly these types: what makes them a value of the answer, or None where they are one already. What it
makes counts only where it is an atom. A value of any other type may be anything: absent, an error, awaitable, wrong."""


def other(_: Any) -> Any:
    """Stands for a type that a table says nothing of; never called."""
    raise AssertionError


ATOMS = frozenset({str, int, float, bool, list, dict})
"""Types of which a value is certainly neither awaitable nor absent."""

_HARMLESS = (*ATOMS, datetime, date, timedelta)
"""Types of which a scalar may be made without looking whether the value is awaitable, absent or an error."""

_SAME: Mapping[Any, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}


class Pointer(Protocol):
    """Of a field that answers at once what was loaded for many rows before it was asked."""

    def follow(self, context: Any, row: Any, /) -> Any: ...
    def together(self, context: Any, rows: Sequence[Any], /) -> list[Any] | None: ...
    async def load(self, context: Any, rows: Sequence[Any], /) -> None: ...


class Kind(Enum):
    LEAF = 1
    LIST = 2
    ABSTRACT = 3
    OBJECT = 4


@dataclass(frozen=True, slots=True, eq=False)
class TypePlan:
    """A type of the schema, taken apart. `full` is the type itself, `type` the same without its non-null."""

    full: Any
    type: Any
    non_null: bool
    kind: Kind
    item: "TypePlan | None"
    table: Table


@dataclass(frozen=True, slots=True, eq=False)
class FieldPlan:
    """One field of a type. `read` gives its value where nothing but the row is needed; `call` where it takes no
    arguments, `asked` where it does; the field's own resolver always. `pointer` is what it can be prepared by."""

    name: str
    definition: GraphQLField
    shape: TypePlan
    read: Read | None
    call: Call | None
    asked: Asked | None = None
    pointer: Pointer | None = None


class TypePlans:
    """Of one schema. As many as the schema has fields."""

    def __init__(self, schema: GraphQLSchema, reference_key: str) -> None:
        self._schema = schema
        self._reference_key = reference_key
        self._known: dict[tuple[GraphQLObjectType, str], FieldPlan | None] = {}
        self._shapes: dict[int, TypePlan] = {}
        described = getattr(schema, "_strawberry_schema", None)
        # Handlers of exceptions wrap every resolver, so none of them may be passed by.
        plain = described is not None and not described.schema_converter.exception_handlers
        self._info: Callable[..., Any] | None = described.config.info_class if described is not None and plain else None
        converter = None if described is None else described.schema_converter
        self._conversions = None if converter is None else Conversions(converter.config, converter.scalar_registry)
        self.coercions = Coercions(schema)

    def known(self, parent: GraphQLObjectType, name: str) -> FieldPlan | None:
        """The field of that name; None where the type has none."""
        key = parent, name
        if key not in self._known:
            self._known[key] = self._look(parent, name)
        return self._known[key]

    def _look(self, parent: GraphQLObjectType, name: str) -> FieldPlan | None:
        definition = self._schema.get_field(parent, name)
        if definition is None:
            return None
        shape = self._shape(definition.type)
        if name == "__typename":
            return FieldPlan(name, definition, shape, lambda _: parent.name, None)
        read = self._read(definition)
        if read is not None:
            return FieldPlan(name, definition, shape, read, lambda source, _: read(source))
        described = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        metadata = described.metadata if isinstance(described, StrawberryField) else {}
        return FieldPlan(
            *(name, definition, shape, None, self._call(definition), self._asked(definition)),
            metadata.get(self._reference_key),
        )

    def _shape(self, type_: Any) -> TypePlan:
        # The schema lives as long as this, so no other type gets the same number.
        if id(type_) not in self._shapes:
            non_null = is_non_null_type(type_)
            inner = type_.of_type if non_null else type_
            item = self._shape(inner.of_type) if is_list_type(inner) else None
            self._shapes[id(type_)] = TypePlan(type_, inner, non_null, _kind(inner), item, _table(inner, non_null))
        return self._shapes[id(type_)]

    def _read(self, definition: GraphQLField) -> Read | None:
        field = self._field(definition, "_get_basic_result")
        if field is not None:
            return attrgetter(field.python_name) if field.default_resolver is getattr else None
        field = self._field(definition, "_resolver")
        method = None if field is None else _method(field)
        if field is None or method is None or field.base_resolver is None or field.base_resolver.info_parameter:
            return None
        return method

    def _call(self, definition: GraphQLField) -> Call | None:
        """The method behind a resolver, called just as Strawberry calls one that takes no arguments."""
        field = self._field(definition, "_resolver", "_async_resolver")
        method = None if field is None else _method(field)
        if field is None or method is None or field.base_resolver is None:
            return None
        asked = field.base_resolver.info_parameter
        if asked is None:
            return lambda source, _: method(source)
        name, info = asked.name, self._info
        return lambda source, raw: method(source, **{name: info(_raw_info=raw, _field=field)})  # type: ignore[misc]

    def _asked(self, definition: GraphQLField) -> Asked | None:
        """The method behind a resolver, called just as Strawberry calls one that takes arguments."""
        field = self._field(definition, "_resolver", "_async_resolver", arguments=True)
        method = None if field is None else _method(field)
        convert = None if field is None or self._conversions is None else self._conversions.of(field)
        if field is None or method is None or convert is None or field.base_resolver is None:
            return None
        asked, info = field.base_resolver.info_parameter, self._info

        def call(source: Any, raw: Any, given: Mapping[str, Any]) -> Any:
            arguments = convert(given)
            if asked is not None:
                arguments[asked.name] = info(_raw_info=raw, _field=field)  # type: ignore[misc]
            return method(source, **arguments)

        async def later(source: Any, raw: Any, given: Mapping[str, Any]) -> Any:
            # Strawberry's own converts when it is awaited: what fails there fails at the same time here.
            return await call(source, raw, given)

        return later if field.is_async else call

    def _field(self, definition: GraphQLField, *made: str, arguments: bool = False) -> StrawberryField | None:
        """Strawberry's field, if nothing but Strawberry's function of one of these names resolves it."""
        field = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        resolve = definition.resolve
        if (
            self._info is None
            or not isinstance(field, StrawberryField)
            or type(field).get_result is not StrawberryField.get_result
            or field.extensions
            or bool(definition.args) is not arguments
            or getattr(resolve, "__module__", "") != GraphQLCoreConverter.__module__
            or getattr(resolve, "__name__", "") not in made
        ):
            return None
        return field


@cache
def blind(is_type_of: Callable[..., Any]) -> bool:
    """Whether it looks at nothing but the row: the name of its second parameter says that it is not used."""
    return list(signature(is_type_of).parameters)[-1] == "_"


def _method(field: StrawberryField) -> Read | None:
    """The function a resolver was made of, if it takes the row, perhaps the info, and what is asked of the field."""
    resolver = field.base_resolver
    if resolver is None or not resolver.self_parameter or resolver.root_parameter or resolver.parent_parameter:
        return None
    method: Any = resolver.wrapped_func
    if field.is_async != iscoroutinefunction(method):
        return None
    return method if isfunction(method) else None


def _kind(type_: Any) -> Kind:
    if is_list_type(type_):
        return Kind.LIST
    if is_leaf_type(type_):
        return Kind.LEAF
    return Kind.ABSTRACT if is_abstract_type(type_) else Kind.OBJECT


def _table(type_: Any, non_null: bool) -> Table:
    if not is_leaf_type(type_):
        return {}
    table: dict[type, Callable[[Any], Any] | None] = {} if non_null else {type(None): None}
    same = _SAME.get(type_)
    if same is not None:
        return table | {same: None}
    if isinstance(type_, CustomGraphQLEnumType) and issubclass(type_.wrapped_cls, Enum):
        names = {member: type_.coerce_output_value(member) for member in type_.wrapped_cls}
        return table | {type_.wrapped_cls: names.__getitem__}

    return table | dict.fromkeys(_HARMLESS, type_.coerce_output_value)
