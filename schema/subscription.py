"""Defines the subscriptions and the change messages that they send.

Change messages arrive in the order of the change log, each with its cursor. Folder counts have no cursor.
"""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry
from strawberry import Parent

from models.engagements import Engagement
from models.searches import Membership, SavedSearch
from models.tasks import Task
from resolvers import change_messages, folders, subscriptions
from resolvers.change_messages import EntryBatch
from resolvers.folders import Folder, FolderGroup
from resolvers.searches import ChangeCause
from schema.emails import FolderGroupType, FolderType
from schema.engagements import EngagementType
from schema.field_helpers import UNSET, FromCursor, Info, ViewAs, described, publishes, value_or_none
from schema.scalars import ChangeCursor
from schema.searches import ChangeCauseType, SavedSearchMemberType, SavedSearchType
from schema.tasks import TaskType

_CURSOR = "Pass it as `after` to resume from here."
_ID = "The id of the list, which may have been deleted since."
_TASK_ID = "The id of the task, which may have been deleted since."


@strawberry.interface(
    name="Change",
    description="One change message of a stream. Applying it twice has the same effect as applying it once.",
)
class ChangeInterface:
    cursor: ChangeCursor = strawberry.field(description=_CURSOR)


@publishes(change_messages.MemberJoined, "An email joined a list.")
class MemberJoinedType(ChangeInterface):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)
    member_id: strawberry.ID = strawberry.field(description="The id of the membership that began.")
    email_id: strawberry.ID = strawberry.field(
        description="The id of the email that joined; the email may have been deleted since."
    )

    @strawberry.field(
        description="The current state of the membership; null if it has ended since.",
        graphql_type=SavedSearchMemberType | None,
    )
    @staticmethod
    async def member(message: Parent[change_messages.MemberJoined], info: Info) -> Membership | None:
        return await message.load_member(info.context)


@publishes(change_messages.MemberLeft, "An email left a list.")
class MemberLeftType(ChangeInterface):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)
    member_id: strawberry.ID = strawberry.field(description="The id of the membership that ended.")
    email_id: strawberry.ID = strawberry.field(
        description="The id of the email that left; the email may have been deleted since."
    )
    cause: ChangeCause = strawberry.field(
        graphql_type=ChangeCauseType, description="The latest change that concerned the email when it left."
    )


@publishes(change_messages.SavedSearchUpserted, "A list was created, renamed or shared, or became LIVE.")
class SavedSearchUpsertedType(ChangeInterface):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)

    @strawberry.field(
        description="The current state of the list; null if it has been deleted.", graphql_type=SavedSearchType | None
    )
    @staticmethod
    async def saved_search(message: Parent[change_messages.SavedSearchUpserted], info: Info) -> SavedSearch | None:
        return await message.load_saved_search(info.context)


@publishes(
    change_messages.SavedSearchReset,
    "A list was evaluated completely or its filter was changed. Query its members again; memberships"
    " that continue keep their ids.",
)
class SavedSearchResetType(ChangeInterface):
    saved_search_id: strawberry.ID = strawberry.field(description=_ID)

    @strawberry.field(
        description="The current state of the list; null if it has been deleted.", graphql_type=SavedSearchType | None
    )
    @staticmethod
    async def saved_search(message: Parent[change_messages.SavedSearchReset], info: Info) -> SavedSearch | None:
        return await message.load_saved_search(info.context)


@publishes(change_messages.SavedSearchDeleted, "A list was deleted, and all its memberships ended.")
class SavedSearchDeletedType(ChangeInterface):
    saved_search_id: strawberry.ID = strawberry.field(description="The id of the deleted list.")


@publishes(change_messages.TaskUpserted, "A task was created, changed, completed, reopened or assigned to the viewer.")
class TaskUpsertedType(ChangeInterface):
    task_id: strawberry.ID = strawberry.field(description=_TASK_ID)

    @strawberry.field(
        description="The current state of the task; null if it was deleted or the viewer can no longer see it.",
        graphql_type=TaskType | None,
    )
    @staticmethod
    async def task(message: Parent[change_messages.TaskUpserted], info: Info) -> Task | None:
        return await message.load_task(info.context)


@publishes(
    change_messages.TaskDeleted,
    "A task was deleted, or was assigned to another user so that the viewer can no longer see it.",
)
class TaskDeletedType(ChangeInterface):
    task_id: strawberry.ID = strawberry.field(description="The id of the task to remove.")


@publishes(
    change_messages.EngagementRecorded,
    "A view, click or reply was recorded or its verdict changed, or its email was deleted.",
)
class EngagementRecordedType(ChangeInterface):
    engagement_id: strawberry.ID = strawberry.field(
        description="The id of the event, which may have been deleted since."
    )

    @strawberry.field(
        description="The current state of the event. If it is null, remove the event: it is the sender's own or its"
        " email was deleted.",
        graphql_type=EngagementType | None,
    )
    @staticmethod
    async def engagement(message: Parent[change_messages.EngagementRecorded], info: Info) -> Engagement | None:
        return await message.load_engagement(info.context)


@publishes(
    change_messages.CaughtUp,
    "All changes from before the subscription started have been sent. Later change messages are live.",
)
class CaughtUpType(ChangeInterface):
    pass


@publishes(
    change_messages.CursorExpired,
    "The change log no longer contains the position of `after`. The stream ends; query again and"
    " subscribe from the new `asOf`.",
)
class CursorExpiredType(ChangeInterface):
    pass


SavedSearchChange = Annotated[
    MemberJoinedType
    | MemberLeftType
    | SavedSearchUpsertedType
    | SavedSearchResetType
    | SavedSearchDeletedType
    | CaughtUpType
    | CursorExpiredType,
    strawberry.union("SavedSearchChange", description="A change of a list, or of the stream itself."),
]
TaskChange = Annotated[
    TaskUpsertedType | TaskDeletedType | CaughtUpType | CursorExpiredType,
    strawberry.union("TaskChange", description="A change of a task, or of the stream itself."),
]
EngagementFeedChange = Annotated[
    EngagementRecordedType | CaughtUpType | CursorExpiredType,
    strawberry.union("EngagementFeedChange", description="A change of an event, or of the stream itself."),
]


@publishes(folders.FolderCounts, "The email counts of one sender's folders at one moment.")
class FolderCountsType:
    folders: list[Folder] = strawberry.field(
        graphql_type=list[FolderType], description="All eight folders, in the order of their groups."
    )
    groups: list[FolderGroup] = strawberry.field(
        graphql_type=list[FolderGroupType], description="The groups Sent, Pending and Undelivered, in that order."
    )


@strawberry.type(
    description="The streams of changes. A rejected subscription returns an error before the first change message."
)
class Subscription:
    @strawberry.subscription(
        description="The changes of one list. Without `after` the stream starts now; with it, the stream starts at"
        " that position and omits nothing. It completes after the list is deleted.",
        graphql_type=SavedSearchChange,
    )
    async def saved_search_changes(
        self,
        info: Info,
        saved_search_id: Annotated[strawberry.ID, described("The id of the list.")],
        after: FromCursor = UNSET,
    ) -> AsyncGenerator[EntryBatch, None]:
        return await subscriptions.stream_list(info.context, saved_search_id, value_or_none(after))

    @strawberry.subscription(
        description="The changes of all the viewer's lists, including lists created later.",
        graphql_type=SavedSearchChange,
    )
    async def all_saved_search_changes(self, info: Info, after: FromCursor = UNSET) -> AsyncGenerator[EntryBatch, None]:
        return await subscriptions.stream_all_lists(info.context, value_or_none(after))

    @strawberry.subscription(
        description="The changes of all the viewer's tasks, including tasks created later.", graphql_type=TaskChange
    )
    async def task_changes(self, info: Info, after: FromCursor = UNSET) -> AsyncGenerator[EntryBatch, None]:
        return await subscriptions.stream_tasks(info.context, value_or_none(after))

    @strawberry.subscription(
        description="The exact email counts of the folders: first the current counts, then the counts after each"
        " change. If changes are frequent or the client reads slowly, intermediate states are skipped."
        " `viewAs` is for admins.",
        graphql_type=FolderCountsType,
    )
    async def folder_counts(self, info: Info, view_as: ViewAs = UNSET) -> AsyncGenerator[folders.FolderCounts, None]:
        return await folders.stream_counts(info.context, value_or_none(view_as))

    @strawberry.subscription(
        description="The live feed of views, clicks and replies on the viewer's emails as they are recorded, without"
        " the viewer's own actions.",
        graphql_type=EngagementFeedChange,
    )
    async def engagement_feed(self, info: Info, after: FromCursor = UNSET) -> AsyncGenerator[EntryBatch, None]:
        return await subscriptions.stream_engagement_feed(info.context, value_or_none(after))
