"""Resolves campaigns, templates and bulk sends, and pages of their emails."""

from collections.abc import Mapping
from typing import Any

from command_center.search.dialects import Clause
from models.campaigns import BulkSend, Campaign, Template
from models.emails import Email
from resolvers import emails
from resolvers.context import Context
from resolvers.pagination import Arguments, Column, Order, Page, Rows, page

NEWEST = Order("created", (Column("created_at"),))


def is_campaign(row: object) -> bool:
    return isinstance(row, Campaign)


def is_template(row: object) -> bool:
    return isinstance(row, Template)


def is_bulk_send(row: object) -> bool:
    return isinstance(row, BulkSend)


async def campaigns(context: Context, arguments: Arguments) -> Page[Campaign]:
    """Return a page of the team's campaigns, newest first."""
    return await page(Rows(Campaign.filter(Campaign.visible(context.viewer))), NEWEST, arguments)


async def templates(context: Context, arguments: Arguments) -> Page[Template]:
    """Return a page of the team's templates, newest first."""
    return await page(Rows(Template.filter(Template.visible(context.viewer))), NEWEST, arguments)


async def emails_of_campaign(
    context: Context, campaign: Campaign, raw: Mapping[str, Any] | None, arguments: Arguments
) -> Page[Email]:
    """Return the emails of a campaign that match a filter.

    If the filter names no sender, only the viewer's own emails are returned.
    """
    part = Clause("e.campaign_id = ?", (campaign.id,))
    return await emails.filtered(context, raw, emails.NEWEST, arguments, part)


async def emails_of_bulk_send(context: Context, bulk_send: BulkSend, arguments: Arguments) -> Page[Email]:
    """Return the emails of a bulk send, newest first."""
    part = Clause("e.bulk_send_id = ?", (bulk_send.id,))
    return await emails.filtered(context, None, emails.NEWEST, arguments, part, bulk_send.sender_id)
