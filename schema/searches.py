"""Defines the types for saved searches, their members, and published definitions."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import Parent

from command_center.search.explain import LeafExplanation
from models.emails import Email
from models.engagements import Engagement
from models.searches import Membership, SavedSearch
from models.users import User
from resolvers import searches
from resolvers.pagination import Page
from resolvers.searches import ChangeCause, FilterExplanation, SharedSearch
from schema.connections import define_connection
from schema.emails import EmailType
from schema.engagements import EngagementType
from schema.enums import ChangeCauseKind, SavedSearchState
from schema.field_helpers import UNSET, After, Before, First, Info, Last, described, publishes, to_arguments
from schema.nodes import NodeInterface
from schema.people import UserType
from schema.scalars import EmailFilterValue


@publishes(ChangeCause, "Why an email joined or left a list.")
class ChangeCauseType:
    kind: ChangeCauseKind = strawberry.field(
        description="Whether a person acted, something was changed, or time passed."
    )

    @strawberry.field(
        description="The event, if one was the cause; null after the event is deleted.",
        graphql_type=EngagementType | None,
    )
    @staticmethod
    async def engagement(cause: Parent[ChangeCause], info: Info) -> Engagement | None:
        return await cause.load_engagement(info.context)


@publishes(LeafExplanation, "One condition of a filter, evaluated for one email.", "FilterLeaf")
class FilterLeafType:
    path: list[str] = strawberry.field(description="The location of the condition in the filter.")
    summary: str = strawberry.field(description="A description of the condition.")
    holds: bool = strawberry.field(description="Whether the email meets the condition.")
    actual: str = strawberry.field(description="The value that the email has.")


@publishes(FilterExplanation, "Why an email is or is not in a list.")
class FilterExplanationType:
    matches: bool = strawberry.field(description="Whether the email matches the whole filter now.")
    leaves: list[LeafExplanation] = strawberry.field(
        graphql_type=list[FilterLeafType], description="One entry for each condition, in the order of the filter."
    )


@publishes(SavedSearch, "A dynamic list of emails: a stored filter, whose members are the emails that match it now.")
class SavedSearchType(NodeInterface):
    name: str = strawberry.field(description="The name that its owner gave it.")
    shared: bool = strawberry.field(description="Whether the definition is published to the team.")
    state: SavedSearchState = strawberry.field(description="Whether the first evaluation is complete.")
    member_count: int = strawberry.field(description="The number of emails in it.")
    created_at: datetime = strawberry.field(description="When the search was saved.")
    updated_at: datetime = strawberry.field(description="When the name, the filter or the state last changed.")

    @strawberry.field(description="The user who owns the list.", graphql_type=UserType)
    @staticmethod
    async def owner(search: Parent[SavedSearch], info: Info) -> User | None:
        return await searches.load_owner(info.context, search)

    @strawberry.field(description="The filter in its canonical form.", graphql_type=EmailFilterValue)
    @staticmethod
    def filter(search: Parent[SavedSearch]) -> dict[str, object]:
        return searches.rebuild_definition(search)

    @strawberry.field(description="The filter described in a sentence.")
    @staticmethod
    async def summary(search: Parent[SavedSearch], info: Info) -> str:
        return await searches.describe_search(info.context, search)

    @strawberry.field(
        description="The memberships of the list, most recent first.", graphql_type="SavedSearchMemberConnection"
    )
    @staticmethod
    async def members(
        search: Parent[SavedSearch],
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Membership]:
        return await searches.load_members(info.context, search, to_arguments(first, after, last, before))

    @strawberry.field(
        description="Why an email is or is not in the list; null if the list cannot cover that email.",
        graphql_type=FilterExplanationType | None,
    )
    @staticmethod
    async def explain(
        search: Parent[SavedSearch],
        info: Info,
        email_id: Annotated[strawberry.ID, described("An email that the list covers, whether a member or not.")],
    ) -> FilterExplanation | None:
        return await searches.explain(info.context, search, email_id)


@publishes(
    Membership,
    "One continuous membership of an email in a list. If the email leaves and returns, a new one begins.",
    "SavedSearchMember",
)
class SavedSearchMemberType(NodeInterface):
    joined_at: datetime = strawberry.field(description="When the server noticed that the email matched.")

    @strawberry.field(description="The list to which the email belongs.", graphql_type=SavedSearchType)
    @staticmethod
    async def saved_search(member: Parent[Membership], info: Info) -> SavedSearch | None:
        return await searches.load_member_search(info.context, member)

    @strawberry.field(
        description="The email in its current state, not as it was when it joined.", graphql_type=EmailType
    )
    @staticmethod
    async def email(member: Parent[Membership], info: Info) -> Email | None:
        return await searches.load_member_email(info.context, member)

    @strawberry.field(
        description="The latest change that concerned the email when it joined.", graphql_type=ChangeCauseType
    )
    @staticmethod
    def cause(member: Parent[Membership]) -> ChangeCause:
        return searches.get_cause(member)


@publishes(SharedSearch, "The published definition of a saved search, without members or mail.")
class SharedSearchType(NodeInterface):
    name: str = strawberry.field(description="The name that its owner gave it.")
    updated_at: datetime = strawberry.field(description="When the saved search last changed.")

    @strawberry.field(description="The user who published it.", graphql_type=UserType)
    @staticmethod
    async def owner(shared: Parent[SharedSearch], info: Info) -> User | None:
        return await searches.load_owner(info.context, shared.source)

    @strawberry.field(description="The filter in its canonical form.", graphql_type=EmailFilterValue)
    @staticmethod
    def filter(shared: Parent[SharedSearch]) -> dict[str, object]:
        return searches.rebuild_definition(shared.source)

    @strawberry.field(description="The filter described in a sentence.")
    @staticmethod
    async def summary(shared: Parent[SharedSearch], info: Info) -> str:
        return await searches.describe_search(info.context, shared.source)


SavedSearchConnection = define_connection(SavedSearchType, "list", "lists", has_as_of=True)
SavedSearchMemberConnection = define_connection(SavedSearchMemberType, "membership", "memberships", has_as_of=True)
SharedSearchConnection = define_connection(SharedSearchType, "definition", "definitions", adjective="published ")
