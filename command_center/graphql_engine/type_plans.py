"""Plans for the fields and types of a schema.

They contain how a field is read, and how its values are completed. Nothing is executed here. If a field cannot be read
in a known way, its own resolver is called.
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
ResolverWithArguments = Callable[[Any, Any, Mapping[str, Any]], Any]
Table = Mapping[type, Callable[[Any], Any] | None]
"""For values of exactly these types: the function that converts them to a response value, or None if they are one.

A conversion counts only if its result is an atom. A value of any other type may be anything: null, an error, an
awaitable or invalid.
"""


def unknown_type(_: Any) -> Any:
    """Marks a type that is not in a table. It is never called."""
    raise AssertionError


ATOMIC_TYPES = frozenset({str, int, float, bool, list, dict})
"""Types whose values are certainly neither awaitable nor null."""

_HARMLESS = (*ATOMIC_TYPES, datetime, date, timedelta)
"""Types that scalars may convert without a check whether the value is awaitable, null or an error."""

_SAME: Mapping[Any, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}


class RowReference(Protocol):
    """A field that refers to another row.

    Before the field is resolved, the rows that many objects refer to can be loaded together.
    """

    def load(self, context: Any, row: Any, /) -> Any:
        """Return the row that this row refers to, or an awaitable of it."""

    def get_prefetched(self, context: Any, rows: Sequence[Any], /) -> list[Any] | None:
        """Return the rows that these rows refer to if all were prefetched, otherwise None."""

    async def prefetch(self, context: Any, rows: Sequence[Any], /) -> None:
        """Load the rows that these rows refer to."""


class Kind(Enum):
    """The kind of a type without its non-null."""

    LEAF = 1
    LIST = 2
    ABSTRACT = 3
    OBJECT = 4


@dataclass(frozen=True, slots=True, eq=False)
class TypePlan:
    """A type of the schema, analysed once.

    `full` is the type itself, `type` the same without its non-null.
    """

    full: Any
    type: Any
    non_null: bool
    kind: Kind
    item: "TypePlan | None"
    table: Table


@dataclass(frozen=True, slots=True, eq=False)
class FieldPlan:
    """One field of a type, with the ways to resolve it faster than by its resolver.

    `read` needs only the row. `call` takes the row and the info, for fields without arguments. `call_with_arguments`
    also takes the arguments. The field's own resolver always works. `reference` describes the row to load.
    """

    name: str
    definition: GraphQLField
    type_plan: TypePlan
    read: Read | None
    call: Call | None
    call_with_arguments: ResolverWithArguments | None = None
    reference: RowReference | None = None


class TypePlans:
    """The plans of one schema, created when first needed.

    There are at most as many as the schema has fields.
    """

    def __init__(self, schema: GraphQLSchema, reference_key: str) -> None:
        self._schema = schema
        self._reference_key = reference_key
        self._field_plans: dict[tuple[GraphQLObjectType, str], FieldPlan | None] = {}
        self._shapes: dict[int, TypePlan] = {}
        strawberry_schema = getattr(schema, "_strawberry_schema", None)
        # Exception handlers wrap every resolver, so no resolver may be bypassed.
        self._info: Callable[..., Any] | None = None
        if strawberry_schema is not None and not strawberry_schema.schema_converter.exception_handlers:
            self._info = strawberry_schema.config.info_class
        converter = None if strawberry_schema is None else strawberry_schema.schema_converter
        self._conversions = None if converter is None else Conversions(converter.config, converter.scalar_registry)
        self.coercions = Coercions(schema)

    def field_plan(self, parent: GraphQLObjectType, name: str) -> FieldPlan | None:
        """Return the plan of the field with that name, or None if there is no such field."""
        key = parent, name
        if key not in self._field_plans:
            self._field_plans[key] = self._create(parent, name)
        return self._field_plans[key]

    def _create(self, parent: GraphQLObjectType, name: str) -> FieldPlan | None:
        definition = self._schema.get_field(parent, name)
        if definition is None:
            return None
        shape = self._shape(definition.type)
        if name == "__typename":
            return FieldPlan(name, definition, shape, lambda _: parent.name, None)
        read = self._read(definition)
        if read is not None:
            return FieldPlan(name, definition, shape, read, lambda source, _: read(source))
        strawberry_field = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        metadata = strawberry_field.metadata if isinstance(strawberry_field, StrawberryField) else {}
        return FieldPlan(
            *(name, definition, shape, None, self._call(definition), self._call_with_arguments(definition)),
            metadata.get(self._reference_key),
        )

    def _shape(self, type_: Any) -> TypePlan:
        # The schema lives as long as this object, so the id of a type is not reused.
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
        """Return the function behind a resolver without arguments.

        It is called exactly as Strawberry calls it.
        """
        field = self._field(definition, "_resolver", "_async_resolver")
        method = None if field is None else _method(field)
        if field is None or method is None or field.base_resolver is None:
            return None
        info_parameter = field.base_resolver.info_parameter
        if info_parameter is None:
            return lambda source, _: method(source)
        name, info = info_parameter.name, self._info
        return lambda source, raw: method(source, **{name: info(_raw_info=raw, _field=field)})  # type: ignore[misc]

    def _call_with_arguments(self, definition: GraphQLField) -> ResolverWithArguments | None:
        """Return the function behind a resolver with arguments.

        It is called exactly as Strawberry calls it.
        """
        field = self._field(definition, "_resolver", "_async_resolver", takes_arguments=True)
        method = None if field is None else _method(field)
        convert = None if field is None or self._conversions is None else self._conversions.for_field(field)
        if field is None or method is None or convert is None or field.base_resolver is None:
            return None
        info_parameter, info = field.base_resolver.info_parameter, self._info

        def call(source: Any, raw: Any, arguments: Mapping[str, Any]) -> Any:
            keyword_arguments = convert(arguments)
            if info_parameter is not None:
                keyword_arguments[info_parameter.name] = info(_raw_info=raw, _field=field)  # type: ignore[misc]
            return method(source, **keyword_arguments)

        async def later(source: Any, raw: Any, arguments: Mapping[str, Any]) -> Any:
            # Strawberry converts the arguments when the resolver is awaited, so errors must occur at the same time.
            return await call(source, raw, arguments)

        return later if field.is_async else call

    def _field(
        self, definition: GraphQLField, *function_names: str, takes_arguments: bool = False
    ) -> StrawberryField | None:
        """Return Strawberry's field if only one of these functions resolves it.

        They are Strawberry's own functions, given by name.
        """
        field = definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        resolve = definition.resolve
        if (
            self._info is None
            or not isinstance(field, StrawberryField)
            or type(field).get_result is not StrawberryField.get_result
            or field.extensions
            or bool(definition.args) is not takes_arguments
            or getattr(resolve, "__module__", "") != GraphQLCoreConverter.__module__
            or getattr(resolve, "__name__", "") not in function_names
        ):
            return None
        return field


@cache
def ignores_info(is_type_of: Callable[..., Any]) -> bool:
    """Return whether the function uses only the row.

    Its second parameter is then named `_`.
    """
    return list(signature(is_type_of).parameters)[-1] == "_"


def _method(field: StrawberryField) -> Read | None:
    """Return the function of a resolver if it takes only supported parameters.

    These are the row, the info and the field's arguments.
    """
    resolver = field.base_resolver
    if resolver is None or resolver.root_parameter:
        return None
    # The row is passed by position, so its parameter must be the first: `self`, or that of a static method.
    row_parameters = [each for each in (resolver.self_parameter, resolver.parent_parameter) if each is not None]
    if row_parameters != list(resolver.signature.parameters.values())[:1]:
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
