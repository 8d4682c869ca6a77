"""Arguments on their way from graphql-core's values to what a resolver takes: Strawberry's conversion, worked out once.

Strawberry looks up names, types and defaults anew for every input object; a mutation may bring hundreds. What is not
understood here (types that build themselves, ids that are decoded, `Maybe`) is left to Strawberry, and its field too.
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
"""Makes a value what a resolver takes."""
Arguments: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Makes the arguments of a field, by their names in GraphQL, those of its function."""


class _Unknown(Exception):
    """Strawberry converts this in a way that is not known here."""


def _same(value: Any) -> Any:
    return value


class Conversions:
    """Of one schema."""

    def __init__(self, config: StrawberryConfig, scalars: Mapping[Any, Any]) -> None:
        self._names = config.name_converter
        self._scalars = scalars
        self._inputs: dict[Any, Convert] = {}

    def of(self, field: StrawberryField) -> Arguments | None:
        """What converts the arguments of a field, or None where that is Strawberry's business."""
        try:
            known = [
                (self._names.from_argument(each), each.python_name, self._convert(each.type))
                for each in field.arguments
            ]
        except _Unknown:
            return None

        def convert(given: Mapping[str, Any]) -> dict[str, Any]:
            return {name: make(given[called]) for called, name, make in known if called in given}

        return convert

    def _convert(self, type_: Any) -> Convert:
        if isinstance(type_, StrawberryMaybe) or type_ is GlobalID:
            raise _Unknown
        if isinstance(type_, StrawberryOptional):
            return self._convert(type_.of_type)
        if isinstance(type_, LazyType):
            return self._convert(type_.resolve_type())
        if isinstance(type_, StrawberryList):
            return self._list(self._convert(type_.of_type))
        if is_scalar(type_, self._scalars) or isinstance(type_, StrawberryEnumDefinition) or has_enum_definition(type_):
            return _same
        if has_object_definition(type_):
            return self._input(type_)
        raise _Unknown

    def _list(self, item: Convert) -> Convert:
        def convert(value: Any) -> Any:
            if value is None or value is UNSET:
                return value
            # A default is the same list for every request: nobody may get hold of it.
            return list(value) if item is _same else [item(each) for each in value]

        return convert

    def _input(self, type_: Any) -> Convert:
        if type_ in self._inputs:
            # It may hold itself: by the time anything is converted, it is there.
            return lambda value: self._inputs[type_](value)
        self._inputs[type_] = _same
        try:
            made = self._inputs[type_] = self._made(type_)
        except _Unknown:
            del self._inputs[type_]
            raise
        return made

    def _made(self, type_: Any) -> Convert:
        definition = type_.__strawberry_definition__
        if definition.from_input is not None:
            raise _Unknown
        absent = {
            each.python_name: None
            for each in definition.fields
            if definition.is_input and each.default_value is MISSING and each.default_factory is MISSING
        }
        known = [
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
            given = absent.copy()
            for called, name, make in known:
                if called in value:
                    given[name] = value[called] if make is _same else make(value[called])
            return type_(**given)

        return convert
