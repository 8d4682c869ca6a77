"""Coerces variables from JSON, with the type lookups done once for each type.

graphql-core determines the type of each value again, and a mutation may have hundreds of objects. Only values that are
certainly valid are coerced here. Everything else is left to graphql-core, which also produces the error messages.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import NamedTuple, TypeAlias, cast

from graphql import (
    GraphQLEnumType,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLLeafType,
    GraphQLString,
    Undefined,
    coerce_input_literal,
    coerce_input_value,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)
from graphql.execution import VariableValues

Coerce: TypeAlias = Callable[[object], object]
"""Coerces a JSON value to a type. Raises any exception if the value is not certainly valid."""
SLICE_ITEMS = 100
"""Items of a variable's list that are coerced without a pause for other tasks."""


class NeedsFullCoercion(Exception):
    """The value is invalid, or valid in a way that only graphql-core supports."""


class _CoercedVariable(NamedTuple):
    """One variable of an operation, with the coercion of its type."""

    name: str
    coerce: Coerce
    may_be_absent: bool
    coerce_item: Coerce | None
    """The coercion of an item, if the type is a list."""


class VariableCoercion:
    """Coerces the variables of one operation.

    `example` are valid values that graphql-core coerced. They contain the signatures of the variables.
    """

    def __init__(self, variables: Sequence[_CoercedVariable], example: VariableValues) -> None:
        self._variables = variables
        # Without the values, which belong to one client.
        self._blank_sources = {name: source._replace(value=Undefined) for name, source in example.sources.items()}

    def coerce(self, raw: Mapping[str, object]) -> VariableValues | None:
        """Return the coerced variables, or None if graphql-core has to coerce them."""
        steps = self._coerce_in_steps(raw, None)
        try:
            next(steps)
        except StopIteration as stop:
            return cast(VariableValues | None, stop.value)
        raise RuntimeError("coercion without slices takes one step")

    def is_long(self, raw: Mapping[str, object]) -> bool:
        """Return whether a list is so long that it should be coerced in slices."""
        return any(isinstance(value, list) and len(value) > SLICE_ITEMS for value in raw.values())

    async def coerce_in_slices(self, raw: Mapping[str, object]) -> VariableValues | None:
        """Coerce like `coerce`, but let other tasks run between slices."""
        steps = self._coerce_in_steps(raw, SLICE_ITEMS)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return cast(VariableValues | None, stop.value)
            await asyncio.sleep(0)

    def _coerce_in_steps(
        self, raw: Mapping[str, object], slice_items: int | None
    ) -> Generator[None, None, VariableValues | None]:
        sources = self._blank_sources.copy()
        coerced: dict[str, object] = {}
        try:
            for name, coerce, may_be_absent, coerce_item in self._variables:
                value = raw.get(name, Undefined)
                if value is not Undefined:
                    sources[name] = sources[name]._replace(value=value)
                if slice_items is not None and coerce_item is not None and type(value) is list:
                    items: list[object] = []
                    for start in range(0, len(value), slice_items):
                        items += map(coerce_item, value[start : start + slice_items])
                        yield
                    coerced[name] = items
                elif value is not Undefined:
                    coerced[name] = coerce(value)
                elif not may_be_absent:
                    return None
        except Exception:
            return None
        return VariableValues(sources, coerced)


class InputCoercions:
    """The coercions of one schema's input types, created once for each type."""

    def __init__(self) -> None:
        self._objects: dict[GraphQLInputObjectType, Coerce] = {}

    def create_variable_coercion(self, example: VariableValues) -> VariableCoercion:
        """Return the coercion of an operation's variables.

        `example` are values that graphql-core has coerced for the operation.
        """
        variables: list[_CoercedVariable] = []
        for name, source in example.sources.items():
            type_ = source.signature.type
            may_be_absent = source.signature.default is None and not is_non_null_type(type_)
            nullable = type_.of_type if is_non_null_type(type_) else type_
            coerce_item = self.create_coercion(nullable.of_type) if is_list_type(nullable) else None
            variables.append(_CoercedVariable(name, self.create_coercion(type_), may_be_absent, coerce_item))
        return VariableCoercion(variables, example)

    def create_coercion(self, type_: GraphQLInputType) -> Coerce:
        """Return the coercion of values of a type."""
        if is_non_null_type(type_):
            return self._create_non_null(type_.of_type)
        present = self._create_non_null(type_)
        return lambda value: None if value is None else present(value)

    def _create_non_null(self, type_: GraphQLInputType) -> Coerce:
        """Return the coercion of values that must not be null."""
        if is_list_type(type_):
            return _create_list(self.create_coercion(type_.of_type))
        if is_input_object_type(type_):
            coerce = self._objects.get(type_)
            if coerce is None:
                # An input type may contain itself, so the inner coercion is looked up when a value is coerced.
                self._objects[type_] = lambda value: self._objects[type_](value)
                coerce = self._objects[type_] = self._create_object(type_)
            return coerce
        assert is_leaf_type(type_)
        return _create_leaf(type_)

    def _create_object(self, type_: GraphQLInputObjectType) -> Coerce:
        fields = [
            (name, field.out_name or name, self.create_coercion(field.type), _create_default(field))
            for name, field in type_.fields.items()
        ]
        # A type may have its own function that creates its values.
        build = None if type_.out_type is GraphQLInputObjectType.out_type else type_.out_type
        is_one_of = type_.is_one_of

        def convert(value: object) -> object:
            if type(value) is not dict:
                raise NeedsFullCoercion
            coerced: dict[str, object] = {}
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


def _create_default(field: GraphQLInputField) -> Callable[[], object] | None:
    """Return a function that creates the value of an absent input field.

    The result is None if the field stays absent.
    """
    if is_required_input_field(field):
        return _refuse_absence
    default = field.default
    if default is None:
        value = field.default_value
    elif default.literal is not None:
        value = coerce_input_literal(default.literal, field.type)
    else:
        value = coerce_input_value(default.value, field.type)
    if value is Undefined:
        return None if default is None else _refuse_absence
    # One value for all requests, as in graphql-core.
    return lambda: value


def _refuse_absence() -> object:
    raise NeedsFullCoercion


def _create_list(item: Coerce) -> Coerce:
    def convert(value: object) -> object:
        if type(value) is not list:
            raise NeedsFullCoercion
        return [item(each) for each in value]

    return convert


def _create_leaf(type_: GraphQLLeafType) -> Coerce:
    if type_ is GraphQLString or type_ is GraphQLID:
        return _coerce_text
    if isinstance(type_, GraphQLEnumType):
        table: dict[object, object] = {name: type_.coerce_input_value(name) for name in type_.values}
        return table.__getitem__
    coerce = type_.coerce_input_value

    def convert(value: object) -> object:
        if value is None:
            raise NeedsFullCoercion
        return coerce(value)

    return convert


def _coerce_text(value: object) -> str:
    if type(value) is not str:
        raise NeedsFullCoercion
    return value
