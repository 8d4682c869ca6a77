"""Defines the types for engagement events, their pages and their counts."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import Parent

from models.emails import Email
from models.engagements import Engagement
from models.people import Person
from resolvers import engagements
from resolvers.emails import EngagementSummary
from schema.connections import define_connection
from schema.enums import EngagementKind, EngagementVerdict
from schema.field_helpers import Info, publishes
from schema.nodes import NodeInterface
from schema.people import PersonType

if TYPE_CHECKING:
    from schema.emails import EmailType


@publishes(Engagement, "One recorded view, click or reply.")
class EngagementType(NodeInterface):
    kind: EngagementKind = strawberry.field(description="Whether it is a view, a click or a reply.")
    verdict: EngagementVerdict = strawberry.field(description="Who acted: a person, a machine or the sender.")
    verdict_reason: str = strawberry.field(description="The evidence for the verdict, in one short sentence.")
    url: str | None = strawberry.field(description="The link that was followed; set for clicks only.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    recorded_at: datetime = strawberry.field(description="When the server recorded it.")

    @strawberry.field(
        description="The email that was viewed, clicked or answered.",
        graphql_type=Annotated["EmailType", strawberry.lazy("schema.emails")],
    )
    @staticmethod
    async def email(engagement: Parent[Engagement], info: Info) -> Email | None:
        return await engagements.load_email(info.context, engagement)

    @strawberry.field(description="The person to whom the email is addressed.", graphql_type=PersonType)
    @staticmethod
    async def person(engagement: Parent[Engagement], info: Info) -> Person | None:
        return await engagements.load_person(info.context, engagement)


@publishes(EngagementSummary, "The counts of the human views, clicks and replies of one email.")
class EngagementSummaryType:
    views: int = strawberry.field(description="How often a person viewed the email.")
    clicks: int = strawberry.field(description="How often a person followed a link in it.")
    replies: int = strawberry.field(description="The number of replies that arrived.")

    @strawberry.field(
        description="The newest of these events; null if there is none.", graphql_type=EngagementType | None
    )
    @staticmethod
    async def latest(summary: Parent[EngagementSummary], info: Info) -> Engagement | None:
        return await summary.load_latest(info.context)


EngagementConnection = define_connection(EngagementType, "event", "events", has_as_of=True)
