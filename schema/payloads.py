"""Defines the payloads that mutations return: the result and the user errors."""

import strawberry

from command_center.actions.bodies import BodyNotice
from command_center.errors import UserError
from models.campaigns import BulkSend, Campaign, Template
from models.emails import Email
from models.engagements import Engagement
from models.people import Group, Person
from models.searches import SavedSearch
from models.tasks import Task
from schema.campaigns import BulkSendType, CampaignType, TemplateType
from schema.emails import EmailType
from schema.engagements import EngagementType
from schema.errors import NoticeType, UserErrorInterface
from schema.people import GroupType, PersonType
from schema.searches import SavedSearchType
from schema.tasks import TaskType

_NOTICES = "Warnings about saved texts that will not be sent as they were written; one for each kind of"
" problem."
_ERRORS = "All errors in the input; empty if the mutation succeeded."


@strawberry.type(description="The email, or the errors.")
class EmailPayload:
    email: Email | None = strawberry.field(
        description="Its state after the mutation; null if the mutation was rejected.", graphql_type=EmailType | None
    )
    user_errors: list[UserError] = strawberry.field(description=_ERRORS, graphql_type=list[UserErrorInterface])
    notices: list[BodyNotice] = strawberry.field(
        default_factory=list, description=_NOTICES, graphql_type=list[NoticeType]
    )


@strawberry.type(description="The emails that were processed, and the errors for the others.")
class EmailsPayload:
    emails: list[Email] = strawberry.field(
        description="Their state after the mutation, in the order of the request.", graphql_type=list[EmailType]
    )
    user_errors: list[UserError] = strawberry.field(
        description="One error for each rejected id, with its index; the others were processed.",
        graphql_type=list[UserErrorInterface],
    )


@strawberry.type(description="The bulk send, or the errors. If there are errors, nothing is sent.")
class BulkSendPayload:
    bulk_send: BulkSend | None = strawberry.field(
        description="The accepted send with all its emails; null if it was rejected.", graphql_type=BulkSendType | None
    )
    user_errors: list[UserError] = strawberry.field(description=_ERRORS, graphql_type=list[UserErrorInterface])
    notices: list[BodyNotice] = strawberry.field(
        default_factory=list, description=_NOTICES, graphql_type=list[NoticeType]
    )


@strawberry.type(description="The task, or the errors.")
class TaskPayload:
    task: Task | None = strawberry.field(
        description="Its state after the mutation; null if the mutation was rejected, or if the viewer can no longer"
        " see the task after assigning it to another user.",
        graphql_type=TaskType | None,
    )
    user_errors: list[UserError] = strawberry.field(description=_ERRORS, graphql_type=list[UserErrorInterface])


@strawberry.type(description="The tasks that were processed or created, and the errors.")
class TasksPayload:
    tasks: list[Task] = strawberry.field(
        description="Their state after the mutation, in the order of the request or of the list.",
        graphql_type=list[TaskType],
    )
    user_errors: list[UserError] = strawberry.field(
        description="One error for each rejected id, with its index; the others were processed.",
        graphql_type=list[UserErrorInterface],
    )


@strawberry.type(description="The saved search, or the errors.")
class SavedSearchPayload:
    saved_search: SavedSearch | None = strawberry.field(
        description="Its state after the mutation; null if the mutation was rejected.",
        graphql_type=SavedSearchType | None,
    )
    user_errors: list[UserError] = strawberry.field(description=_ERRORS, graphql_type=list[UserErrorInterface])


@strawberry.type(description="The person, or the errors.")
class PersonPayload:
    person: Person | None = strawberry.field(
        description="Their state after the mutation; null if the mutation was rejected.", graphql_type=PersonType | None
    )
    user_errors: list[UserError] = strawberry.field(description=_ERRORS, graphql_type=list[UserErrorInterface])


@strawberry.type(description="The group, or the errors.")
class GroupPayload:
    group: Group | None = strawberry.field(
        description="Its state after the mutation; null if the mutation was rejected.", graphql_type=GroupType | None
    )
    user_errors: list[UserError] = strawberry.field(
        description="One error for each rejected id, with its index; the others were processed.",
        graphql_type=list[UserErrorInterface],
    )


@strawberry.type(description="The campaign, or the errors.")
class CampaignPayload:
    campaign: Campaign | None = strawberry.field(
        description="Its state after the mutation; null if the mutation was rejected.", graphql_type=CampaignType | None
    )
    user_errors: list[UserError] = strawberry.field(description=_ERRORS, graphql_type=list[UserErrorInterface])


@strawberry.type(description="The template, or the errors.")
class TemplatePayload:
    template: Template | None = strawberry.field(
        description="Its state after the mutation; null if the mutation was rejected.", graphql_type=TemplateType | None
    )
    user_errors: list[UserError] = strawberry.field(description=_ERRORS, graphql_type=list[UserErrorInterface])
    notices: list[BodyNotice] = strawberry.field(
        default_factory=list, description=_NOTICES, graphql_type=list[NoticeType]
    )


@strawberry.type(description="The ids that were deleted, and the errors for the others.")
class DeletePayload:
    deleted_ids: list[str] = strawberry.field(
        description="Ids of the deleted objects.", graphql_type=list[strawberry.ID]
    )
    user_errors: list[UserError] = strawberry.field(
        description="One error for each rejected id, with its index; the others were processed.",
        graphql_type=list[UserErrorInterface],
    )


@strawberry.type(description="The result of recording a batch of events.")
class EngagementRecordPayload:
    recorded: int = strawberry.field(description="The number of new events.")
    duplicates: int = strawberry.field(description="The number of events whose `dedupeKey` had been recorded before.")
    ignored: int = strawberry.field(
        description="The number of views and clicks that were dropped because their email is archived."
    )
    user_errors: list[UserError] = strawberry.field(
        description="One error for each rejected event, with its index.", graphql_type=list[UserErrorInterface]
    )


@strawberry.type(description="The events that now have the requested verdict, and the errors for the others.")
class EngagementsPayload:
    engagements: list[Engagement] = strawberry.field(
        description="Their state after the mutation, in the order of the request.", graphql_type=list[EngagementType]
    )
    user_errors: list[UserError] = strawberry.field(
        description="One error for each rejected id, with its index; the others were processed.",
        graphql_type=list[UserErrorInterface],
    )


@strawberry.type(description="The result of recording a batch of delivery reports.")
class DeliveryRecordPayload:
    recorded: int = strawberry.field(description="The number of new reports.")
    duplicates: int = strawberry.field(description="The number of reports whose `dedupeKey` had been recorded before.")
    user_errors: list[UserError] = strawberry.field(
        description="One error for each rejected report, with its index.", graphql_type=list[UserErrorInterface]
    )
