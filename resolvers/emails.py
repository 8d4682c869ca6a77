"""Emails: one, a page of them by filter and order, and what hangs on one."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from inspect import isawaitable
from typing import Any

from command_center import ids
from command_center.actions import emails, searches
from command_center.actions.markup.shared_texts import filled_text
from command_center.changes import log
from command_center.database.connections import database
from command_center.errors import user_error
from command_center.search.dialects import Clause
from command_center.search.filter_ast import NO_KEY, Filter
from command_center.search.references import keep_ids, named_ids
from command_center.search.scope import Owner, Scope, scope
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
from resolvers.pagination import Arguments, Column, Order, Page, Rows, Selection, page
from resolvers.references import Pointer

TABLES = "emails e JOIN people p ON p.id = e.person_id"
NEWEST = Order("created", (Column("created_at"),))
SENDER = Pointer(User, "sender_id")
PERSON = Pointer(Person, "person_id")
CAMPAIGN = Pointer(Campaign, "campaign_id")
TEMPLATE = Pointer(Template, "template_id")
BULK_SEND = Pointer(BulkSend, "bulk_send_id")
_NULLABLE = frozenset({"scheduled_at", "sent_at", "failed_at", "latest_activity_at"})
_EVENTS = Order("occurred", (Column("occurred_at"),))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an email did not arrive."""

    code: FailureCode
    message: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Summary:
    """Human views, clicks and replies of one email."""

    views: int
    clicks: int
    replies: int
    latest_engagement_id: int | None

    async def latest(self, context: Context) -> Engagement | None:
        return await context.loaders.row(Engagement, self.latest_engagement_id)


def is_email(row: object) -> bool:
    return isinstance(row, Email)


async def one(context: Context, email_id: str) -> Email | None:
    key = ids.decode_key("Email", email_id)
    return None if key is None else await Email.get_or_none(Email.visible(context.viewer), id=key)


def order(field: EmailOrderField | None, direction: OrderDirection) -> Order:
    """The order asked for; newest created first where none is."""
    if field is None:
        return NEWEST
    descending = direction is OrderDirection.DESC
    column = Column(field.value, descending, field.value in _NULLABLE, field is EmailOrderField.SUBJECT)
    return Order(f"{field.name.lower()} {direction.name.lower()}", (column,))


async def filtered(
    context: Context,
    raw: Mapping[str, Any] | None,
    order: Order,
    arguments: Arguments,
    extra: Clause | None = None,
    view_as: int | None = None,
) -> Page[Email]:
    """Emails that a filter holds for at this moment, within what the viewer may see."""
    filter = await searches.checked_query(context.ctx, context.viewer, raw or {}, ("filter",))
    wide = scope(filter, Owner(context.viewer.user_id, context.viewer.team_id, context.viewer.admin))
    if view_as is not None:
        wide = Scope(wide.team_id, await _senders(context, filter, wide, view_as))
    return await _selected(context, await _visible(context, filter), wide, order, arguments, extra)


async def _senders(context: Context, filter: Filter, wide: Scope, view_as: int) -> frozenset[int]:
    """A folder is of one sender: that one, unless the filter names others. Raises Refused where it names a colleague
    and not the sender."""
    if not context.viewer.sees_mail_of(wide.team_id, view_as):
        # A bulk send can be reached through somebody else's email; its other emails cannot.
        return frozenset()
    # Nobody's range, seen by an admin: it names whom the filter names, everyone, or nobody at all.
    asked = scope(filter, Owner(NO_KEY, wide.team_id, True)).senders
    if asked is None or asked == {NO_KEY} or view_as in asked:
        return frozenset({view_as})
    if (await visible_keys(context.viewer, (("User", key) for key in asked))).get("User"):
        raise user_error(UserErrorCode.INVALID, ("filter", "sender"), "This is the folder of another sender.")
    return frozenset()


async def _visible(context: Context, filter: Filter) -> Filter:
    named = named_ids(filter)
    return keep_ids(filter, await visible_keys(context.viewer, ((each.noun, each.key) for each in named)))


async def _selected(
    context: Context, filter: Filter, wide: Scope, order: Order, arguments: Arguments, extra: Clause | None
) -> Page[Email]:
    dialect = POSTGRES if database().postgres else SQLITE
    clauses = [scope_clause(wide, dialect), filter_clause(filter, dialect, await context.now())]
    if extra is not None:
        clauses.append(extra)
    where = Clause(
        " AND ".join(clause.text for clause in clauses),
        tuple(value for clause in clauses for value in clause.parameters),
    )
    return await page(Selection(Email, TABLES, where), order, arguments)


def in_folder(name: FolderName) -> Clause:
    """The emails of one folder. Nothing but sent mail is archived, so the flag can be told of every folder, and one
    index holds each of them in order."""
    status, archived = states_of(name)
    return Clause(f"e.status = ? AND e.archived = {'TRUE' if archived else 'FALSE'}", (int(status),))


def failure(email: Email) -> Failure | None:
    """Present exactly when the email failed, bounced or was complained about."""
    if email.status not in (EmailStatus.FAILED, EmailStatus.BOUNCED, EmailStatus.SPAM) or email.failure_code is None:
        return None
    moment = email.failed_at
    return Failure(email.failure_code, email.failure_message or "", moment) if isinstance(moment, datetime) else None


def body(context: Context, email: Email) -> str | Awaitable[str]:
    """Return the email's body; an awaitable of it if its bulk send, which has the text, is not loaded yet."""
    if not email.shared_body:
        return email.body
    loaded = BULK_SEND.follow(context, email)
    return _shared_body(loaded, email) if isawaitable(loaded) else filled_text(loaded.body, email.field_values)


async def _shared_body(loading: Awaitable[BulkSend], email: Email) -> str:
    return filled_text((await loading).body, email.field_values)


def summary(email: Email) -> Summary:
    return Summary(email.views, email.clicks, email.replies, email.latest_engagement_id)


async def engagements(context: Context, email: Email, arguments: Arguments) -> Page[Engagement]:
    """All events of one email, its sender's own included, newest first."""
    state = await context.loaders.once("as_of", partial(log.state, email.team_id))
    return await page(Rows(Engagement.filter(email_id=email.id)), _EVENTS, arguments, state.cursor())


def actions(context: Context, email: Email) -> list[EmailAction]:
    return emails.allowed_actions(email, context.viewer)
