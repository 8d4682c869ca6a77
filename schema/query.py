"""Defines the root fields of queries."""

from typing import Annotated

import strawberry

from resolvers import campaigns, emails, engagements, folders, nodes, people, searches, tasks
from schema.campaigns import CampaignConnection, TemplateConnection
from schema.emails import Email, EmailConnection, EmailOrderArgument, Folder, FolderGroup, email_order
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
    as_field_type,
    described,
    paging,
    value_or_none,
)
from schema.filters import EmailFilterArgument, raw_filter
from schema.nodes import Node
from schema.people import GroupConnection, Person, PersonConnection, User, UserConnection
from schema.searches import SavedSearch, SavedSearchConnection, SharedSearchConnection
from schema.tasks import Task, TaskConnection, TaskFilterArgument, TaskOrderArgument, task_order

ID = strawberry.ID
NodeIds = Annotated[
    list[strawberry.ID], described("At most 200 ids, exactly as they were received; an id may occur twice.")
]


@strawberry.type(description="The operations that read data.")
class Query:
    @strawberry.field(description="The user who sent the request.")
    async def viewer(self, info: Info) -> User:
        return as_field_type(await people.viewer(info.context))

    @strawberry.field(description="Any object by its id; null if it does not exist or the viewer may not see it.")
    async def node(self, info: Info, id: Id) -> Node | None:
        return as_field_type(await nodes.node_by_id(info.context, id))

    @strawberry.field(
        description="At most 200 objects in the order of their ids, with null for each that the viewer cannot see."
    )
    async def nodes(self, info: Info, ids: NodeIds) -> list[Node | None]:
        return as_field_type(await nodes.nodes_by_ids(info.context, ids))

    @strawberry.field(description="All members of the team.")
    async def users(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> UserConnection:
        return as_field_type(await people.users(info.context, paging(first, after, last, before)))

    @strawberry.field(description="The groups Sent, Pending and Undelivered, in that order. `viewAs` is for admins.")
    async def folders(self, info: Info, view_as: ViewAs = UNSET) -> list[FolderGroup]:
        return as_field_type(await folders.groups(info.context, value_or_none(view_as)))

    @strawberry.field(description="One folder by its name. `viewAs` is for admins.")
    async def folder(
        self,
        info: Info,
        name: Annotated[FolderName, described("The folder's name in the sidebar.")],
        view_as: ViewAs = UNSET,
    ) -> Folder:
        return as_field_type(await folders.folder(info.context, name, value_or_none(view_as)))

    @strawberry.field(
        description="One of the viewer's own emails or, for an admin, of the team's; null for any other id."
    )
    async def email(self, info: Info, id: Id) -> Email | None:
        return as_field_type(await emails.email_by_id(info.context, id))

    @strawberry.field(
        description="The emails that match a filter now. If it names no sender, only the viewer's own are returned."
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
    ) -> EmailConnection:
        arguments = paging(first, after, last, before)
        return as_field_type(
            await emails.filtered(info.context, raw_filter(value_or_none(filter)), email_order(order_by), arguments)
        )

    @strawberry.field(description="One task that the viewer created or is assigned to; null for any other id.")
    async def task(self, info: Info, id: Id) -> Task | None:
        return as_field_type(await tasks.task_by_id(info.context, id))

    @strawberry.field(
        description="The tasks that the viewer created or is assigned to. Without `orderBy`, the earliest due date"
        " comes first, and on each day the urgent tasks."
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
    ) -> TaskConnection:
        arguments = paging(first, after, last, before)
        return as_field_type(
            await tasks.filtered(info.context, raw_filter(value_or_none(filter)), task_order(order_by), arguments)
        )

    @strawberry.field(description="One of the viewer's own lists; null for any other id.")
    async def saved_search(self, info: Info, id: Id) -> SavedSearch | None:
        return as_field_type(await searches.search_by_id(info.context, id))

    @strawberry.field(description="The viewer's own lists.")
    async def saved_searches(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> SavedSearchConnection:
        return as_field_type(await searches.page_of(info.context, paging(first, after, last, before)))

    @strawberry.field(description="The definitions that the team has published.")
    async def shared_searches(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> SharedSearchConnection:
        return as_field_type(await searches.shared(info.context, paging(first, after, last, before)))

    @strawberry.field(description="One person whom the viewer owns or the team shares; null for any other id.")
    async def person(self, info: Info, id: Id) -> Person | None:
        return as_field_type(await people.person(info.context, id))

    @strawberry.field(
        description="The people whom the viewer owns or the team shares. `search` covers names, addresses and"
        " companies."
    )
    async def people(
        self,
        info: Info,
        search: Annotated[
            str | None, described("Words, each of which the name, the address or the company must contain.")
        ] = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> PersonConnection:
        return as_field_type(
            await people.people(info.context, value_or_none(search), paging(first, after, last, before))
        )

    @strawberry.field(description="The groups that the viewer owns or the team shares.")
    async def groups(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> GroupConnection:
        return as_field_type(await people.groups(info.context, paging(first, after, last, before)))

    @strawberry.field(description="All campaigns of the team.")
    async def campaigns(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> CampaignConnection:
        return as_field_type(await campaigns.campaigns(info.context, paging(first, after, last, before)))

    @strawberry.field(description="All templates of the team.")
    async def templates(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> TemplateConnection:
        return as_field_type(await campaigns.templates(info.context, paging(first, after, last, before)))

    @strawberry.field(description="The events on the viewer's emails, newest first, without the viewer's own actions.")
    async def engagements(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> EngagementConnection:
        return as_field_type(await engagements.feed(info.context, paging(first, after, last, before)))
