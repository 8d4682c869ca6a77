"""Defines the Node interface of objects with an id, and the PageInfo of every page."""

from typing import Any

import strawberry

from resolvers import nodes
from schema.field_helpers import as_field_type


@strawberry.interface(description="An object that can be fetched by its id.")
class Node:
    @strawberry.field(description="Opaque, and unique among all objects.")
    def id(self: Any) -> strawberry.ID:
        return strawberry.ID(nodes.identifier(self))


@strawberry.type(description="The boundaries of a page. Both booleans are exact.")
class PageInfo:
    start_cursor: str | None = strawberry.field(description="The cursor of the first edge; null if the page is empty.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last edge; null if the page is empty.")

    @strawberry.field(description="Whether items follow this page.")
    def has_next_page(self: Any) -> bool:
        return as_field_type(self.has_next_page())

    @strawberry.field(description="Whether items precede this page.")
    def has_previous_page(self: Any) -> bool:
        return as_field_type(self.has_previous_page())
