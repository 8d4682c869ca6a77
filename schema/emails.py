"""Defines the types for emails, their order and pages, folders and folder groups."""

from collections.abc import Awaitable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import Parent
from strawberry.types.unset import UnsetType

from models.emails import Email
from models.engagements import Engagement
from models.tasks import Task
from resolvers import emails, tasks
from resolvers.emails import DeliveryFailure, EngagementSummary
from resolvers.folders import Folder, FolderGroup
from resolvers.pagination import Order, Page
from schema.campaigns import BulkSendType, CampaignType, TemplateType
from schema.connections import define_connection
from schema.engagements import EngagementConnection, EngagementSummaryType
from schema.enums import (
    EmailAction,
    EmailOrderField,
    EmailStatus,
    FailureCode,
    FolderGroupName,
    FolderName,
    OrderDirection,
    SendKind,
)
from schema.field_helpers import (
    UNSET,
    After,
    Before,
    First,
    Info,
    Last,
    described,
    publishes,
    reference_field,
    to_arguments,
    value_or_none,
)
from schema.filters import EmailFilterArgument, to_raw_filter
from schema.nodes import NodeInterface
from schema.people import PersonType, UserType

if TYPE_CHECKING:
    from schema.tasks import TaskConnection


@publishes(DeliveryFailure, "Why an email was not delivered.")
class DeliveryFailureType:
    code: FailureCode = strawberry.field(description="The reason as a code for programs.")
    message: str = strawberry.field(description="The reason as a text for people.")
    occurred_at: datetime = strawberry.field(description="When the delivery failed.")


@publishes(Email, "One message to one person. The server derives its folder, its tracking and its engagement summary.")
class EmailType(NodeInterface):
    folder: FolderName = strawberry.field(description="The folder, derived from `status` and `archived` alone.")
    status: EmailStatus = strawberry.field(description="How far its sending has come, or how it failed.")
    archived: bool = strawberry.field(
        description="Whether it is archived. Views and clicks of an archived email are not recorded."
    )
    success: bool = strawberry.field(description="Whether its sender marked it as a success.")
    cc: list[str] = strawberry.field(description="Further recipients, visible to every recipient.")
    bcc: list[str] = strawberry.field(description="Further recipients, hidden from every other recipient.")
    subject: str = strawberry.field(description="The subject, a single line.")
    send_kind: SendKind = strawberry.field(
        description="How it was sent: alone, to selected people, to a group or by a campaign."
    )
    created_at: datetime = strawberry.field(description="When it was first saved.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    scheduled_at: datetime | None = strawberry.field(description="The time for which it is, or was, scheduled.")
    sent_at: datetime | None = strawberry.field(description="When it was last sent successfully.")
    failed_at: datetime | None = strawberry.field(description="When it failed, bounced or was reported as spam.")
    sender = reference_field(emails.SENDER, UserType, "The user who sends it.")
    person = reference_field(emails.PERSON, PersonType, "The person who receives it.")
    campaign = reference_field(emails.CAMPAIGN, CampaignType | None, "The campaign to which it belongs.")
    template = reference_field(emails.TEMPLATE, TemplateType | None, "The template from which it was created.")
    bulk_send = reference_field(emails.BULK_SEND, BulkSendType | None, "The bulk send that created it.")

    @strawberry.field(description="The body as HTML or plain text.", graphql_type=str)
    @staticmethod
    def body(email: Parent[Email], info: Info) -> str | Awaitable[str]:
        return emails.load_body(info.context, email)

    @strawberry.field(
        description="Why it was not delivered; set exactly when the status is FAILED, BOUNCED or SPAM.",
        graphql_type=DeliveryFailureType | None,
    )
    @staticmethod
    def failure(email: Parent[Email]) -> DeliveryFailure | None:
        return emails.get_failure(email)

    @strawberry.field(
        description="The counts of its human views, clicks and replies.", graphql_type=EngagementSummaryType
    )
    @staticmethod
    def engagement_summary(email: Parent[Email]) -> EngagementSummary:
        return emails.get_summary(email)

    @strawberry.field(description="All its events, with any verdict, newest first.", graphql_type=EngagementConnection)
    @staticmethod
    async def engagements(
        email: Parent[Email],
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Engagement]:
        return await emails.load_engagements(info.context, email, to_arguments(first, after, last, before))

    @strawberry.field(
        description="The viewer's tasks that were created from it, earliest due date first.",
        graphql_type=Annotated["TaskConnection", strawberry.lazy("schema.tasks")],
    )
    @staticmethod
    async def tasks(
        email: Parent[Email],
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Task]:
        return await tasks.load_tasks_of_email(info.context, email, to_arguments(first, after, last, before))

    @strawberry.field(
        description="The actions that the viewer may perform on it now; empty for everyone but its sender."
    )
    @staticmethod
    def actions(email: Parent[Email], info: Info) -> list[EmailAction]:
        return emails.list_actions(info.context, email)


EmailConnection = define_connection(EmailType, "email", "emails")


@strawberry.input(description="How to sort emails.")
class EmailOrder:
    field: EmailOrderField = strawberry.field(description="The date or text by which to sort.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.DESC, description="Whether to sort ascending or descending."
    )

    def to_order(self) -> Order:
        return emails.make_order(self.field, self.direction)


EmailOrderArgument = Annotated[EmailOrder | UnsetType | None, described("How to sort the emails.")]


def resolve_email_order(order: EmailOrder | UnsetType | None) -> Order:
    """Return the requested order; without one, the most recently created come first."""
    value = value_or_none(order)
    return emails.NEWEST if value is None else value.to_order()


@publishes(
    Folder, "One folder of one sender. Its id contains both, so that a client's cache distinguishes the senders."
)
class FolderType(NodeInterface):
    name: FolderName = strawberry.field(description="The name, unique among the sender's folders.")
    group: FolderGroupName = strawberry.field(description="The folder group to which it belongs.")

    @strawberry.field(description="The exact number of emails in it.")
    @staticmethod
    async def email_count(folder: Parent[Folder], info: Info) -> int:
        return await folder.count_emails(info.context)

    @strawberry.field(
        description="The actions that the viewer may perform on emails in it. The mutations apply the same rules."
    )
    @staticmethod
    def actions(folder: Parent[Folder], info: Info) -> list[EmailAction]:
        return folder.list_actions(info.context)

    @strawberry.field(
        description="Its emails. Without `orderBy`, the most recently created come first.", graphql_type=EmailConnection
    )
    @staticmethod
    async def emails(
        folder: Parent[Folder],
        info: Info,
        filter: EmailFilterArgument = UNSET,
        order_by: EmailOrderArgument = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Email]:
        arguments = to_arguments(first, after, last, before)
        return await folder.load_emails(
            info.context, to_raw_filter(value_or_none(filter)), resolve_email_order(order_by), arguments
        )


@publishes(FolderGroup, "One of the three groups of folders of one sender.")
class FolderGroupType(NodeInterface):
    name: FolderGroupName = strawberry.field(description="The name, unique among the sender's folder groups.")
    folders: list[Folder] = strawberry.field(
        description="The folders of the group, in the fixed order of a sidebar.", graphql_type=list[FolderType]
    )

    @strawberry.field(description="The exact number of emails in all its folders.")
    @staticmethod
    async def email_count(group: Parent[FolderGroup], info: Info) -> int:
        return await group.count_emails(info.context)
