"""Campaigns, templates and bulk sends."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from resolvers import campaigns, people
from schema.enums import SendKind
from schema.field_helpers import UNSET, After, Before, First, Info, Last, as_field_type, paging, value_or_none
from schema.filters import EmailFilterArgument, raw_filter
from schema.nodes import Node, PageInfo
from schema.people import User

if TYPE_CHECKING:
    from schema.emails import EmailConnection


@strawberry.type(description="What several emails belong to. Campaigns belong to the whole team.")
class Campaign(Node):
    name: str = strawberry.field(description="As it was named.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it goes on.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return campaigns.is_campaign(row)

    @strawberry.field(description="Who began it.")
    async def owner(self: Any, info: Info) -> User:
        return as_field_type(await people.user(info.context, self.owner_id))

    @strawberry.field(description="Its emails, newest first: the viewer's own where the filter names no sender.")
    async def emails(
        self: Any,
        info: Info,
        filter: EmailFilterArgument = UNSET,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Annotated["EmailConnection", strawberry.lazy("schema.emails")]:
        arguments = paging(first, after, last, before)
        page = await campaigns.emails_of_campaign(info.context, self, raw_filter(value_or_none(filter)), arguments)
        return as_field_type(page)


@strawberry.type(description="A text to begin from. Templates belong to the whole team.")
class Template(Node):
    name: str = strawberry.field(description="As it was named.")
    subject: str = strawberry.field(description="The subject, dynamic fields included.")
    body: str = strawberry.field(description="The body, dynamic fields included.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return campaigns.is_template(row)


@strawberry.type(description="One Select and Send, or one Group Email: what its emails roll up to.")
class BulkSend(Node):
    send_kind: SendKind = strawberry.field(description="Select and Send or Group Email.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    email_count: int = strawberry.field(description="How many emails it made.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return campaigns.is_bulk_send(row)

    @strawberry.field(description="Who asked for it.")
    async def sender(self: Any, info: Info) -> User:
        return as_field_type(await people.user(info.context, self.sender_id))

    @strawberry.field(description="Its emails, newest first.")
    async def emails(
        self: Any,
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Annotated["EmailConnection", strawberry.lazy("schema.emails")]:
        page = await campaigns.emails_of_bulk_send(info.context, self, paging(first, after, last, before))
        return as_field_type(page)


@strawberry.type(description="One campaign of a page.")
class CampaignEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: Campaign = strawberry.field(description="The campaign itself.")


@strawberry.type(description="A page of campaigns.")
class CampaignConnection:
    edges: list[CampaignEdge] = strawberry.field(description="The campaigns with their cursors.")
    nodes: list[Campaign] = strawberry.field(description="The campaigns alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type(description="One template of a page.")
class TemplateEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: Template = strawberry.field(description="The template itself.")


@strawberry.type(description="A page of templates.")
class TemplateConnection:
    edges: list[TemplateEdge] = strawberry.field(description="The templates with their cursors.")
    nodes: list[Template] = strawberry.field(description="The templates alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
