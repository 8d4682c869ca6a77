"""Coerces variables from JSON, with the type lookups done once for each type.

graphql-core determines the type of each value again, and a mutation may have hundreds of objects. Only values that are
certainly valid are coerced here. Everything else is left to graphql-core, which also produces the error messages.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLLeafType,
    GraphQLSchema,
    GraphQLString,
    Undefined,
    VariableDefinitionNode,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities.coerce_input_value import coerce_default_value

Coerce: TypeAlias = Callable[[Any], Any]
"""Coerces a JSON value to a type. Raises any exception if the value is not certainly valid."""
SLICE_ITEMS = 100
"""Items of a variable's list that are coerced without a pause for other tasks."""


class NeedsFullCoercion(Exception):
    """The value is invalid, or valid in a way that only graphql-core supports."""


class _Variable(NamedTuple):
    """One variable of an operation, with the coercion of its type."""

    signature: GraphQLVariableSignature
    coerce: Coerce
    may_be_absent: bool
    is_list: bool


class VariableCoercion:
    """Coerces the variables of one operation.

    The result is None if graphql-core has to do it.
    """

    def __init__(self, variables: Sequence[_Variable] | None) -> None:
        self._variables = variables

    def __call__(self, raw: Mapping[str, Any]) -> VariableValues | None:
        steps = self._steps(raw, None)
        try:
            next(steps)
        except StopIteration as stop:
            return cast(VariableValues | None, stop.value)
        raise RuntimeError("coercion without slices takes one step")

    def is_long(self, raw: Mapping[str, Any]) -> bool:
        """Return whether a list is so long that it should be coerced in slices."""
        return any(type(value) is list and len(value) > SLICE_ITEMS for value in raw.values())

    async def in_slices(self, raw: Mapping[str, Any]) -> VariableValues | None:
        """Coerce like `__call__`, but let other tasks run between slices."""
        steps = self._steps(raw, SLICE_ITEMS)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return cast(VariableValues | None, stop.value)
            await asyncio.sleep(0)

    def _steps(self, raw: Mapping[str, Any], slice_: int | None) -> Generator[None, None, VariableValues | None]:
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        if self._variables is None:
            return None
        try:
            for signature, coerce, may_be_absent, is_list in self._variables:
                name = signature.name
                value = raw.get(name, Undefined)
                sources[name] = VariableValueSource(signature, value)
                if slice_ is not None and is_list and type(value) is list:
                    coerced[name] = []
                    for start in range(0, len(value), slice_):
                        coerced[name] += coerce(value[start : start + slice_])
                        yield
                elif value is not Undefined:
                    coerced[name] = coerce(value)
                elif not may_be_absent:
                    return None
        except Exception:
            return None
        return VariableValues(sources, coerced)


class Coercions:
    """The coercions of one schema, created once for each type."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._objects: dict[GraphQLInputObjectType, Coerce] = {}

    def for_variables(self, definitions: Sequence[VariableDefinitionNode]) -> "VariableCoercion":
        """Return the coercion of an operation's variables."""
        variables: list[_Variable] = []
        for each in definitions:
            signature = get_variable_signature(self._schema, each)
            if isinstance(signature, GraphQLError):
                return VariableCoercion(None)
            may_be_absent = signature.default is None and not is_non_null_type(signature.type)
            nullable_type = signature.type.of_type if is_non_null_type(signature.type) else signature.type
            variables.append(
                _Variable(signature, self.coerce(signature.type), may_be_absent, is_list_type(nullable_type))
            )
        return VariableCoercion(variables)

    def coerce(self, type_: Any) -> Coerce:
        """Return the coercion of values of a type."""
        if is_non_null_type(type_):
            return self._present(type_.of_type)
        present = self._present(type_)
        return lambda value: None if value is None else present(value)

    def _present(self, type_: Any) -> Coerce:
        """Return the coercion of values that must not be null."""
        if is_list_type(type_):
            return _list(self.coerce(type_.of_type))
        if is_input_object_type(type_):
            coerce = self._objects.get(type_)
            if coerce is None:
                # An input type may contain itself, so the inner coercion is looked up when a value is coerced.
                self._objects[type_] = lambda value: self._objects[type_](value)
                coerce = self._objects[type_] = self._object(type_)
            return coerce
        return _leaf(type_)

    def _object(self, type_: GraphQLInputObjectType) -> Coerce:
        fields = [
            (name, field.out_name or name, self.coerce(field.type), _default_factory(field))
            for name, field in type_.fields.items()
        ]
        # A type may have its own function that creates its values.
        build = None if type_.out_type is GraphQLInputObjectType.out_type else type_.out_type
        is_one_of = type_.is_one_of

        def convert(value: Any) -> Any:
            if type(value) is not dict:
                raise NeedsFullCoercion
            coerced: dict[str, Any] = {}
            matched = 0
            for name, out_name, coerce, default in fields:
                if name in value:
                    coerced[out_name] = coerce(value[name])
                    matched += 1
                elif default is not None:
                    coerced[out_name] = default()
            if matched != len(value) or (is_one_of and (len(coerced) != 1 or None in coerced.values())):
                raise NeedsFullCoercion
            return coerced if build is None else build(coerced)

        return convert


def _default_factory(field: GraphQLInputField) -> Callable[[], Any] | None:
    """Return what creates the value of an absent field, or None if it stays absent."""
    if is_required_input_field(field):
        return _needs_full
    if coerce_default_value(field) is Undefined:
        return None
    # A new value each time, because a resolver may change it.
    return lambda: coerce_default_value(field)


def _needs_full() -> Any:
    raise NeedsFullCoercion


def _list(item: Coerce) -> Coerce:
    def convert(value: Any) -> Any:
        if type(value) is not list:
            raise NeedsFullCoercion
        return [item(each) for each in value]

    return convert


def _leaf(type_: GraphQLLeafType) -> Coerce:
    if type_ is GraphQLString or type_ is GraphQLID:
        return _text
    if isinstance(type_, GraphQLEnumType):
        table = {name: type_.coerce_input_value(name) for name in type_.values}
        return table.__getitem__
    coerce = type_.coerce_input_value

    def convert(value: Any) -> Any:
        if value is None:
            raise NeedsFullCoercion
        return coerce(value)

    return convert


def _text(value: Any) -> str:
    if type(value) is not str:
        raise NeedsFullCoercion
    return value
