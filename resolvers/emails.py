"""Resolves emails: one by id, pages by filter and order, and single fields."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from command_center import ids
from command_center.actions import email_access, searches
from command_center.actions.markup.shared_texts import filled_text
from command_center.changes import log
from command_center.database.connections import database
from command_center.errors import user_error
from command_center.search.dialects import Clause
from command_center.search.filter_ast import NO_KEY, Filter
from command_center.search.references import id_references, keep_visible_ids
from command_center.search.scope import Owner, Scope, resolve_scope
from command_center.search.sql import POSTGRES, SQLITE, filter_clause, scope_clause
from models.campaigns import BulkSend, Campaign, Template
from models.emails import Email
from models.engagements import Engagement
from models.enums import (
    EmailAction,
    EmailOrderField,
    EmailStatus,
    FailureCode,
    FolderName,
    OrderDirection,
    UserErrorCode,
)
from models.folders import states_of
from models.people import Person
from models.users import User
from models.visibility import visible_keys
from resolvers.context import Context
from resolvers.pagination import Arguments, Column, Order, Page, QuerySource, SqlSource, load_page
from resolvers.references import Reference

TABLES = "emails e JOIN people p ON p.id = e.person_id"
NEWEST = Order("created", (Column("created_at"),))
SENDER = Reference(User, "sender_id")
PERSON = Reference(Person, "person_id")
CAMPAIGN = Reference(Campaign, "campaign_id")
TEMPLATE = Reference(Template, "template_id")
BULK_SEND = Reference(BulkSend, "bulk_send_id")
_NULLABLE = frozenset({"scheduled_at", "sent_at", "failed_at", "latest_activity_at"})
_EVENTS = Order("occurred", (Column("occurred_at"),))


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """Why an email was not delivered."""

    code: FailureCode
    message: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class EngagementSummary:
    """The counts of human views, clicks and replies of one email."""

    views: int
    clicks: int
    replies: int
    latest_engagement_id: int | None

    async def load_latest(self, context: Context) -> Engagement | None:
        return await context.loaders.load_row(Engagement, self.latest_engagement_id)


async def load_email(context: Context, email_id: str) -> Email | None:
    """Return the email with a global id, or None if the viewer may not see it."""
    key = ids.decode_key("Email", email_id)
    return None if key is None else await Email.get_or_none(Email.visible(context.viewer), id=key)


def make_order(field: EmailOrderField | None, direction: OrderDirection) -> Order:
    """Return the requested order, by default the most recently created first."""
    if field is None:
        return NEWEST
    descending = direction is OrderDirection.DESC
    column = Column(field.value, descending, field.value in _NULLABLE, field is EmailOrderField.SUBJECT)
    return Order(f"{field.name.lower()} {direction.name.lower()}", (column,))


async def load_emails(
    context: Context,
    raw: Mapping[str, object] | None,
    order: Order,
    arguments: Arguments,
    extra: Clause | None = None,
    view_as: int | None = None,
) -> Page[Email]:
    """Return the emails that match a filter now and that the viewer may see.

    `raw` is the unvalidated filter and `extra` a further condition. `view_as` is the only sender, if it is given.

    Raises: UserErrors if the filter is invalid, or names another sender than `view_as`.
    """
    filter = await searches.parse_query_filter(context.ctx, context.viewer, raw or {}, ("filter",))
    filter_scope = resolve_scope(filter, Owner(context.viewer.user_id, context.viewer.team_id, context.viewer.admin))
    if view_as is not None:
        filter_scope = Scope(filter_scope.team_id, await _restrict_to_sender(context, filter, filter_scope, view_as))
    return await _selected(context, await _visible(context, filter), filter_scope, order, arguments, extra)


async def _restrict_to_sender(context: Context, filter: Filter, filter_scope: Scope, view_as: int) -> frozenset[int]:
    """Return the set that contains only the user id `view_as`, or an empty set.

    It is empty if the viewer may not see this sender's emails, or if the filter excludes them.

    Raises: UserErrors if the filter names other senders that the viewer may see, but not this one.
    """
    if not context.viewer.sees_mail_of(filter_scope.team_id, view_as):
        # The viewer can reach a bulk send through a colleague's email, but must not see its other emails.
        return frozenset()
    # An owner that does not exist but is an admin shows what the filter names: some senders, everyone (None), or none
    # (only NO_KEY).
    named = resolve_scope(filter, Owner(NO_KEY, filter_scope.team_id, True)).senders
    if named is None or named == {NO_KEY} or view_as in named:
        return frozenset({view_as})
    if (await visible_keys(context.viewer, (("User", key) for key in named))).get("User"):
        raise user_error(UserErrorCode.INVALID, ("filter", "sender"), "This is the folder of another sender.")
    return frozenset()


async def _visible(context: Context, filter: Filter) -> Filter:
    named = id_references(filter)
    return keep_visible_ids(filter, await visible_keys(context.viewer, ((each.noun, each.key) for each in named)))


async def _selected(
    context: Context, filter: Filter, filter_scope: Scope, order: Order, arguments: Arguments, extra: Clause | None
) -> Page[Email]:
    dialect = POSTGRES if database().postgres else SQLITE
    clauses = [scope_clause(filter_scope, dialect), filter_clause(filter, dialect, await context.now())]
    if extra is not None:
        clauses.append(extra)
    where = Clause(
        " AND ".join(clause.text for clause in clauses),
        tuple(value for clause in clauses for value in clause.parameters),
    )
    return await load_page(SqlSource(Email, TABLES, where), order, arguments)


def folder_clause(name: FolderName) -> Clause:
    """Return the condition for emails in a folder.

    Only sent emails are archived. The condition can therefore fix the archived flag for every folder, so that the same
    index gives each of them in order.
    """
    status, archived = states_of(name)
    return Clause(f"e.status = ? AND e.archived = {'TRUE' if archived else 'FALSE'}", (int(status),))


def get_failure(email: Email) -> DeliveryFailure | None:
    """Return why an email failed, bounced or was reported as spam, otherwise None."""
    if email.status not in (EmailStatus.FAILED, EmailStatus.BOUNCED, EmailStatus.SPAM) or email.failure_code is None:
        return None
    moment = email.failed_at
    return (
        DeliveryFailure(email.failure_code, email.failure_message or "", moment)
        if isinstance(moment, datetime)
        else None
    )


def load_body(context: Context, email: Email) -> str | Awaitable[str]:
    """Return the email's body, or an awaitable of it if its bulk send is not loaded."""
    if not email.shared_body:
        return email.body
    loaded = BULK_SEND.load(context, email)
    if isinstance(loaded, BulkSend):
        return filled_text(loaded.body, email.field_values)
    return _load_shared_body(loaded, email)


async def _load_shared_body(loading: Awaitable[BulkSend | None] | None, email: Email) -> str:
    bulk_send = None if loading is None else await loading
    if bulk_send is None:
        raise LookupError(f"email {email.id} has no bulk send, which has its body")
    return filled_text(bulk_send.body, email.field_values)


def get_summary(email: Email) -> EngagementSummary:
    """Return the summary that is stored with an email."""
    return EngagementSummary(email.views, email.clicks, email.replies, email.latest_engagement_id)


async def load_engagements(context: Context, email: Email, arguments: Arguments) -> Page[Engagement]:
    """Return a page of an email's events, newest first, whatever their verdicts."""
    state = await context.loaders.compute_once("as_of", partial(log.load_state, email.team_id))
    return await load_page(QuerySource(Engagement.filter(email_id=email.id)), _EVENTS, arguments, state.cursor())


def list_actions(context: Context, email: Email) -> list[EmailAction]:
    """Return the actions that the viewer may perform on an email now."""
    return email_access.allowed_actions(email, context.viewer)
