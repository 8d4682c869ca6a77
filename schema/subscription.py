"""The root of following: frames in the order of the change log, each with its cursor; and folder counts."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import strawberry

from resolvers import change_messages, folders, subscriptions
from schema.emails import Folder, FolderGroup
from schema.engagements import Engagement
from schema.field_helpers import UNSET, FromCursor, Info, ViewAs, as_field_type, described, value_or_none
from schema.scalars import ChangeCursor
from schema.searches import ChangeCause, SavedSearch, SavedSearchMember
from schema.tasks import Task

_CURSOR = "Hand it back as `after` to go on from here."
_ID = "The list's id, whether or not it is still there."
_TASK_ID = "The task's id, whether or not it is still there."


@strawberry.interface(description="One frame of a stream. Applying it twice does no harm.")
class Change:
    cursor: ChangeCursor = strawberry.field(description=_CURSOR)


@strawberry.type(description="An email joined a list.")
class MemberJoined(Change):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)
    member_id: strawberry.ID = strawberry.field(description="The stay that began.")
    email_id: strawberry.ID = strawberry.field(description="What joined; readable by this id as long as it exists.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.MemberJoined)

    @strawberry.field(description="The stay as it is now; null where it has ended meanwhile.")
    async def member(self: Any, info: Info) -> SavedSearchMember | None:
        return as_field_type(await self.member(info.context))


@strawberry.type(description="An email left a list.")
class MemberLeft(Change):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)
    member_id: strawberry.ID = strawberry.field(description="The stay that ended.")
    email_id: strawberry.ID = strawberry.field(description="What left; it may have been deleted since.")
    cause: ChangeCause = strawberry.field(description="The newest thing that had happened to it.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.MemberLeft)


@strawberry.type(description="A list was created, renamed, shared, or is LIVE now.")
class SavedSearchUpserted(Change):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.SavedSearchUpserted)

    @strawberry.field(description="The list as it is now; null where it is gone.")
    async def saved_search(self: Any, info: Info) -> SavedSearch | None:
        return as_field_type(await self.saved_search(info.context))


@strawberry.type(description="A list was filled or refined: read its members again. Stays that persist keep their ids.")
class SavedSearchReset(Change):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.SavedSearchReset)

    @strawberry.field(description="The list as it is now; null where it is gone.")
    async def saved_search(self: Any, info: Info) -> SavedSearch | None:
        return as_field_type(await self.saved_search(info.context))


@strawberry.type(description="A list was deleted, and with it all its stays.")
class SavedSearchDeleted(Change):
    saved_search_id: strawberry.ID = strawberry.field(description="The id of the list that is no more.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.SavedSearchDeleted)


@strawberry.type(description="A task was made, changed, completed, reopened, or given to the viewer.")
class TaskUpserted(Change):
    task_id: strawberry.ID = strawberry.field(description=_TASK_ID)

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.TaskUpserted)

    @strawberry.field(description="The task as it is now; null where it is gone, or no longer the viewer's to see.")
    async def task(self: Any, info: Info) -> Task | None:
        return as_field_type(await self.task(info.context))


@strawberry.type(description="A task was deleted, or given away out of the viewer's sight.")
class TaskDeleted(Change):
    task_id: strawberry.ID = strawberry.field(description="The id of the task that is no more.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.TaskDeleted)


@strawberry.type(
    description="A view, a click or a reply was recorded or got another verdict, or its email was deleted."
)
class EngagementRecorded(Change):
    engagement_id: strawberry.ID = strawberry.field(description="The event's id, whether or not it is still there.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.EngagementRecorded)

    @strawberry.field(
        description="The event as it is now. Null if it counts as the sender's own or its email was deleted: remove it."
    )
    async def engagement(self: Any, info: Info) -> Engagement | None:
        return as_field_type(await self.engagement(info.context))


@strawberry.type(description="Everything up to the moment of subscribing was sent; what follows is live.")
class CaughtUp(Change):
    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.CaughtUp)


@strawberry.type(
    description="The log does not reach back to `after`: query again and follow the new `asOf`. The stream ends here."
)
class CursorExpired(Change):
    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.CursorExpired)


SavedSearchChange = Annotated[
    MemberJoined | MemberLeft | SavedSearchUpserted | SavedSearchReset | SavedSearchDeleted | CaughtUp | CursorExpired,
    strawberry.union("SavedSearchChange", description="What can happen to a list, or to the stream itself."),
]
TaskChange = Annotated[
    TaskUpserted | TaskDeleted | CaughtUp | CursorExpired,
    strawberry.union("TaskChange", description="What can happen to a task, or to the stream itself."),
]
EngagementFeedChange = Annotated[
    EngagementRecorded | CaughtUp | CursorExpired,
    strawberry.union("EngagementFeedChange", description="What the feed can say, of an event or of itself."),
]


@strawberry.type(description="The counts of one sender's folders at one moment.")
class FolderCounts:
    folders: list[Folder] = strawberry.field(description="All eight, in the order of their groups.")
    groups: list[FolderGroup] = strawberry.field(description="Sent, Pending, Undelivered, in that order.")


@strawberry.type(description="What can be followed. A refused subscription is an error before the first frame.")
class Subscription:
    @strawberry.subscription(
        description="One list. Without `after` from now on; with it, from there on, nothing left out. It completes"
        " after the list's deletion."
    )
    async def saved_search_changes(
        self,
        info: Info,
        saved_search_id: Annotated[strawberry.ID, described("Which list.")],
        after: FromCursor = UNSET,
    ) -> AsyncGenerator[SavedSearchChange, None]:
        return as_field_type(await subscriptions.one_list(info.context, saved_search_id, value_or_none(after)))

    @strawberry.subscription(description="All of the viewer's lists, those to come included.")
    async def all_saved_search_changes(
        self, info: Info, after: FromCursor = UNSET
    ) -> AsyncGenerator[SavedSearchChange, None]:
        return as_field_type(await subscriptions.all_lists(info.context, value_or_none(after)))

    @strawberry.subscription(description="All of the viewer's tasks, those to come included.")
    async def task_changes(self, info: Info, after: FromCursor = UNSET) -> AsyncGenerator[TaskChange, None]:
        return as_field_type(await subscriptions.tasks(info.context, value_or_none(after)))

    @strawberry.subscription(
        description="Exact counts of the folders: at once as they stand, then as often as they change. Of changes that"
        " come quickly or are read slowly only the latest state is told. `viewAs` is for admins."
    )
    async def folder_counts(self, info: Info, view_as: ViewAs = UNSET) -> AsyncGenerator[FolderCounts, None]:
        return as_field_type(await folders.follow_counts(info.context, value_or_none(view_as)))

    @strawberry.subscription(
        description="The live feed: views, clicks and replies on the viewer's emails as they are recorded, without the"
        " sender's own."
    )
    async def engagement_feed(
        self, info: Info, after: FromCursor = UNSET
    ) -> AsyncGenerator[EngagementFeedChange, None]:
        return as_field_type(await subscriptions.engagement_feed(info.context, value_or_none(after)))
