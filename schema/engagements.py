"""Engagement: single events, and what they come to on an email."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from resolvers import engagements
from schema.enums import EngagementKind, EngagementVerdict
from schema.field_helpers import Info, as_field_type
from schema.nodes import Node, PageInfo
from schema.people import Person
from schema.scalars import ChangeCursor

if TYPE_CHECKING:
    from schema.emails import Email


@strawberry.type(description="One view, click or reply.")
class Engagement(Node):
    kind: EngagementKind = strawberry.field(description="What was done.")
    verdict: EngagementVerdict = strawberry.field(description="Who did it.")
    verdict_reason: str = strawberry.field(description="The evidence for the verdict, as a short sentence.")
    url: str | None = strawberry.field(description="The link followed: present on clicks, and only there.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    recorded_at: datetime = strawberry.field(description="When it became known.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return engagements.is_engagement(row)

    @strawberry.field(description="The email it was about.")
    async def email(self: Any, info: Info) -> Annotated["Email", strawberry.lazy("schema.emails")]:
        return as_field_type(await engagements.email(info.context, self))

    @strawberry.field(description="Whom the email was to.")
    async def person(self: Any, info: Info) -> Person:
        return as_field_type(await engagements.person(info.context, self))


@strawberry.type(description="The human views, clicks and replies of one email.")
class EngagementSummary:
    views: int = strawberry.field(description="How often a person viewed it.")
    clicks: int = strawberry.field(description="How often a person followed a link in it.")
    replies: int = strawberry.field(description="How many replies came.")

    @strawberry.field(description="The newest of them.")
    async def latest(self: Any, info: Info) -> Engagement | None:
        return as_field_type(await self.latest(info.context))


@strawberry.type(description="One event of a page.")
class EngagementEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: Engagement = strawberry.field(description="The event itself.")


@strawberry.type(description="A page of events.")
class EngagementConnection:
    edges: list[EngagementEdge] = strawberry.field(description="The events with their cursors.")
    nodes: list[Engagement] = strawberry.field(description="The events alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    as_of: ChangeCursor = strawberry.field(
        description="A place in the change log, read before the rows: follow from there and nothing is missed."
    )
