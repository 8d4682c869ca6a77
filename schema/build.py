"""Builds the executable schema from the three root types, and prints it as SDL."""

from typing import Any

import strawberry
from graphql import GraphQLInputObjectType
from strawberry.schema.config import StrawberryConfig

from schema.campaigns import BulkSend
from schema.errors import InputError
from schema.mutation import Mutation
from schema.query import Query
from schema.scalars import SCALARS
from schema.searches import SavedSearchMember, SharedSearch
from schema.subscription import Subscription


def build() -> strawberry.Schema:
    """Return the executable schema."""
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[BulkSend, InputError, SavedSearchMember, SharedSearch],
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )
    # Strawberry's resolver raises for list and non-null types.
    introspected: Any = schema._schema.type_map["__Type"]
    introspected.fields["isOneOf"].resolve = _is_one_of
    return schema


def _is_one_of(type_: Any, _: Any) -> bool | None:
    """Return what the specification demands: null for every type except input objects."""
    return type_.is_one_of if isinstance(type_, GraphQLInputObjectType) else None


def sdl() -> str:
    """Return the schema definition language text, as in `schema/schema.graphql`."""
    return build().as_str() + "\n"
