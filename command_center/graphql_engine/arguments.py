"""Converts a field's arguments to those of its resolver, as Strawberry does.

Strawberry looks up names, types and defaults again for each input object, and a mutation may have hundreds. Here the
lookups happen once. Types that are not supported here (those with their own `from_input`, decoded ids, `Maybe`) make
the whole field fall back to Strawberry.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any, TypeAlias

from strawberry.relay.types import GlobalID
from strawberry.scalars import is_scalar
from strawberry.schema.config import StrawberryConfig
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryOptional,
    has_object_definition,
)
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.types.unset import UNSET

Convert: TypeAlias = Callable[[Any], Any]
"""Converts one value to what a resolver takes."""
Arguments: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Converts a field's arguments, by their names in GraphQL, to the keyword arguments of its resolver."""


class _Unsupported(Exception):
    """Only Strawberry can convert values of this type."""


def _identity(value: Any) -> Any:
    return value


class Conversions:
    """The argument conversions of one schema."""

    def __init__(self, config: StrawberryConfig, scalars: Mapping[Any, Any]) -> None:
        self._names = config.name_converter
        self._scalars = scalars
        self._inputs: dict[Any, Convert] = {}

    def for_field(self, field: StrawberryField) -> Arguments | None:
        """Return the conversion of a field's arguments.

        The result is None if Strawberry has to convert them.
        """
        try:
            parameters = [
                (self._names.from_argument(each), each.python_name, self._convert(each.type))
                for each in field.arguments
            ]
        except _Unsupported:
            return None

        def convert(arguments: Mapping[str, Any]) -> dict[str, Any]:
            return {name: make(arguments[key]) for key, name, make in parameters if key in arguments}

        return convert

    def _convert(self, type_: Any) -> Convert:
        if isinstance(type_, StrawberryMaybe) or type_ is GlobalID:
            raise _Unsupported
        if isinstance(type_, StrawberryOptional):
            return self._convert(type_.of_type)
        if isinstance(type_, LazyType):
            return self._convert(type_.resolve_type())
        if isinstance(type_, StrawberryList):
            return self._list(self._convert(type_.of_type))
        if is_scalar(type_, self._scalars) or isinstance(type_, StrawberryEnumDefinition) or has_enum_definition(type_):
            return _identity
        if has_object_definition(type_):
            return self._input(type_)
        raise _Unsupported

    def _list(self, item: Convert) -> Convert:
        def convert(value: Any) -> Any:
            if value is None or value is UNSET:
                return value
            # A default is one list for all requests, so a resolver must not receive the list itself.
            return list(value) if item is _identity else [item(each) for each in value]

        return convert

    def _input(self, type_: Any) -> Convert:
        if type_ in self._inputs:
            # An input type may contain itself. When values are converted, the dictionary holds the final conversion.
            return lambda value: self._inputs[type_](value)
        self._inputs[type_] = _identity
        try:
            convert = self._inputs[type_] = self._input_conversion(type_)
        except _Unsupported:
            del self._inputs[type_]
            raise
        return convert

    def _input_conversion(self, type_: Any) -> Convert:
        definition = type_.__strawberry_definition__
        if definition.from_input is not None:
            raise _Unsupported
        absent = {
            each.python_name: None
            for each in definition.fields
            if definition.is_input and each.default_value is MISSING and each.default_factory is MISSING
        }
        fields = [
            (
                self._names.from_field(each),
                each.python_name,
                self._convert(each.resolve_type(type_definition=definition)),
            )
            for each in definition.fields
        ]

        def convert(value: Any) -> Any:
            if value is None or value is UNSET:
                return value
            arguments = absent.copy()
            for graphql_name, name, make in fields:
                if graphql_name in value:
                    arguments[name] = value[graphql_name] if make is _identity else make(value[graphql_name])
            return type_(**arguments)

        return convert
