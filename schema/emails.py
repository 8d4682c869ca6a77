"""Emails and their folders."""

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


@strawberry.type(description="Why an email did not arrive.")
class DeliveryFailure:
    code: FailureCode = strawberry.field(description="The reason, for programs.")
    message: str = strawberry.field(description="The reason, for people.")
    occurred_at: datetime = strawberry.field(description="When it failed.")


@strawberry.type(
    description="One message to one person. Its folder, its tracking and its engagement follow from what happens."
)
class Email(Node):
    folder: FolderName = strawberry.field(description="Follows from status and archived alone.")
    status: EmailStatus = strawberry.field(description="Where it stands on its way.")
    archived: bool = strawberry.field(description="Views and clicks are no longer recorded.")
    success: bool = strawberry.field(description="Marked as a success by its sender.")
    cc: list[str] = strawberry.field(description="Further recipients, shown to all.")
    bcc: list[str] = strawberry.field(description="Further recipients, shown to nobody.")
    subject: str = strawberry.field(description="One line.")
    send_kind: SendKind = strawberry.field(description="The kind of sending it was part of.")
    created_at: datetime = strawberry.field(description="When it was written.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    scheduled_at: datetime | None = strawberry.field(description="When it is, or was, to be sent.")
    sent_at: datetime | None = strawberry.field(description="When it was last sent with success.")
    failed_at: datetime | None = strawberry.field(description="When it failed, bounced or was complained about.")
    sender: User = reference_field(emails.SENDER, "Who sends it.")
    person: Person = reference_field(emails.PERSON, "Whom it is to.")
    campaign: Campaign | None = reference_field(emails.CAMPAIGN, "The campaign it is part of.")
    template: Template | None = reference_field(emails.TEMPLATE, "The template it was made from.")
    bulk_send: BulkSend | None = reference_field(emails.BULK_SEND, "The bulk send it was part of.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return emails.is_email(row)

    @strawberry.field(description="HTML, or plain text.")
    def body(self: Any, info: Info) -> str:
        return as_field_type(emails.body(info.context, self))

    @strawberry.field(description="Present exactly when the status is FAILED, BOUNCED or SPAM.")
    def failure(self: Any) -> DeliveryFailure | None:
        return as_field_type(emails.failure(self))

    @strawberry.field(description="Its human views, clicks and replies.")
    def engagement_summary(self: Any) -> EngagementSummary:
        return as_field_type(emails.summary(self))

    @strawberry.field(description="Every event, whoever acted, newest first.")
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

    @strawberry.field(description="The viewer's tasks that were made from it, soonest due first.")
    async def tasks(
        self: Any,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Annotated["TaskConnection", strawberry.lazy("schema.tasks")]:
        return as_field_type(await tasks.of_email(info.context, self, paging(first, after, last, before)))

    @strawberry.field(description="What the viewer may do to it now; nothing for anyone but its sender.")
    def actions(self: Any, info: Info) -> list[EmailAction]:
        return emails.actions(info.context, self)


@strawberry.type(description="One email of a page.")
class EmailEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: Email = strawberry.field(description="The email itself.")


@strawberry.type(description="A page of emails.")
class EmailConnection:
    edges: list[EmailEdge] = strawberry.field(description="The emails with their cursors.")
    nodes: list[Email] = strawberry.field(description="The emails alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.input(description="How emails are ordered.")
class EmailOrder:
    field: EmailOrderField = strawberry.field(description="The date or text that decides the order.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.DESC, description="Which way.")

    def value(self) -> Order:
        return emails.order(self.field, self.direction)


EmailOrderArgument = Annotated[EmailOrder | None, described("How they are ordered.")]


def email_order(order: EmailOrder | None) -> Order:
    """The order asked for, or newest created first."""
    value = value_or_none(order)
    return emails.NEWEST if value is None else value.value()


@strawberry.type(description="One folder of one sender. Its id names both, so that caches keep senders apart.")
class Folder(Node):
    name: FolderName = strawberry.field(description="Its name; no two folders of a sender share one.")
    group: FolderGroupName = strawberry.field(description="The group it belongs to.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, folders.Folder)

    @strawberry.field(description="How many emails lie in it, exactly.")
    async def email_count(self: Any, info: Info) -> int:
        return int(await as_field_type(self.email_count(info.context)))

    @strawberry.field(description="What may be done to an email here: the table the mutations go by.")
    def actions(self: Any, info: Info) -> list[EmailAction]:
        return as_field_type(self.actions(info.context))

    @strawberry.field(description="Its emails, newest created first where no order is given.")
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
    name: FolderGroupName = strawberry.field(description="Its name; no two groups of a sender share one.")
    folders: list[Folder] = strawberry.field(description="What lies in it, in a fixed order that suits a sidebar.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return isinstance(row, folders.FolderGroup)

    @strawberry.field(description="How many emails lie in all of them, exactly.")
    async def email_count(self: Any, info: Info) -> int:
        return int(await as_field_type(self.email_count(info.context)))
