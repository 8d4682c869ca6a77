"""Resolves campaigns, templates and bulk sends, and pages of their emails."""

from collections.abc import Mapping

from command_center.search.dialects import Clause
from models.campaigns import BulkSend, Campaign, Template
from models.emails import Email
from resolvers import emails
from resolvers.context import Context
from resolvers.pagination import Arguments, Column, Order, Page, QuerySource, load_page

NEWEST = Order("created", (Column("created_at"),))


async def load_campaigns(context: Context, arguments: Arguments) -> Page[Campaign]:
    """Return a page of the team's campaigns, newest first."""
    return await load_page(QuerySource(Campaign.filter(Campaign.visible(context.viewer))), NEWEST, arguments)


async def load_templates(context: Context, arguments: Arguments) -> Page[Template]:
    """Return a page of the team's templates, newest first."""
    return await load_page(QuerySource(Template.filter(Template.visible(context.viewer))), NEWEST, arguments)


async def load_campaign_emails(
    context: Context, campaign: Campaign, raw: Mapping[str, object] | None, arguments: Arguments
) -> Page[Email]:
    """Return the emails of a campaign that match a filter.

    If the filter names no sender, only the viewer's own emails are returned.
    """
    part = Clause("e.campaign_id = ?", (campaign.id,))
    return await emails.load_emails(context, raw, emails.NEWEST, arguments, part)


async def load_bulk_send_emails(context: Context, bulk_send: BulkSend, arguments: Arguments) -> Page[Email]:
    """Return the emails of a bulk send, newest first."""
    part = Clause("e.bulk_send_id = ?", (bulk_send.id,))
    return await emails.load_emails(context, None, emails.NEWEST, arguments, part, bulk_send.sender_id)
