"""Defines the types for engagement events, their pages, and the counts on an email."""

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


@strawberry.type(description="One recorded view, click or reply.")
class Engagement(Node):
    kind: EngagementKind = strawberry.field(description="Whether it is a view, a click or a reply.")
    verdict: EngagementVerdict = strawberry.field(description="Who acted: a person, a machine or the sender.")
    verdict_reason: str = strawberry.field(description="The evidence for the verdict, in one short sentence.")
    url: str | None = strawberry.field(description="The link that was followed; set for clicks only.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    recorded_at: datetime = strawberry.field(description="When the server recorded it.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return engagements.is_engagement(row)

    @strawberry.field(description="The email that was viewed, clicked or answered.")
    async def email(self: Any, info: Info) -> Annotated["Email", strawberry.lazy("schema.emails")]:
        return as_field_type(await engagements.email(info.context, self))

    @strawberry.field(description="The person to whom the email is addressed.")
    async def person(self: Any, info: Info) -> Person:
        return as_field_type(await engagements.person(info.context, self))


@strawberry.type(description="The counts of the human views, clicks and replies of one email.")
class EngagementSummary:
    views: int = strawberry.field(description="How often a person viewed the email.")
    clicks: int = strawberry.field(description="How often a person followed a link in it.")
    replies: int = strawberry.field(description="The number of replies that arrived.")

    @strawberry.field(description="The newest of these events; null if there is none.")
    async def latest(self: Any, info: Info) -> Engagement | None:
        return as_field_type(await self.latest(info.context))


@strawberry.type(description="One event of a page, with its cursor.")
class EngagementEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: Engagement = strawberry.field(description="The event at this position.")


@strawberry.type(description="A page of events.")
class EngagementConnection:
    edges: list[EngagementEdge] = strawberry.field(description="The events with their cursors.")
    nodes: list[Engagement] = strawberry.field(description="The events of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")
    as_of: ChangeCursor = strawberry.field(
        description="A position in the change log, read before the rows. A subscription with this `after` misses no"
        " later change."
    )
