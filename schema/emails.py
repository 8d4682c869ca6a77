"""Defines the types for emails, their order and pages, folders and folder groups."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from resolvers import emails, folders, tasks
from resolvers.pagination import Order
from schema.campaigns import BulkSend, Campaign, Template
from schema.engagements import EngagementConnection, EngagementSummary
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
    as_field_type,
    described,
    paging,
    reference_field,
    value_or_none,
)
from schema.filters import EmailFilterArgument, raw_filter
from schema.nodes import Node, PageInfo
from schema.people import Person, User

if TYPE_CHECKING:
    from schema.tasks import TaskConnection


@strawberry.type(description="Why an email was not delivered.")
class DeliveryFailure:
    code: FailureCode = strawberry.field(description="The reason as a code for programs.")
    message: str = strawberry.field(description="The reason as a text for people.")
    occurred_at: datetime = strawberry.field(description="When the delivery failed.")


@strawberry.type(
    description="One message to one person. The server derives its folder, its tracking and its engagement summary."
)
class Email(Node):
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
    sender: User = reference_field(emails.SENDER, "The user who sends it.")
    person: Person = reference_field(emails.PERSON, "The person who receives it.")
    campaign: Campaign | None = reference_field(emails.CAMPAIGN, "The campaign to which it belongs.")
    template: Template | None = reference_field(emails.TEMPLATE, "The template from which it was created.")
    bulk_send: BulkSend | None = reference_field(emails.BULK_SEND, "The bulk send that created it.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return emails.is_email(row)

    @strawberry.field(description="The body as HTML or plain text.")
    def body(self: Any, info: Info) -> str:
        return as_field_type(emails.body(info.context, self))

    @strawberry.field(description="Why it was not delivered; set exactly when the status is FAILED, BOUNCED or SPAM.")
    def failure(self: Any) -> DeliveryFailure | None:
        return as_field_type(emails.failure(self))

    @strawberry.field(description="The counts of its human views, clicks and replies.")
    def engagement_summary(self: Any) -> EngagementSummary:
        return as_field_type(emails.summary(self))

    @strawberry.field(description="All its events, with any verdict, newest first.")
    async def engagements(
        self: Any,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> EngagementConnection:
        page = await emails.engagements(info.context, self, paging(first, after, last, before))
        return as_field_type(page)

    @strawberry.field(description="The viewer's tasks that were created from it, earliest due date first.")
    async def tasks(
        self: Any,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Annotated["TaskConnection", strawberry.lazy("schema.tasks")]:
        return as_field_type(await tasks.of_email(info.context, self, paging(first, after, last, before)))

    @strawberry.field(
        description="The actions that the viewer may perform on it now; empty for everyone but its sender."
    )
    def actions(self: Any, info: Info) -> list[EmailAction]:
        return emails.actions(info.context, self)


@strawberry.type(description="One email of a page, with its cursor.")
class EmailEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: Email = strawberry.field(description="The email at this position.")


@strawberry.type(description="A page of emails.")
class EmailConnection:
    edges: list[EmailEdge] = strawberry.field(description="The emails with their cursors.")
    nodes: list[Email] = strawberry.field(description="The emails of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")


@strawberry.input(description="How to sort emails.")
class EmailOrder:
    field: EmailOrderField = strawberry.field(description="The date or text by which to sort.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.DESC, description="Whether to sort ascending or descending."
    )

    def value(self) -> Order:
        return emails.order(self.field, self.direction)


EmailOrderArgument = Annotated[EmailOrder | None, described("How to sort the emails.")]


def email_order(order: EmailOrder | None) -> Order:
    """Return the requested order; without one, the most recently created come first."""
    value = value_or_none(order)
    return emails.NEWEST if value is None else value.value()


@strawberry.type(
    description="One folder of one sender. Its id contains both, so that a client's cache distinguishes the senders."
)
class Folder(Node):
    name: FolderName = strawberry.field(description="The name, unique among the sender's folders.")
    group: FolderGroupName = strawberry.field(description="The folder group to which it belongs.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, folders.Folder)

    @strawberry.field(description="The exact number of emails in it.")
    async def email_count(self: Any, info: Info) -> int:
        return int(await as_field_type(self.email_count(info.context)))

    @strawberry.field(
        description="The actions that the viewer may perform on emails in it. The mutations apply the same rules."
    )
    def actions(self: Any, info: Info) -> list[EmailAction]:
        return as_field_type(self.actions(info.context))

    @strawberry.field(description="Its emails. Without `orderBy`, the most recently created come first.")
    async def emails(
        self: Any,
        info: Info,
        filter: EmailFilterArgument = UNSET,
        order_by: EmailOrderArgument = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> EmailConnection:
        arguments = paging(first, after, last, before)
        page = await self.emails(info.context, raw_filter(value_or_none(filter)), email_order(order_by), arguments)
        return as_field_type(page)


@strawberry.type(description="One of the three groups of folders of one sender.")
class FolderGroup(Node):
    name: FolderGroupName = strawberry.field(description="The name, unique among the sender's folder groups.")
    folders: list[Folder] = strawberry.field(description="The folders of the group, in the fixed order of a sidebar.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, folders.FolderGroup)

    @strawberry.field(description="The exact number of emails in all its folders.")
    async def email_count(self: Any, info: Info) -> int:
        return int(await as_field_type(self.email_count(info.context)))
