"""Saved searches: dynamic lists, their members, and the definitions published to the team."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from resolvers import searches
from schema.emails import Email
from schema.engagements import Engagement
from schema.enums import ChangeCauseKind, SavedSearchState
from schema.field_helpers import UNSET, After, Before, First, Info, Last, as_field_type, described, paging
from schema.nodes import Node, PageInfo
from schema.people import User
from schema.scalars import ChangeCursor, EmailFilterValue


@strawberry.type(description="Why an email joined or left.")
class ChangeCause:
    kind: ChangeCauseKind = strawberry.field(
        description="Whether somebody acted, something was changed, or time went by."
    )

    @strawberry.field(description="The event, where it was one; null once it is gone.")
    async def engagement(self: Any, info: Info) -> Engagement | None:
        return as_field_type(await self.engagement(info.context))


@strawberry.type(description="One condition of a filter, held against one email.")
class FilterLeaf:
    path: list[str] = strawberry.field(description="Its place in the filter.")
    summary: str = strawberry.field(description="What it wants.")
    holds: bool = strawberry.field(description="Whether it holds.")
    actual: str = strawberry.field(description="What the email has instead.")


@strawberry.type(description="Why an email is in a list, or not.")
class FilterExplanation:
    matches: bool = strawberry.field(description="Whether the whole filter holds now.")
    leaves: list[FilterLeaf] = strawberry.field(description="One line for each condition, in the order written.")


@strawberry.type(description="A dynamic list of emails, one's own. It keeps the filter, never frozen results.")
class SavedSearch(Node):
    name: str = strawberry.field(description="As its owner named it.")
    shared: bool = strawberry.field(description="Whether its definition is published to the team.")
    state: SavedSearchState = strawberry.field(description="Whether it is complete.")
    member_count: int = strawberry.field(description="How many emails it holds.")
    created_at: datetime = strawberry.field(description="When it was saved.")
    updated_at: datetime = strawberry.field(description="When its name, filter or state last changed.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return searches.is_search(row)

    @strawberry.field(description="Whose list it is.")
    async def owner(self: Any, info: Info) -> User:
        return as_field_type(await searches.owner(info.context, self))

    @strawberry.field(description="The filter in its canonical form.")
    def filter(self: Any) -> EmailFilterValue:
        return as_field_type(searches.definition(self))

    @strawberry.field(description="The filter as a sentence.")
    async def summary(self: Any, info: Info) -> str:
        return await searches.summary(info.context, self)

    @strawberry.field(description="The emails it holds, newest stay first.")
    async def members(
        self: Any,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> "SavedSearchMemberConnection":
        page = await searches.members(info.context, self, paging(first, after, last, before))
        return as_field_type(page)

    @strawberry.field(description="Why this email is, or is not, in the list; null for one that is out of range.")
    async def explain(
        self: Any,
        info: Info,
        email_id: Annotated[strawberry.ID, described("Any email in the list's range, member or not.")],
    ) -> FilterExplanation | None:
        return as_field_type(await searches.explain(info.context, self, email_id))


@strawberry.type(description="A stay of one email in one list. Leaving and coming back makes another.")
class SavedSearchMember(Node):
    joined_at: datetime = strawberry.field(description="When it was seen to join.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return searches.is_member(row)

    @strawberry.field(description="The list.")
    async def saved_search(self: Any, info: Info) -> SavedSearch:
        return as_field_type(await searches.search_of(info.context, self))

    @strawberry.field(description="Read as it is now, not as it was when it joined.")
    async def email(self: Any, info: Info) -> Email:
        return as_field_type(await searches.email_of(info.context, self))

    @strawberry.field(description="The newest thing that had happened to the email when it joined.")
    def cause(self: Any) -> ChangeCause:
        return as_field_type(searches.cause_of(self))


@strawberry.type(description="The published definition of a saved search: no members, no mail.")
class SharedSearch(Node):
    name: str = strawberry.field(description="As its owner named it.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, searches.SharedSearch)

    @strawberry.field(description="Who published it.")
    async def owner(self: Any, info: Info) -> User:
        return as_field_type(await searches.owner(info.context, self.source))

    @strawberry.field(description="The filter in its canonical form.")
    def filter(self: Any) -> EmailFilterValue:
        return as_field_type(searches.definition(self.source))

    @strawberry.field(description="The filter as a sentence.")
    async def summary(self: Any, info: Info) -> str:
        return await searches.summary(info.context, self.source)


@strawberry.type(description="One list of a page.")
class SavedSearchEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: SavedSearch = strawberry.field(description="The list itself.")


@strawberry.type(description="A page of lists.")
class SavedSearchConnection:
    edges: list[SavedSearchEdge] = strawberry.field(description="The lists with their cursors.")
    nodes: list[SavedSearch] = strawberry.field(description="The lists alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    as_of: ChangeCursor = strawberry.field(
        description="A place in the change log, read before the rows: follow from there and nothing is missed."
    )


@strawberry.type(description="One stay of a page.")
class SavedSearchMemberEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: SavedSearchMember = strawberry.field(description="The stay itself.")


@strawberry.type(description="A page of stays.")
class SavedSearchMemberConnection:
    edges: list[SavedSearchMemberEdge] = strawberry.field(description="The stays with their cursors.")
    nodes: list[SavedSearchMember] = strawberry.field(description="The stays alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    as_of: ChangeCursor = strawberry.field(
        description="A place in the change log, read before the rows: follow from there and nothing is missed."
    )


@strawberry.type(description="One definition of a page.")
class SharedSearchEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: SharedSearch = strawberry.field(description="The definition itself.")


@strawberry.type(description="A page of definitions.")
class SharedSearchConnection:
    edges: list[SharedSearchEdge] = strawberry.field(description="The definitions with their cursors.")
    nodes: list[SharedSearch] = strawberry.field(description="The definitions alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
