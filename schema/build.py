"""The schema, put together."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from schema.campaigns import BulkSend
from schema.errors import InputError
from schema.mutation import Mutation
from schema.query import Query
from schema.scalars import SCALARS
from schema.searches import SavedSearchMember, SharedSearch
from schema.subscription import Subscription


def build() -> strawberry.Schema:
    """The executable schema."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[BulkSend, InputError, SavedSearchMember, SharedSearch],
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )


def sdl() -> str:
    """The schema in the schema definition language, as it is committed."""
    return build().as_str() + "\n"
