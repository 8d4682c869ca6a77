"""Converts a field's arguments to those of its resolver, as Strawberry does.

Strawberry looks up names, types and defaults again for each input object, and a mutation may have hundreds. Here the
lookups happen once. Types that are not supported here (those with their own `from_input`, decoded ids, `Maybe`) make
the whole field fall back to Strawberry.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any, TypeAlias

from strawberry import UNSET, LazyType, Schema
from strawberry.relay import GlobalID
from strawberry.scalars import is_scalar
from strawberry.types import get_object_definition, has_object_definition
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryOptional,
    WithStrawberryObjectDefinition,
)
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.field import StrawberryField

Convert: TypeAlias = Callable[[Any], object]
"""Converts one value to what a resolver takes. graphql-core has checked that the value has the type of the argument."""
ConvertArguments: TypeAlias = Callable[[Mapping[str, object]], dict[str, object]]
"""Converts a field's arguments, by their names in GraphQL, to the keyword arguments of its resolver."""


class _Unsupported(Exception):
    """Only Strawberry can convert values of this type."""


def _keep(value: object) -> object:
    return value


class ArgumentConversions:
    """Creates the functions that convert the arguments of one schema's fields."""

    def __init__(self, schema: Schema) -> None:
        self._names = schema.config.name_converter
        self._scalars = schema.schema_converter.scalar_registry
        self._inputs: dict[object, Convert] = {}

    def create_conversion(self, field: StrawberryField) -> ConvertArguments | None:
        """Return a function that converts a field's arguments to its resolver's.

        The result is None if Strawberry has to convert them.
        """
        try:
            parameters = [
                (self._names.from_argument(each), each.python_name, self._find_conversion(each.type))
                for each in field.arguments
            ]
        except _Unsupported:
            return None

        def convert(arguments: Mapping[str, object]) -> dict[str, object]:
            return {name: make(arguments[key]) for key, name, make in parameters if key in arguments}

        return convert

    def _find_conversion(self, type_: object) -> Convert:
        if isinstance(type_, StrawberryMaybe) or type_ is GlobalID:
            raise _Unsupported
        if isinstance(type_, StrawberryOptional):
            return self._find_conversion(type_.of_type)
        if isinstance(type_, LazyType):
            return self._find_conversion(type_.resolve_type())
        if isinstance(type_, StrawberryList):
            return self._create_list_conversion(self._find_conversion(type_.of_type))
        if is_scalar(type_, self._scalars) or isinstance(type_, StrawberryEnumDefinition) or has_enum_definition(type_):
            return _keep
        if has_object_definition(type_):
            return self._find_input_conversion(type_)
        raise _Unsupported

    def _create_list_conversion(self, item: Convert) -> Convert:
        def convert(value: list[object] | None) -> object:
            if value is None or value is UNSET:
                return value
            # A default is one list for all requests, so a resolver must not receive the list itself.
            return list(value) if item is _keep else [item(each) for each in value]

        return convert

    def _find_input_conversion(self, type_: type[WithStrawberryObjectDefinition]) -> Convert:
        if type_ in self._inputs:
            # An input type may contain itself. When values are converted, the dictionary holds the final conversion.
            return lambda value: self._inputs[type_](value)
        self._inputs[type_] = _keep
        try:
            convert = self._inputs[type_] = self._create_input_conversion(type_)
        except _Unsupported:
            del self._inputs[type_]
            raise
        return convert

    def _create_input_conversion(self, type_: type[WithStrawberryObjectDefinition]) -> Convert:
        definition = get_object_definition(type_, strict=True)
        if definition.from_input is not None:
            raise _Unsupported
        absent: dict[str, object] = {
            each.python_name: None
            for each in definition.fields
            if definition.is_input and each.default_value is MISSING and each.default_factory is MISSING
        }
        fields = [
            (
                self._names.from_field(each),
                each.python_name,
                self._find_conversion(each.resolve_type(type_definition=definition)),
            )
            for each in definition.fields
        ]

        def convert(value: Mapping[str, object] | None) -> object:
            if value is None or value is UNSET:
                return value
            arguments = absent.copy()
            for graphql_name, name, make in fields:
                if graphql_name in value:
                    arguments[name] = value[graphql_name] if make is _keep else make(value[graphql_name])
            return type_(**arguments)

        return convert
