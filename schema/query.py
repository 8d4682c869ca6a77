"""The root of reading."""

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
NodeIds = Annotated[list[strawberry.ID], described("At most 200 ids, as they were received; one may come twice.")]


@strawberry.type(description="What can be read.")
class Query:
    @strawberry.field(description="Who is asking.")
    async def viewer(self, info: Info) -> User:
        return as_field_type(await people.viewer(info.context))

    @strawberry.field(description="Any object by its id; null for what is absent or not the viewer's to see.")
    async def node(self, info: Info, id: Id) -> Node | None:
        return as_field_type(await nodes.one(info.context, id))

    @strawberry.field(description="At most 200 objects, in the order asked; null for each that is not to be seen.")
    async def nodes(self, info: Info, ids: NodeIds) -> list[Node | None]:
        return as_field_type(await nodes.many(info.context, ids))

    @strawberry.field(description="Everyone of the team.")
    async def users(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> UserConnection:
        return as_field_type(await people.users(info.context, paging(first, after, last, before)))

    @strawberry.field(description="Sent, Pending, Undelivered, in that order. `viewAs` is for admins.")
    async def folders(self, info: Info, view_as: ViewAs = UNSET) -> list[FolderGroup]:
        return as_field_type(await folders.groups(info.context, value_or_none(view_as)))

    @strawberry.field(description="One folder. `viewAs` is for admins.")
    async def folder(
        self,
        info: Info,
        name: Annotated[FolderName, described("Its name in the sidebar.")],
        view_as: ViewAs = UNSET,
    ) -> Folder:
        return as_field_type(await folders.folder(info.context, name, value_or_none(view_as)))

    @strawberry.field(description="One of the viewer's own or, for an admin, of the team; null for any other id.")
    async def email(self, info: Info, id: Id) -> Email | None:
        return as_field_type(await emails.one(info.context, id))

    @strawberry.field(description="The emails a filter holds for now; the viewer's own where it names no sender.")
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

    @strawberry.field(description="A reminder that the viewer was given or made.")
    async def task(self, info: Info, id: Id) -> Task | None:
        return as_field_type(await tasks.one(info.context, id))

    @strawberry.field(
        description="The tasks the viewer was given or made: soonest due first, the urgent before others."
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

    @strawberry.field(description="One of the viewer's own lists.")
    async def saved_search(self, info: Info, id: Id) -> SavedSearch | None:
        return as_field_type(await searches.one(info.context, id))

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

    @strawberry.field(description="What the team has published.")
    async def shared_searches(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> SharedSearchConnection:
        return as_field_type(await searches.shared(info.context, paging(first, after, last, before)))

    @strawberry.field(description="One of the viewer's own or the shared people; null for any other id.")
    async def person(self, info: Info, id: Id) -> Person | None:
        return as_field_type(await people.person(info.context, id))

    @strawberry.field(
        description="The viewer's own and the shared people. `search` looks at names, addresses and companies."
    )
    async def people(
        self,
        info: Info,
        search: Annotated[
            str | None, described("Words; each must be in the name, the address or the company.")
        ] = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> PersonConnection:
        return as_field_type(
            await people.people(info.context, value_or_none(search), paging(first, after, last, before))
        )

    @strawberry.field(description="The viewer's own and the shared groups.")
    async def groups(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> GroupConnection:
        return as_field_type(await people.groups(info.context, paging(first, after, last, before)))

    @strawberry.field(description="The team's campaigns.")
    async def campaigns(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> CampaignConnection:
        return as_field_type(await campaigns.campaigns(info.context, paging(first, after, last, before)))

    @strawberry.field(description="The team's templates.")
    async def templates(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> TemplateConnection:
        return as_field_type(await campaigns.templates(info.context, paging(first, after, last, before)))

    @strawberry.field(description="What happened to the viewer's emails, newest first, without their own views.")
    async def engagements(
        self,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> EngagementConnection:
        return as_field_type(await engagements.feed(info.context, paging(first, after, last, before)))
