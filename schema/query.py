"""Defines the root fields of queries."""

from typing import Annotated

import strawberry
from strawberry.types.unset import UnsetType

from models.campaigns import Campaign, Template
from models.emails import Email
from models.engagements import Engagement
from models.people import Group, Person
from models.searches import SavedSearch
from models.tasks import Task
from models.users import User
from resolvers import campaigns, emails, engagements, folders, nodes, people, searches, tasks
from resolvers.folders import Folder, FolderGroup
from resolvers.nodes import Node
from resolvers.pagination import Page
from resolvers.searches import SharedSearch
from schema.campaigns import CampaignConnection, TemplateConnection
from schema.emails import (
    EmailConnection,
    EmailOrderArgument,
    EmailType,
    FolderGroupType,
    FolderType,
    resolve_email_order,
)
from schema.engagements import EngagementConnection
from schema.enums import FolderName
from schema.field_helpers import (
    UNSET,
    After,
    Before,
    First,
    Id,
    Info,
    Last,
    ViewAs,
    described,
    to_arguments,
    value_or_none,
)
from schema.filters import EmailFilterArgument, to_raw_filter
from schema.nodes import NodeInterface
from schema.people import GroupConnection, PersonConnection, PersonType, UserConnection, UserType
from schema.searches import SavedSearchConnection, SavedSearchType, SharedSearchConnection
from schema.tasks import TaskConnection, TaskFilterArgument, TaskOrderArgument, TaskType, resolve_task_order

NodeIds = Annotated[
    list[strawberry.ID], described("At most 200 ids, exactly as they were received; an id may occur twice.")
]


@strawberry.type(description="The operations that read data.")
class Query:
    @strawberry.field(description="The user who sent the request.", graphql_type=UserType)
    async def viewer(self, info: Info) -> User:
        return await people.load_current_user(info.context)

    @strawberry.field(
        description="Any object by its id; null if it does not exist or the viewer may not see it.",
        graphql_type=NodeInterface | None,
    )
    async def node(self, info: Info, id: Id) -> Node | None:
        return await nodes.load_node(info.context, id)

    @strawberry.field(
        description="At most 200 objects in the order of their ids, with null for each that the viewer cannot see.",
        graphql_type=list[NodeInterface | None],
    )
    async def nodes(self, info: Info, ids: NodeIds) -> list[Node | None]:
        return await nodes.load_nodes(info.context, ids)

    @strawberry.field(description="All members of the team.", graphql_type=UserConnection)
    async def users(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[User]:
        return await people.load_users(info.context, to_arguments(first, after, last, before))

    @strawberry.field(
        description="The groups Sent, Pending and Undelivered, in that order. `viewAs` is for admins.",
        graphql_type=list[FolderGroupType],
    )
    async def folders(self, info: Info, view_as: ViewAs = UNSET) -> list[FolderGroup]:
        return await folders.make_groups(info.context, value_or_none(view_as))

    @strawberry.field(description="One folder by its name. `viewAs` is for admins.", graphql_type=FolderType)
    async def folder(
        self,
        info: Info,
        name: Annotated[FolderName, described("The folder's name in the sidebar.")],
        view_as: ViewAs = UNSET,
    ) -> Folder:
        return await folders.make_folder(info.context, name, value_or_none(view_as))

    @strawberry.field(
        description="One of the viewer's own emails or, for an admin, of the team's; null for any other id.",
        graphql_type=EmailType | None,
    )
    async def email(self, info: Info, id: Id) -> Email | None:
        return await emails.load_email(info.context, id)

    @strawberry.field(
        description="The emails that match a filter now. If it names no sender, only the viewer's own are returned.",
        graphql_type=EmailConnection,
    )
    async def emails(
        self,
        info: Info,
        filter: EmailFilterArgument = UNSET,
        order_by: EmailOrderArgument = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Email]:
        arguments = to_arguments(first, after, last, before)
        return await emails.load_emails(
            info.context, to_raw_filter(value_or_none(filter)), resolve_email_order(order_by), arguments
        )

    @strawberry.field(
        description="One task that the viewer created or is assigned to; null for any other id.",
        graphql_type=TaskType | None,
    )
    async def task(self, info: Info, id: Id) -> Task | None:
        return await tasks.load_task(info.context, id)

    @strawberry.field(
        description="The tasks that the viewer created or is assigned to. Without `orderBy`, the earliest due date"
        " comes first, and on each day the urgent tasks.",
        graphql_type=TaskConnection,
    )
    async def tasks(
        self,
        info: Info,
        filter: TaskFilterArgument = UNSET,
        order_by: TaskOrderArgument = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Task]:
        arguments = to_arguments(first, after, last, before)
        return await tasks.load_tasks(
            info.context, to_raw_filter(value_or_none(filter)), resolve_task_order(order_by), arguments
        )

    @strawberry.field(
        description="One of the viewer's own lists; null for any other id.", graphql_type=SavedSearchType | None
    )
    async def saved_search(self, info: Info, id: Id) -> SavedSearch | None:
        return await searches.load_search(info.context, id)

    @strawberry.field(description="The viewer's own lists.", graphql_type=SavedSearchConnection)
    async def saved_searches(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[SavedSearch]:
        return await searches.load_searches(info.context, to_arguments(first, after, last, before))

    @strawberry.field(description="The definitions that the team has published.", graphql_type=SharedSearchConnection)
    async def shared_searches(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[SharedSearch]:
        return await searches.load_shared_searches(info.context, to_arguments(first, after, last, before))

    @strawberry.field(
        description="One person whom the viewer owns or the team shares; null for any other id.",
        graphql_type=PersonType | None,
    )
    async def person(self, info: Info, id: Id) -> Person | None:
        return await people.load_person(info.context, id)

    @strawberry.field(
        description="The people whom the viewer owns or the team shares. `search` covers names, addresses and"
        " companies.",
        graphql_type=PersonConnection,
    )
    async def people(
        self,
        info: Info,
        search: Annotated[
            str | UnsetType | None, described("Words, each of which the name, the address or the company must contain.")
        ] = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Person]:
        return await people.load_people(info.context, value_or_none(search), to_arguments(first, after, last, before))

    @strawberry.field(description="The groups that the viewer owns or the team shares.", graphql_type=GroupConnection)
    async def groups(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Group]:
        return await people.load_groups(info.context, to_arguments(first, after, last, before))

    @strawberry.field(description="All campaigns of the team.", graphql_type=CampaignConnection)
    async def campaigns(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Campaign]:
        return await campaigns.load_campaigns(info.context, to_arguments(first, after, last, before))

    @strawberry.field(description="All templates of the team.", graphql_type=TemplateConnection)
    async def templates(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Template]:
        return await campaigns.load_templates(info.context, to_arguments(first, after, last, before))

    @strawberry.field(
        description="The events on the viewer's emails, newest first, without the viewer's own actions.",
        graphql_type=EngagementConnection,
    )
    async def engagements(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Engagement]:
        return await engagements.load_feed(info.context, to_arguments(first, after, last, before))
