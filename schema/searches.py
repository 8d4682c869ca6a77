"""Defines the types for saved searches, their members, and published definitions."""

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


@strawberry.type(description="Why an email joined or left a list.")
class ChangeCause:
    kind: ChangeCauseKind = strawberry.field(
        description="Whether a person acted, something was changed, or time passed."
    )

    @strawberry.field(description="The event, if one was the cause; null after the event is deleted.")
    async def engagement(self: Any, info: Info) -> Engagement | None:
        return as_field_type(await self.engagement(info.context))


@strawberry.type(description="One condition of a filter, evaluated for one email.")
class FilterLeaf:
    path: list[str] = strawberry.field(description="The location of the condition in the filter.")
    summary: str = strawberry.field(description="A description of the condition.")
    holds: bool = strawberry.field(description="Whether the email meets the condition.")
    actual: str = strawberry.field(description="The value that the email has.")


@strawberry.type(description="Why an email is or is not in a list.")
class FilterExplanation:
    matches: bool = strawberry.field(description="Whether the email matches the whole filter now.")
    leaves: list[FilterLeaf] = strawberry.field(description="One entry for each condition, in the order of the filter.")


@strawberry.type(
    description="A dynamic list of emails: a stored filter, whose members are the emails that match it now."
)
class SavedSearch(Node):
    name: str = strawberry.field(description="The name that its owner gave it.")
    shared: bool = strawberry.field(description="Whether the definition is published to the team.")
    state: SavedSearchState = strawberry.field(description="Whether the first evaluation is complete.")
    member_count: int = strawberry.field(description="The number of emails in it.")
    created_at: datetime = strawberry.field(description="When the search was saved.")
    updated_at: datetime = strawberry.field(description="When the name, the filter or the state last changed.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return searches.is_search(row)

    @strawberry.field(description="The user who owns the list.")
    async def owner(self: Any, info: Info) -> User:
        return as_field_type(await searches.owner(info.context, self))

    @strawberry.field(description="The filter in its canonical form.")
    def filter(self: Any) -> EmailFilterValue:
        return as_field_type(searches.definition(self))

    @strawberry.field(description="The filter described in a sentence.")
    async def summary(self: Any, info: Info) -> str:
        return await searches.summary(info.context, self)

    @strawberry.field(description="The memberships of the list, most recent first.")
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

    @strawberry.field(description="Why an email is or is not in the list; null if the list cannot cover that email.")
    async def explain(
        self: Any,
        info: Info,
        email_id: Annotated[strawberry.ID, described("An email that the list covers, whether a member or not.")],
    ) -> FilterExplanation | None:
        return as_field_type(await searches.explain(info.context, self, email_id))


@strawberry.type(
    description="One continuous membership of an email in a list. If the email leaves and returns, a new one begins."
)
class SavedSearchMember(Node):
    joined_at: datetime = strawberry.field(description="When the server noticed that the email matched.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return searches.is_member(row)

    @strawberry.field(description="The list to which the email belongs.")
    async def saved_search(self: Any, info: Info) -> SavedSearch:
        return as_field_type(await searches.search_of(info.context, self))

    @strawberry.field(description="The email in its current state, not as it was when it joined.")
    async def email(self: Any, info: Info) -> Email:
        return as_field_type(await searches.email_of(info.context, self))

    @strawberry.field(description="The latest change that concerned the email when it joined.")
    def cause(self: Any) -> ChangeCause:
        return as_field_type(searches.cause_of(self))


@strawberry.type(description="The published definition of a saved search, without members or mail.")
class SharedSearch(Node):
    name: str = strawberry.field(description="The name that its owner gave it.")
    updated_at: datetime = strawberry.field(description="When the saved search last changed.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, searches.SharedSearch)

    @strawberry.field(description="The user who published it.")
    async def owner(self: Any, info: Info) -> User:
        return as_field_type(await searches.owner(info.context, self.source))

    @strawberry.field(description="The filter in its canonical form.")
    def filter(self: Any) -> EmailFilterValue:
        return as_field_type(searches.definition(self.source))

    @strawberry.field(description="The filter described in a sentence.")
    async def summary(self: Any, info: Info) -> str:
        return await searches.summary(info.context, self.source)


@strawberry.type(description="One list of a page, with its cursor.")
class SavedSearchEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: SavedSearch = strawberry.field(description="The list at this position.")


@strawberry.type(description="A page of lists.")
class SavedSearchConnection:
    edges: list[SavedSearchEdge] = strawberry.field(description="The lists with their cursors.")
    nodes: list[SavedSearch] = strawberry.field(description="The lists of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")
    as_of: ChangeCursor = strawberry.field(
        description="A position in the change log, read before the rows. A subscription with this `after` misses no"
        " later change."
    )


@strawberry.type(description="One membership of a page, with its cursor.")
class SavedSearchMemberEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: SavedSearchMember = strawberry.field(description="The membership at this position.")


@strawberry.type(description="A page of memberships.")
class SavedSearchMemberConnection:
    edges: list[SavedSearchMemberEdge] = strawberry.field(description="The memberships with their cursors.")
    nodes: list[SavedSearchMember] = strawberry.field(description="The memberships of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")
    as_of: ChangeCursor = strawberry.field(
        description="A position in the change log, read before the rows. A subscription with this `after` misses no"
        " later change."
    )


@strawberry.type(description="One published definition of a page, with its cursor.")
class SharedSearchEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: SharedSearch = strawberry.field(description="The definition at this position.")


@strawberry.type(description="A page of published definitions.")
class SharedSearchConnection:
    edges: list[SharedSearchEdge] = strawberry.field(description="The definitions with their cursors.")
    nodes: list[SharedSearch] = strawberry.field(description="The definitions of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")
