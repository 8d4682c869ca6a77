"""Defines the connections: pages of rows, with a cursor for each row.

`define_connection` does what a generic type would do. With Strawberry's generics, the descriptions of all connections
would have to be the same.
"""

from collections.abc import Awaitable

import strawberry
from strawberry import Parent
from strawberry.types import get_object_definition
from strawberry.types.base import StrawberryList

from command_center.changes.cursors import Cursor
from resolvers.pagination import Edge, Page, PageInfo
from schema.field_helpers import publishes
from schema.scalars import ChangeCursor


@publishes(PageInfo, "The boundaries of a page. Both booleans are exact.")
class PageInfoType:
    start_cursor: str | None = strawberry.field(description="The cursor of the first edge; null if the page is empty.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last edge; null if the page is empty.")

    @strawberry.field(description="Whether items follow this page.", graphql_type=bool)
    @staticmethod
    def has_next_page(page_info: Parent[PageInfo]) -> bool | Awaitable[bool]:
        return page_info.has_next_page()

    @strawberry.field(description="Whether items precede this page.", graphql_type=bool)
    @staticmethod
    def has_previous_page(page_info: Parent[PageInfo]) -> bool | Awaitable[bool]:
        return page_info.has_previous_page()


def define_connection(
    node_type: type, noun: str, nouns: str, *, adjective: str = "", possessive: str = "its", has_as_of: bool = False
) -> type:
    """Define the connection type and the edge type of a node type, and return the former.

    The other texts become parts of the descriptions. `noun` and `nouns` name one row and several, and `adjective`
    precedes them where they are mentioned first. `possessive` is the pronoun of a row. `has_as_of` adds a position of
    the change log, for rows whose changes clients can subscribe to.
    """
    name = get_object_definition(node_type, strict=True).name

    @publishes(Edge, f"One {adjective}{noun} of a page, with {possessive} cursor.", f"{name}Edge")
    class EdgeType:
        cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
        node: object = strawberry.field(description=f"The {noun} at this position.", graphql_type=node_type)

    @publishes(Page, f"A page of {adjective}{nouns}.", f"{name}Connection")
    class ConnectionType:
        edges: list[object] = strawberry.field(
            description=f"The {nouns} with their cursors.", graphql_type=list[EdgeType]
        )
        nodes: list[object] = strawberry.field(
            description=f"The {nouns} of the page without their cursors.", graphql_type=StrawberryList(node_type)
        )
        page_info: PageInfo = strawberry.field(
            description="The boundaries of the page and what lies beyond them.", graphql_type=PageInfoType
        )

    if not has_as_of:
        return ConnectionType

    @publishes(Page, f"A page of {adjective}{nouns}.", f"{name}Connection")
    class ConnectionTypeWithPosition(ConnectionType):
        as_of: Cursor = strawberry.field(
            description="A position in the change log, read before the rows. A subscription with this `after` misses no"
            " later change.",
            graphql_type=ChangeCursor,
        )

    return ConnectionTypeWithPosition
