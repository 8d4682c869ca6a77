"""Defines the types for campaigns, templates and bulk sends, and their pages."""

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


@strawberry.type(description="A campaign, which groups several emails. The whole team sees every campaign.")
class Campaign(Node):
    name: str = strawberry.field(description="The name, as it was entered.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it is running.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return campaigns.is_campaign(row)

    @strawberry.field(description="The user who created it.")
    async def owner(self: Any, info: Info) -> User:
        return as_field_type(await people.user(info.context, self.owner_id))

    @strawberry.field(
        description="Its emails, newest first. If the filter names no sender, only the viewer's own are returned."
    )
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


@strawberry.type(description="A reusable subject and body for new emails. The whole team sees every template.")
class Template(Node):
    name: str = strawberry.field(description="The name, as it was entered.")
    subject: str = strawberry.field(description="The subject, including its dynamic fields.")
    body: str = strawberry.field(description="The body, including its dynamic fields.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return campaigns.is_template(row)


@strawberry.type(description="One Select and Send or one Group Email, which groups the emails it created.")
class BulkSend(Node):
    send_kind: SendKind = strawberry.field(description="Whether it is a Select and Send or a Group Email.")
    created_at: datetime = strawberry.field(description="When it was requested.")
    email_count: int = strawberry.field(description="The number of emails it created.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return campaigns.is_bulk_send(row)

    @strawberry.field(description="The user who requested it.")
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


@strawberry.type(description="One campaign of a page, with its cursor.")
class CampaignEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: Campaign = strawberry.field(description="The campaign at this position.")


@strawberry.type(description="A page of campaigns.")
class CampaignConnection:
    edges: list[CampaignEdge] = strawberry.field(description="The campaigns with their cursors.")
    nodes: list[Campaign] = strawberry.field(description="The campaigns of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")


@strawberry.type(description="One template of a page, with its cursor.")
class TemplateEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: Template = strawberry.field(description="The template at this position.")


@strawberry.type(description="A page of templates.")
class TemplateConnection:
    edges: list[TemplateEdge] = strawberry.field(description="The templates with their cursors.")
    nodes: list[Template] = strawberry.field(description="The templates of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")
