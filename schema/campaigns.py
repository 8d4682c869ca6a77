"""Defines the types for campaigns, templates and bulk sends, and their pages."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import Parent

from models.campaigns import BulkSend, Campaign, Template
from models.emails import Email
from models.users import User
from resolvers import campaigns, people
from resolvers.pagination import Page
from schema.connections import define_connection
from schema.enums import SendKind
from schema.field_helpers import UNSET, After, Before, First, Info, Last, publishes, to_arguments, value_or_none
from schema.filters import EmailFilterArgument, to_raw_filter
from schema.nodes import NodeInterface
from schema.people import UserType

if TYPE_CHECKING:
    from schema.emails import EmailConnection


@publishes(Campaign, "A campaign, which groups several emails. The whole team sees every campaign.")
class CampaignType(NodeInterface):
    name: str = strawberry.field(description="The name, as it was entered.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it is running.")

    @strawberry.field(description="The user who created it.", graphql_type=UserType)
    @staticmethod
    async def owner(campaign: Parent[Campaign], info: Info) -> User | None:
        return await people.load_user(info.context, campaign.owner_id)

    @strawberry.field(
        description="Its emails, newest first. If the filter names no sender, only the viewer's own are returned.",
        graphql_type=Annotated["EmailConnection", strawberry.lazy("schema.emails")],
    )
    @staticmethod
    async def emails(
        campaign: Parent[Campaign],
        info: Info,
        filter: EmailFilterArgument = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Email]:
        arguments = to_arguments(first, after, last, before)
        return await campaigns.load_campaign_emails(
            info.context, campaign, to_raw_filter(value_or_none(filter)), arguments
        )


@publishes(Template, "A reusable subject and body for new emails. The whole team sees every template.")
class TemplateType(NodeInterface):
    name: str = strawberry.field(description="The name, as it was entered.")
    subject: str = strawberry.field(description="The subject, including its dynamic fields.")
    body: str = strawberry.field(description="The body, including its dynamic fields.")


@publishes(BulkSend, "One Select and Send or one Group Email, which groups the emails it created.")
class BulkSendType(NodeInterface):
    send_kind: SendKind = strawberry.field(description="Whether it is a Select and Send or a Group Email.")
    created_at: datetime = strawberry.field(description="When it was requested.")
    email_count: int = strawberry.field(description="The number of emails it created.")

    @strawberry.field(description="The user who requested it.", graphql_type=UserType)
    @staticmethod
    async def sender(bulk_send: Parent[BulkSend], info: Info) -> User | None:
        return await people.load_user(info.context, bulk_send.sender_id)

    @strawberry.field(
        description="Its emails, newest first.",
        graphql_type=Annotated["EmailConnection", strawberry.lazy("schema.emails")],
    )
    @staticmethod
    async def emails(
        bulk_send: Parent[BulkSend],
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Page[Email]:
        return await campaigns.load_bulk_send_emails(info.context, bulk_send, to_arguments(first, after, last, before))


CampaignConnection = define_connection(CampaignType, "campaign", "campaigns")
TemplateConnection = define_connection(TemplateType, "template", "templates")
