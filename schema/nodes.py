"""What every object with an id has, and what every page tells."""

from typing import Any

import strawberry

from resolvers import nodes
from schema.field_helpers import as_field_type


@strawberry.interface(description="Anything with an id of its own.")
class Node:
    @strawberry.field(description="Opaque, and unique among all objects.")
    def id(self: Any) -> strawberry.ID:
        return strawberry.ID(nodes.identifier(self))


@strawberry.type(description="Where a page stands. Both answers are exact.")
class PageInfo:
    start_cursor: str | None = strawberry.field(description="The first edge's cursor; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The last edge's cursor; null on an empty page.")

    @strawberry.field(description="Whether anything follows this page.")
    def has_next_page(self: Any) -> bool:
        return as_field_type(self.has_next_page())

    @strawberry.field(description="Whether anything comes before this page.")
    def has_previous_page(self: Any) -> bool:
        return as_field_type(self.has_previous_page())
