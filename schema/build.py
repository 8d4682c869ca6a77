"""The schema, put together."""

from collections.abc import Iterable
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StreamResult
from strawberry.types import ExecutionContext
from strawberry.types.graphql import OperationType

from models.unavailable import Unavailable
from refusals import Refused
from schema.campaigns import BulkSend
from schema.errors import InputError
from schema.mutation import Mutation
from schema.query import Query
from schema.scalars import SCALARS
from schema.searches import SavedSearchMember, SharedSearch
from schema.subscription import Subscription


class Schema(strawberry.Schema):
    """Gives every operation of a WebSocket a context of its own, where stock shares one for the connection's life."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Stock logs every error with its trace, a client's mistakes too. Ours are logged where they are masked: left
        is what goes wrong outside any field."""
        outside = [error for error in errors if error.path is None and _unforeseen(error.original_error)]
        super().process_errors(outside, execution_context)

    async def stream(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
    ) -> StreamResult:
        return await super().stream(
            query,
            variable_values,
            None if context_value is None else await context_value.fresh(),
            root_value,
            operation_name,
            operation_extensions,
            allowed_operation_types,
        )


def _unforeseen(cause: Exception | None) -> bool:
    return cause is not None and not isinstance(cause, GraphQLError | Refused | Unavailable)


def build(extensions: Any = ()) -> Schema:
    """The executable schema."""
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[BulkSend, InputError, SavedSearchMember, SharedSearch],
        extensions=list(extensions),
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )


def sdl() -> str:
    """The schema in the schema definition language, as it is committed."""
    return build().as_str() + "\n"
