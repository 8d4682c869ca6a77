"""Variables on their way from JSON to graphql-core's values: its coercion, worked out once for each type.

graphql-core asks each value anew which type it is of; a mutation may bring hundreds of objects. Only what is plainly
right is coerced here. Anything else is left to graphql-core, which also knows what to say of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

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
Values: TypeAlias = Callable[[Mapping[str, Any]], VariableValues | None]
"""Makes the variables of an operation of those a client sent; None where graphql-core has to look at them."""


class NotPlain(Exception):
    """Wrong, or right in a way that is not known here."""


class Coercions:
    """Of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._objects: dict[GraphQLInputObjectType, Coerce] = {}

    def of(self, definitions: Sequence[VariableDefinitionNode]) -> Values:
        """What makes the variables of an operation."""
        known: list[tuple[GraphQLVariableSignature, Coerce, bool]] = []
        for each in definitions:
            signature = get_variable_signature(self._schema, each)
            if isinstance(signature, GraphQLError):
                return _left
            absent = signature.default is None and not is_non_null_type(signature.type)
            known.append((signature, self.coerce(signature.type), absent))

        def values(given: Mapping[str, Any]) -> VariableValues | None:
            sources: dict[str, VariableValueSource] = {}
            coerced: dict[str, Any] = {}
            try:
                for signature, coerce, absent in known:
                    name = signature.name
                    value = given.get(name, Undefined)
                    sources[name] = VariableValueSource(signature, value)
                    if value is not Undefined:
                        coerced[name] = coerce(value)
                    elif not absent:
                        return None
            except Exception:
                return None
            return VariableValues(sources, coerced)

        return values

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
                raise NotPlain
            coerced: dict[str, Any] = {}
            found = 0
            for name, called, coerce, instead in fields:
                if name in value:
                    coerced[called] = coerce(value[name])
                    found += 1
                elif instead is not None:
                    coerced[called] = instead()
            if found != len(value) or (one and (len(coerced) != 1 or None in coerced.values())):
                raise NotPlain
            return coerced if out is None else out(coerced)

        return convert


def _left(_: Mapping[str, Any]) -> None:
    return None


def _instead(field: GraphQLInputField) -> Callable[[], Any] | None:
    """What stands for a field that is absent: None where nothing does."""
    if is_required_input_field(field):
        return _refused
    if coerce_default_value(field) is Undefined:
        return None
    # Made anew each time: a resolver may change what it is given.
    return lambda: coerce_default_value(field)


def _refused() -> Any:
    raise NotPlain


def _list(item: Coerce) -> Coerce:
    def convert(value: Any) -> Any:
        if type(value) is not list:
            raise NotPlain
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
            raise NotPlain
        return coerce(value)

    return convert


def _text(value: Any) -> str:
    if type(value) is not str:
        raise NotPlain
    return value
