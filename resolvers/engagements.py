"""Resolves engagement events: fields of one, and past events of the live feed."""

from command_center.changes import log
from models.emails import Email
from models.engagements import Engagement
from models.enums import EngagementVerdict
from models.people import Person
from resolvers.context import Context
from resolvers.pagination import Arguments, Column, Order, Page, QuerySource, load_page

NEWEST = Order("occurred", (Column("occurred_at"),))


async def load_feed(context: Context, arguments: Arguments) -> Page[Engagement]:
    """Return the events on the viewer's emails, without the viewer's own actions."""
    viewer = context.viewer
    as_of = (await log.load_state(viewer.team_id)).cursor()
    rows = Engagement.filter(team_id=viewer.team_id, sender_id=viewer.user_id)
    return await load_page(QuerySource(rows.exclude(verdict=EngagementVerdict.SELF)), NEWEST, arguments, as_of)


async def load_email(context: Context, engagement: Engagement) -> Email | None:
    """Return the email of an event, or None if it is deleted."""
    return await context.loaders.load_row(Email, engagement.email_id)


async def load_person(context: Context, engagement: Engagement) -> Person | None:
    """Return the recipient of an event's email, or None if the email is deleted."""
    source = await load_email(context, engagement)
    return None if source is None else await context.loaders.load_row(Person, source.person_id)
