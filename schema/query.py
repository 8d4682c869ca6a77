"""The root of reading."""

from typing import Annotated

import strawberry

from resolvers import campaigns, engagements, folders, nodes, people, searches
from resolvers import emails as rows
from resolvers import tasks as reminders
from schema.campaigns import CampaignConnection, TemplateConnection
from schema.emails import Email, EmailConnection, Folder, FolderGroup, Ordered, ordering
from schema.engagements import EngagementConnection
from schema.enums import FolderName
from schema.field_helpers import UNSET, After, Asked, Before, First, Id, Last, ViewAs, answer, given, paging, said
from schema.filters import Narrowed, raw
from schema.nodes import Node
from schema.people import GroupConnection, Person, PersonConnection, User, UserConnection
from schema.searches import SavedSearch, SavedSearchConnection, SharedSearchConnection
from schema.tasks import Arranged, Task, TaskConnection, Wanted, arranging

ID = strawberry.ID
Several = Annotated[list[strawberry.ID], said("At most 200 ids, as they were received; one may come twice.")]


@strawberry.type(description="What can be read.")
class Query:
    @strawberry.field(description="Who is asking.")
    async def viewer(self, info: Asked) -> User:
        return answer(await people.viewer(info.context))

    @strawberry.field(description="Any object by its id; null for what is absent or not the viewer's to see.")
    async def node(self, info: Asked, id: Id) -> Node | None:
        return answer(await nodes.one(info.context, id))

    @strawberry.field(description="At most 200 objects, in the order asked; null for each that is not to be seen.")
    async def nodes(self, info: Asked, ids: Several) -> list[Node | None]:
        return answer(await nodes.many(info.context, ids))

    @strawberry.field(description="Everyone of the team.")
    async def users(
        self,
        info: Asked,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> UserConnection:
        return answer(await people.users(info.context, paging(first, after, last, before)))

    @strawberry.field(description="Sent, Pending, Undelivered, in that order. `viewAs` is for admins.")
    async def folders(self, info: Asked, view_as: ViewAs = UNSET) -> list[FolderGroup]:
        return answer(await folders.groups(info.context, given(view_as)))

    @strawberry.field(description="One folder. `viewAs` is for admins.")
    async def folder(
        self,
        info: Asked,
        name: Annotated[FolderName, said("Its name in the sidebar.")],
        view_as: ViewAs = UNSET,
    ) -> Folder:
        return answer(await folders.folder(info.context, name, given(view_as)))

    @strawberry.field(description="One of the viewer's own or, for an admin, of the team; null for any other id.")
    async def email(self, info: Asked, id: Id) -> Email | None:
        return answer(await rows.one(info.context, id))

    @strawberry.field(description="The emails a filter holds for now; the viewer's own where it names no sender.")
    async def emails(
        self,
        info: Asked,
        filter: Narrowed = UNSET,
        order_by: Ordered = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> EmailConnection:
        arguments = paging(first, after, last, before)
        return answer(await rows.filtered(info.context, raw(given(filter)), ordering(order_by), arguments))

    @strawberry.field(description="A reminder that the viewer was given or made.")
    async def task(self, info: Asked, id: Id) -> Task | None:
        return answer(await reminders.one(info.context, id))

    @strawberry.field(
        description="The tasks the viewer was given or made: soonest due first, the urgent before others."
    )
    async def tasks(
        self,
        info: Asked,
        filter: Wanted = UNSET,
        order_by: Arranged = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> TaskConnection:
        arguments = paging(first, after, last, before)
        return answer(await reminders.filtered(info.context, raw(given(filter)), arranging(order_by), arguments))

    @strawberry.field(description="One of the viewer's own lists.")
    async def saved_search(self, info: Asked, id: Id) -> SavedSearch | None:
        return answer(await searches.one(info.context, id))

    @strawberry.field(description="The viewer's own lists.")
    async def saved_searches(
        self,
        info: Asked,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> SavedSearchConnection:
        return answer(await searches.page_of(info.context, paging(first, after, last, before)))

    @strawberry.field(description="What the team has published.")
    async def shared_searches(
        self,
        info: Asked,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> SharedSearchConnection:
        return answer(await searches.shared(info.context, paging(first, after, last, before)))

    @strawberry.field(description="One of the viewer's own or the shared people; null for any other id.")
    async def person(self, info: Asked, id: Id) -> Person | None:
        return answer(await people.person(info.context, id))

    @strawberry.field(
        description="The viewer's own and the shared people. `search` looks at names, addresses and companies."
    )
    async def people(
        self,
        info: Asked,
        search: Annotated[str | None, said("Words; each must be in the name, the address or the company.")] = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> PersonConnection:
        return answer(await people.people(info.context, given(search), paging(first, after, last, before)))

    @strawberry.field(description="The viewer's own and the shared groups.")
    async def groups(
        self,
        info: Asked,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> GroupConnection:
        return answer(await people.groups(info.context, paging(first, after, last, before)))

    @strawberry.field(description="The team's campaigns.")
    async def campaigns(
        self,
        info: Asked,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> CampaignConnection:
        return answer(await campaigns.campaigns(info.context, paging(first, after, last, before)))

    @strawberry.field(description="The team's templates.")
    async def templates(
        self,
        info: Asked,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> TemplateConnection:
        return answer(await campaigns.templates(info.context, paging(first, after, last, before)))

    @strawberry.field(description="What happened to the viewer's emails, newest first, without their own views.")
    async def engagements(
        self,
        info: Asked,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> EngagementConnection:
        return answer(await engagements.feed(info.context, paging(first, after, last, before)))
