"""Defines the subscriptions and the change messages that they send.

Change messages arrive in the order of the change log, each with its cursor. Folder counts have no cursor.
"""

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

_CURSOR = "Pass it as `after` to resume from here."
_ID = "The id of the list, which may have been deleted since."
_TASK_ID = "The id of the task, which may have been deleted since."


@strawberry.interface(
    description="One change message of a stream. Applying it twice has the same effect as applying it once."
)
class Change:
    cursor: ChangeCursor = strawberry.field(description=_CURSOR)


@strawberry.type(description="An email joined a list.")
class MemberJoined(Change):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)
    member_id: strawberry.ID = strawberry.field(description="The id of the membership that began.")
    email_id: strawberry.ID = strawberry.field(
        description="The id of the email that joined; the email may have been deleted since."
    )

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.MemberJoined)

    @strawberry.field(description="The current state of the membership; null if it has ended since.")
    async def member(self: Any, info: Info) -> SavedSearchMember | None:
        return as_field_type(await self.member(info.context))


@strawberry.type(description="An email left a list.")
class MemberLeft(Change):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)
    member_id: strawberry.ID = strawberry.field(description="The id of the membership that ended.")
    email_id: strawberry.ID = strawberry.field(
        description="The id of the email that left; the email may have been deleted since."
    )
    cause: ChangeCause = strawberry.field(description="The latest change that concerned the email when it left.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.MemberLeft)


@strawberry.type(description="A list was created, renamed or shared, or became LIVE.")
class SavedSearchUpserted(Change):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.SavedSearchUpserted)

    @strawberry.field(description="The current state of the list; null if it has been deleted.")
    async def saved_search(self: Any, info: Info) -> SavedSearch | None:
        return as_field_type(await self.saved_search(info.context))


@strawberry.type(
    description="A list was evaluated completely or its filter was changed. Query its members again; memberships"
    " that continue keep their ids."
)
class SavedSearchReset(Change):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.SavedSearchReset)

    @strawberry.field(description="The current state of the list; null if it has been deleted.")
    async def saved_search(self: Any, info: Info) -> SavedSearch | None:
        return as_field_type(await self.saved_search(info.context))


@strawberry.type(description="A list was deleted, and all its memberships ended.")
class SavedSearchDeleted(Change):
    saved_search_id: strawberry.ID = strawberry.field(description="The id of the deleted list.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.SavedSearchDeleted)


@strawberry.type(description="A task was created, changed, completed, reopened or assigned to the viewer.")
class TaskUpserted(Change):
    task_id: strawberry.ID = strawberry.field(description=_TASK_ID)

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.TaskUpserted)

    @strawberry.field(
        description="The current state of the task; null if it was deleted or the viewer can no longer see it."
    )
    async def task(self: Any, info: Info) -> Task | None:
        return as_field_type(await self.task(info.context))


@strawberry.type(
    description="A task was deleted, or was assigned to another user so that the viewer can no longer see it."
)
class TaskDeleted(Change):
    task_id: strawberry.ID = strawberry.field(description="The id of the task to remove.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.TaskDeleted)


@strawberry.type(description="A view, click or reply was recorded or its verdict changed, or its email was deleted.")
class EngagementRecorded(Change):
    engagement_id: strawberry.ID = strawberry.field(
        description="The id of the event, which may have been deleted since."
    )

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.EngagementRecorded)

    @strawberry.field(
        description="The current state of the event. If it is null, remove the event: it is the sender's own or its"
        " email was deleted."
    )
    async def engagement(self: Any, info: Info) -> Engagement | None:
        return as_field_type(await self.engagement(info.context))


@strawberry.type(
    description="All changes from before the subscription started have been sent. Later change messages are live."
)
class CaughtUp(Change):
    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.CaughtUp)


@strawberry.type(
    description="The change log no longer contains the position of `after`. The stream ends; query again and"
    " subscribe from the new `asOf`."
)
class CursorExpired(Change):
    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, change_messages.CursorExpired)


SavedSearchChange = Annotated[
    MemberJoined | MemberLeft | SavedSearchUpserted | SavedSearchReset | SavedSearchDeleted | CaughtUp | CursorExpired,
    strawberry.union("SavedSearchChange", description="A change of a list, or of the stream itself."),
]
TaskChange = Annotated[
    TaskUpserted | TaskDeleted | CaughtUp | CursorExpired,
    strawberry.union("TaskChange", description="A change of a task, or of the stream itself."),
]
EngagementFeedChange = Annotated[
    EngagementRecorded | CaughtUp | CursorExpired,
    strawberry.union("EngagementFeedChange", description="A change of an event, or of the stream itself."),
]


@strawberry.type(description="The email counts of one sender's folders at one moment.")
class FolderCounts:
    folders: list[Folder] = strawberry.field(description="All eight folders, in the order of their groups.")
    groups: list[FolderGroup] = strawberry.field(description="The groups Sent, Pending and Undelivered, in that order.")


@strawberry.type(
    description="The streams of changes. A rejected subscription returns an error before the first change message."
)
class Subscription:
    @strawberry.subscription(
        description="The changes of one list. Without `after` the stream starts now; with it, the stream starts at"
        " that position and omits nothing. It completes after the list is deleted."
    )
    async def saved_search_changes(
        self,
        info: Info,
        saved_search_id: Annotated[strawberry.ID, described("The id of the list.")],
        after: FromCursor = UNSET,
    ) -> AsyncGenerator[SavedSearchChange, None]:
        return as_field_type(await subscriptions.one_list(info.context, saved_search_id, value_or_none(after)))

    @strawberry.subscription(description="The changes of all the viewer's lists, including lists created later.")
    async def all_saved_search_changes(
        self, info: Info, after: FromCursor = UNSET
    ) -> AsyncGenerator[SavedSearchChange, None]:
        return as_field_type(await subscriptions.all_lists(info.context, value_or_none(after)))

    @strawberry.subscription(description="The changes of all the viewer's tasks, including tasks created later.")
    async def task_changes(self, info: Info, after: FromCursor = UNSET) -> AsyncGenerator[TaskChange, None]:
        return as_field_type(await subscriptions.tasks(info.context, value_or_none(after)))

    @strawberry.subscription(
        description="The exact email counts of the folders: first the current counts, then the counts after each"
        " change. If changes are frequent or the client reads slowly, intermediate states are skipped."
        " `viewAs` is for admins."
    )
    async def folder_counts(self, info: Info, view_as: ViewAs = UNSET) -> AsyncGenerator[FolderCounts, None]:
        return as_field_type(await folders.follow_counts(info.context, value_or_none(view_as)))

    @strawberry.subscription(
        description="The live feed of views, clicks and replies on the viewer's emails as they are recorded, without"
        " the viewer's own actions."
    )
    async def engagement_feed(
        self, info: Info, after: FromCursor = UNSET
    ) -> AsyncGenerator[EngagementFeedChange, None]:
        return as_field_type(await subscriptions.engagement_feed(info.context, value_or_none(after)))
