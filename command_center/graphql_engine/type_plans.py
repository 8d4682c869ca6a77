"""Analyses the fields and types of a schema once: their plans.

They contain how a field is read, and how its values are completed. Nothing is executed here. If a field cannot be read
in a known way, its own resolver is called.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from inspect import iscoroutinefunction, isfunction, signature
from operator import attrgetter
from typing import Any, Protocol, TypeAlias, cast

import strawberry
from graphql import (
    GraphQLAbstractType,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLID,
    GraphQLIsTypeOfFn,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLString,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

from command_center.graphql_engine.arguments import ArgumentConversions
from command_center.graphql_engine.variables import InputCoercions

Info: TypeAlias = GraphQLResolveInfo[object]
NO_INFO = cast(Info, None)
"""For functions that ignore the info."""

Read: TypeAlias = Callable[[object], object]
Call: TypeAlias = Callable[[object, Info], object]
ResolverWithArguments: TypeAlias = Callable[[object, Info, Mapping[str, object]], object]
Resolver: TypeAlias = Callable[..., Any]
"""A function of the schema. Its result is a value, or an awaitable if the function is asynchronous."""
Table: TypeAlias = Mapping[type, Read | None]
"""For values of exactly these types: the function that converts them to a response value, or None if they are one.

A conversion counts only if its result is an atom. A value of any other type may be anything: null, an error, an
awaitable or invalid.
"""


def unknown_type(_: object) -> object:
    """Stand for the missing conversion of an unknown type. This is never called."""
    raise AssertionError


ATOMIC_TYPES = frozenset({str, int, float, bool, list, dict})
"""Types whose values are certainly neither awaitable nor null."""

_HARMLESS = (*ATOMIC_TYPES, datetime, date, timedelta)
"""Types that scalars may convert without a check whether the value is awaitable, null or an error."""

_SAME: Mapping[GraphQLLeafType, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}


class RowReference(Protocol):
    """A field that refers to another row.

    Before the field is resolved, the rows that many objects refer to can be loaded together.
    """

    def load(self, context: object, row: object, /) -> object:
        """Return the row that this row refers to, or an awaitable of it."""

    def get_prefetched(self, context: object, rows: Sequence[object], /) -> list[object] | None:
        """Return the rows that these rows refer to if all were prefetched, otherwise None."""

    async def prefetch(self, context: object, rows: Sequence[object], /) -> None:
        """Load the rows that these rows refer to."""


@dataclass(frozen=True, slots=True, eq=False)
class TypePlan:
    """A type of the schema, analysed once. Of the last four attributes, one is set.

    `table` is empty unless the type is a leaf.
    """

    non_null: bool
    table: Table
    object_type: GraphQLObjectType | None = None
    leaf_type: GraphQLLeafType | None = None
    abstract_type: GraphQLAbstractType | None = None
    item: "TypePlan | None" = None
    """The plan of the items, if the type is a list."""


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

    def __init__(self, schema: GraphQLSchema, reference_key: str, row_types: tuple[type, ...] = ()) -> None:
        self.schema = schema
        self.row_types = row_types
        self._reference_key = reference_key
        self._field_plans: dict[tuple[GraphQLObjectType, str], FieldPlan | None] = {}
        self._type_plans: dict[int, TypePlan] = {}
        source = getattr(schema, "_strawberry_schema", None)
        strawberry_schema = source if isinstance(source, strawberry.Schema) else None
        self._converter = None if strawberry_schema is None else strawberry_schema.schema_converter
        self._arguments = None if strawberry_schema is None else ArgumentConversions(strawberry_schema)
        self.coercions = InputCoercions()

    def plan_field(self, parent: GraphQLObjectType, name: str) -> FieldPlan | None:
        """Return the plan of the field with that name, or None if there is no such field."""
        key = parent, name
        if key not in self._field_plans:
            self._field_plans[key] = self._create_field_plan(parent, name)
        return self._field_plans[key]

    def _create_field_plan(self, parent: GraphQLObjectType, name: str) -> FieldPlan | None:
        definition = self.schema.get_field(parent, name)
        if definition is None:
            return None
        type_plan = self._plan_type(definition.type)
        if name == "__typename":
            return FieldPlan(name, definition, type_plan, lambda _: parent.name, None)
        read = self._find_read(definition)
        if read is not None:
            return FieldPlan(name, definition, type_plan, read, lambda source, _: read(source))
        field = self._find_definition(definition)
        return FieldPlan(
            *(
                name,
                definition,
                type_plan,
                None,
                self._create_call(definition),
                self._create_call_with_arguments(definition),
            ),
            field.metadata.get(self._reference_key) if isinstance(field, StrawberryField) else None,
        )

    def _plan_type(self, type_: GraphQLOutputType) -> TypePlan:
        # The schema lives as long as this object, so the id of a type is not reused.
        plan = self._type_plans.get(id(type_))
        if plan is None:
            plan = self._type_plans[id(type_)] = self._create_type_plan(type_)
        return plan

    def _create_type_plan(self, type_: GraphQLOutputType) -> TypePlan:
        non_null = is_non_null_type(type_)
        nullable = type_.of_type if is_non_null_type(type_) else type_
        if is_list_type(nullable):
            return TypePlan(non_null, {}, item=self._plan_type(nullable.of_type))
        if is_leaf_type(nullable):
            return TypePlan(non_null, self._create_table(nullable, non_null), leaf_type=nullable)
        if is_abstract_type(nullable):
            return TypePlan(non_null, {}, abstract_type=nullable)
        assert is_object_type(nullable)
        return TypePlan(non_null, {}, object_type=nullable)

    def _create_table(self, type_: GraphQLLeafType, non_null: bool) -> Table:
        table: dict[type, Read | None] = {} if non_null else {type(None): None}
        same = _SAME.get(type_)
        if same is not None:
            return table | {same: None}
        enum = self._find_definition(type_) if isinstance(type_, GraphQLEnumType) else None
        if isinstance(enum, StrawberryEnumDefinition):
            members: Iterable[object] = enum.wrapped_cls
            names: dict[object, object] = {member: type_.coerce_output_value(member) for member in members}
            return table | {enum.wrapped_cls: names.__getitem__}
        return table | dict.fromkeys(_HARMLESS, type_.coerce_output_value)

    def _find_definition(self, element: GraphQLField | GraphQLEnumType) -> object:
        """Return Strawberry's definition of a field or an enum, or None.

        The result is None if Strawberry did not define it.
        """
        return None if self._converter is None else element.extensions.get(self._converter.DEFINITION_BACKREF)

    def _find_read(self, definition: GraphQLField) -> Read | None:
        field = self._find_field(definition)
        if field is None:
            return None
        if field.is_basic_field:
            return attrgetter(field.python_name) if field.default_resolver is getattr else None
        method = _find_method(field)
        takes_info = field.base_resolver is not None and field.base_resolver.info_parameter is not None
        return None if field.is_async or takes_info else method

    def _create_call(self, definition: GraphQLField) -> Call | None:
        """Return the function behind a resolver without arguments.

        It is called exactly as Strawberry calls it.
        """
        field = self._find_field(definition)
        method = None if field is None else _find_method(field)
        if field is None or method is None or field.base_resolver is None or self._converter is None:
            return None
        info_parameter = field.base_resolver.info_parameter
        if info_parameter is None:
            return lambda source, _: method(source)
        name, create_info = info_parameter.name, self._converter.config.info_class
        return lambda source, raw: method(source, **{name: create_info(raw, field)})

    def _create_call_with_arguments(self, definition: GraphQLField) -> ResolverWithArguments | None:
        """Return the function behind a resolver with arguments.

        It is called exactly as Strawberry calls it.
        """
        field = self._find_field(definition, takes_arguments=True)
        method = None if field is None else _find_method(field)
        convert = None if field is None or self._arguments is None else self._arguments.create_conversion(field)
        if field is None or method is None or convert is None or field.base_resolver is None or not self._converter:
            return None
        info_parameter, create_info = field.base_resolver.info_parameter, self._converter.config.info_class

        def call(source: object, raw: Info, arguments: Mapping[str, object]) -> Any:
            keyword_arguments = convert(arguments)
            if info_parameter is not None:
                keyword_arguments[info_parameter.name] = create_info(raw, field)
            return method(source, **keyword_arguments)

        async def later(source: object, raw: Info, arguments: Mapping[str, object]) -> object:
            # Strawberry converts the arguments when the resolver is awaited, so errors must occur at the same time.
            return await call(source, raw, arguments)

        return later if field.is_async else call

    def _find_field(self, definition: GraphQLField, takes_arguments: bool = False) -> StrawberryField | None:
        """Return Strawberry's field if only its own resolver function resolves it.

        Otherwise, for example if it has extensions, return None. `takes_arguments` tells whether it must have
        arguments.
        """
        field = self._find_definition(definition)
        if (
            self._converter is None
            # Exception handlers wrap every resolver, so no resolver may be bypassed.
            or self._converter.exception_handlers
            or not isinstance(field, StrawberryField)
            # The value of a subscription's field is the event.
            or field.is_subscription
            or type(field).get_result is not StrawberryField.get_result
            or field.extensions
            or bool(definition.args) is not takes_arguments
            or getattr(definition.resolve, "__module__", "") != type(self._converter).__module__
        ):
            return None
        return field


@cache
def ignores_info(is_type_of: GraphQLIsTypeOfFn) -> bool:
    """Return whether the function uses only the row.

    Its second parameter is then named `_`.
    """
    return list(signature(is_type_of).parameters)[-1] == "_"


def _find_method(field: StrawberryField) -> Resolver | None:
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
    method: object = resolver.wrapped_func
    return method if isfunction(method) and field.is_async == iscoroutinefunction(method) else None
