"""Provides what the fields of all types share.

Resolvers return rows and other plain objects. A type of the schema only declares which of their attributes are exposed,
and is never instantiated. A field with a resolver therefore has two types. Its annotation is the Python type, which
mypy checks; `graphql_type` is the published type. A resolver is a static method, because `Parent` is not an instance of
the type. So nothing is cast. `tests/unit/test_published_types.py` compares each annotation with its `graphql_type`.

A resolver of a non-null field may return None, because rows may be deleted meanwhile. GraphQL then returns an error.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias, TypeVar

import strawberry
from strawberry import Parent
from strawberry.types import get_object_definition
from strawberry.types.arguments import StrawberryArgumentAnnotation
from strawberry.types.field import StrawberryField
from strawberry.types.unset import UnsetType

from resolvers.context import Context
from resolvers.pagination import Arguments
from resolvers.references import REFERENCE_METADATA_KEY, M, Reference
from schema.scalars import ChangeCursor

T = TypeVar("T")
Info: TypeAlias = strawberry.Info[Context, None]
UNSET: UnsetType = strawberry.UNSET
"""The value of an absent argument or input field, as opposed to null."""
PUBLISHED_CLASSES: dict[type, type] = {}
"""The Python class whose instances a GraphQL type publishes, by the class of the type."""


def publishes(published: type, description: str, name: str | None = None) -> Callable[[type[T]], type[T]]:
    """Return a decorator that makes a class the GraphQL type of another class.

    `name` is the name of the GraphQL type, which by default is that of the published class.
    """

    def is_type_of(value: object, _: object) -> bool:
        return isinstance(value, published)

    def decorate(cls: type[T]) -> type[T]:
        type_ = strawberry.type(cls, name=name or published.__name__, description=description)
        definition = get_object_definition(type_, strict=True)
        if definition.interfaces:
            # Only values of an interface or a union have to be told apart.
            definition.is_type_of = is_type_of
        PUBLISHED_CLASSES[type_] = published
        return type_

    return decorate


def described(description: str) -> StrawberryArgumentAnnotation:
    """Return an argument's description, for use in an Annotated type."""
    return strawberry.argument(description=description)


def optional_field(description: str, name: str | None = None) -> UnsetType:
    """Return an input field that clients may omit, so that its value is then `UNSET`.

    Type checkers see the type of that default, as with `dataclasses.field`.
    """
    field: UnsetType = strawberry.field(default=UNSET, description=description, name=name)
    return field


First = Annotated[
    int | UnsetType | None, described("How many items to return from the start, or from `after` on; at most 200.")
]
After = Annotated[str | UnsetType | None, described("A cursor; only items after it are returned.")]
Last = Annotated[
    int | UnsetType | None, described("How many items to return from the end, or back from `before`; at most 200.")
]
Before = Annotated[str | UnsetType | None, described("A cursor; only items before it are returned.")]
FromCursor = Annotated[
    ChangeCursor | UnsetType | None,
    described("Where to resume: the cursor of the last change message, or an `asOf`."),
]
Id = Annotated[
    strawberry.ID,
    described("An id exactly as it was received. An object that the viewer may not see counts as absent."),
]
Ids = Annotated[
    list[strawberry.ID],
    described(
        "Ids exactly as they were received. Each rejected id is reported with its index; the others are processed."
    ),
]
ViewAs = Annotated[strawberry.ID | UnsetType | None, described("The user whose mail to show; if absent, the viewer.")]


def reference_field(reference: Reference[M], graphql_type: object, description: str) -> StrawberryField:
    """Return a field whose value is the row that a foreign key names."""

    def load(row: Parent[object], info: Info) -> M | Awaitable[M | None] | None:
        return reference.load(info.context, row)

    return strawberry.field(
        load, graphql_type=graphql_type, description=description, metadata={REFERENCE_METADATA_KEY: reference}
    )


def value_or_none(value: T | UnsetType) -> T | None:
    """Return an argument's value, or None if it is absent or null."""
    return None if isinstance(value, UnsetType) else value


def to_arguments(
    first: int | UnsetType | None,
    after: str | UnsetType | None,
    last: int | UnsetType | None,
    before: str | UnsetType | None,
) -> Arguments:
    """Return the four arguments of a connection as one object, without checking them.

    An absent argument becomes None.
    """
    return Arguments(value_or_none(first), value_or_none(after), value_or_none(last), value_or_none(before))
