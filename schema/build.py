"""Builds the executable schema from the three root types, and prints it as SDL."""

import strawberry
from graphql import GraphQLInputObjectType, GraphQLObjectType
from strawberry.schema.config import StrawberryConfig

from schema.campaigns import BulkSendType
from schema.errors import InputErrorType
from schema.mutation import Mutation
from schema.query import Query
from schema.scalars import SCALARS
from schema.searches import SavedSearchMemberType, SharedSearchType
from schema.subscription import Subscription


def create_schema() -> strawberry.Schema:
    """Return the executable schema."""
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[BulkSendType, InputErrorType, SavedSearchMemberType, SharedSearchType],
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )
    # Strawberry's resolver raises for list and non-null types.
    introspected = schema._schema.type_map["__Type"]
    assert isinstance(introspected, GraphQLObjectType)
    introspected.fields["isOneOf"].resolve = _is_one_of
    return schema


def _is_one_of(type_: object, _: object) -> bool | None:
    """Resolve the field `isOneOf` of an introspected type.

    As the specification demands, the result is null for every type except input objects.
    """
    return type_.is_one_of if isinstance(type_, GraphQLInputObjectType) else None


def format_sdl() -> str:
    """Return the schema definition language text, as in `schema/schema.graphql`."""
    return create_schema().as_str() + "\n"
