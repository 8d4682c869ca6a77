"""Variables on their way from JSON to graphql-core's values: its coercion, worked out once for each type.

graphql-core asks each value anew which type it is of; a mutation may bring hundreds of objects. Only what is plainly
right is coerced here. Anything else is left to graphql-core, which also knows what to say of it.
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
"""Makes a value of JSON one of a type. Raises anything where the value is not plainly of the type."""
SLICE = 100
"""Items of a list that are coerced in one turn of the event loop, if it is a variable of its own."""


class NeedsFullCoercion(Exception):
    """Wrong, or right in a way that is not known here."""


class _Variable(NamedTuple):
    signature: GraphQLVariableSignature
    coerce: Coerce
    may_be_absent: bool
    is_list: bool


class VariableCoercion:
    """Makes the variables of one operation from those that a client sent; None if graphql-core has to look at them."""

    def __init__(self, variables: Sequence[_Variable] | None) -> None:
        self._variables = variables

    def __call__(self, given: Mapping[str, Any]) -> VariableValues | None:
        steps = self._steps(given, None)
        try:
            next(steps)
        except StopIteration as stop:
            return cast(VariableValues | None, stop.value)
        raise RuntimeError("coercion without slices takes one step")

    def is_long(self, given: Mapping[str, Any]) -> bool:
        """Whether a list is long enough to be coerced in slices."""
        return any(type(value) is list and len(value) > SLICE for value in given.values())

    async def in_slices(self, given: Mapping[str, Any]) -> VariableValues | None:
        """Like a call. In between others have their turns."""
        steps = self._steps(given, SLICE)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return cast(VariableValues | None, stop.value)
            await asyncio.sleep(0)

    def _steps(self, given: Mapping[str, Any], slice_: int | None) -> Generator[None, None, VariableValues | None]:
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        if self._variables is None:
            return None
        try:
            for signature, coerce, may_be_absent, is_list in self._variables:
                name = signature.name
                value = given.get(name, Undefined)
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
    """Of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._objects: dict[GraphQLInputObjectType, Coerce] = {}

    def of(self, definitions: Sequence[VariableDefinitionNode]) -> "VariableCoercion":
        """What makes the variables of an operation."""
        known: list[_Variable] = []
        for each in definitions:
            signature = get_variable_signature(self._schema, each)
            if isinstance(signature, GraphQLError):
                return VariableCoercion(None)
            absent = signature.default is None and not is_non_null_type(signature.type)
            plain = signature.type.of_type if is_non_null_type(signature.type) else signature.type
            known.append(_Variable(signature, self.coerce(signature.type), absent, is_list_type(plain)))
        return VariableCoercion(known)

    def coerce(self, type_: Any) -> Coerce:
        """What coerces values of a type."""
        if is_non_null_type(type_):
            return self._present(type_.of_type)
        present = self._present(type_)
        return lambda value: None if value is None else present(value)

    def _present(self, type_: Any) -> Coerce:
        """Where the value may not be null."""
        if is_list_type(type_):
            return _list(self.coerce(type_.of_type))
        if is_input_object_type(type_):
            known = self._objects.get(type_)
            if known is None:
                # An input object may hold itself, so it is looked up when a value comes.
                self._objects[type_] = lambda value: self._objects[type_](value)
                known = self._objects[type_] = self._object(type_)
            return known
        return _leaf(type_)

    def _object(self, type_: GraphQLInputObjectType) -> Coerce:
        fields = [
            (name, field.out_name or name, self.coerce(field.type), _instead(field))
            for name, field in type_.fields.items()
        ]
        # A type's own way of making its value, where it has one.
        out = None if type_.out_type is GraphQLInputObjectType.out_type else type_.out_type
        one = type_.is_one_of

        def convert(value: Any) -> Any:
            if type(value) is not dict:
                raise NeedsFullCoercion
            coerced: dict[str, Any] = {}
            found = 0
            for name, called, coerce, instead in fields:
                if name in value:
                    coerced[called] = coerce(value[name])
                    found += 1
                elif instead is not None:
                    coerced[called] = instead()
            if found != len(value) or (one and (len(coerced) != 1 or None in coerced.values())):
                raise NeedsFullCoercion
            return coerced if out is None else out(coerced)

        return convert


def _instead(field: GraphQLInputField) -> Callable[[], Any] | None:
    """What stands for a field that is absent: None where nothing does."""
    if is_required_input_field(field):
        return _refused
    if coerce_default_value(field) is Undefined:
        return None
    # Made anew each time: a resolver may change what it is given.
    return lambda: coerce_default_value(field)


def _refused() -> Any:
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
