"""Resolves saved searches, memberships, published definitions and explanations.

An explanation says why an email is or is not a member of a list.
"""

import asyncio
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime

from command_center import ids
from command_center.changes import log
from command_center.database.connections import database
from command_center.lists import facts
from command_center.search import explain as explaining
from command_center.search.canonical import to_value
from command_center.search.describe import describe_filter
from command_center.search.dialects import TRUE, Clause, all_of
from command_center.search.facts import Facts
from command_center.search.filter_ast import Filter
from command_center.search.parser import parse_stored_filter
from command_center.search.predicate import holds
from command_center.search.references import id_references, keep_visible_ids
from command_center.search.scope import Owner, resolve_scope
from models.emails import Email
from models.engagements import Engagement
from models.enums import ChangeCauseKind, Role
from models.searches import Membership, SavedSearch
from models.users import User
from models.viewers import Viewer
from models.visibility import visible_keys
from resolvers.context import Context
from resolvers.pagination import Arguments, Column, Edge, Order, Page, QuerySource, SqlSource, load_page

NEWEST = Order("created", (Column("created_at"),))
NEWEST_PUBLISHED = Order("published", (Column("created_at"),))
NEWEST_MEMBERSHIP = Order("joined", ())


@dataclass(frozen=True, slots=True)
class SharedSearch:
    """The published definition of a saved search."""

    source: SavedSearch

    @property
    def id(self) -> int:
        key: int = self.source.id
        return key

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def updated_at(self) -> datetime:
        moment: datetime = self.source.updated_at
        return moment


@dataclass(frozen=True, slots=True)
class ChangeCause:
    """Why a membership began or ended."""

    kind: ChangeCauseKind
    engagement_id: int | None

    async def load_engagement(self, context: Context) -> Engagement | None:
        """Return the event that was the cause, or None if the viewer cannot see one."""
        event = await context.loaders.load_row(Engagement, self.engagement_id)
        return event if event and context.viewer.sees_mail_of(event.team_id, event.sender_id) else None


@dataclass(frozen=True, slots=True)
class FilterExplanation:
    """Whether an email matches the whole filter, and each of its conditions."""

    matches: bool
    leaves: list[explaining.LeafExplanation] = field(default_factory=list)


async def load_search(context: Context, search_id: str) -> SavedSearch | None:
    """Return the list with a global id, or None unless it is the viewer's own."""
    key = ids.decode_key("SavedSearch", search_id)
    return None if key is None else await load_search_by_key(context, key)


async def load_search_by_key(context: Context, key: int) -> SavedSearch | None:
    """Return the list with a key, or None unless it is the viewer's own."""
    return await SavedSearch.get_or_none(SavedSearch.visible(context.viewer), id=key)


async def load_searches(context: Context, arguments: Arguments) -> Page[SavedSearch]:
    """Return a page of the viewer's own lists, newest first."""
    as_of = (await log.load_state(context.viewer.team_id)).cursor()
    return await load_page(
        QuerySource(SavedSearch.filter(SavedSearch.visible(context.viewer))), NEWEST, arguments, as_of
    )


async def load_shared_searches(context: Context, arguments: Arguments) -> Page[SharedSearch]:
    """Return a page of the definitions published to the team, newest first."""
    definitions = await load_page(
        QuerySource(SavedSearch.filter(SavedSearch.published(context.viewer))), NEWEST_PUBLISHED, arguments
    )
    edges = [Edge(edge.cursor, SharedSearch(edge.node)) for edge in definitions.edges]
    return Page(edges, definitions.page_info, None)


async def load_shared_search(context: Context, key: int) -> SharedSearch | None:
    """Return the published definition of the list with a key.

    The result is None if there is no such list, or if it is not published to the viewer's team.
    """
    source = await SavedSearch.get_or_none(SavedSearch.published(context.viewer), id=key)
    return None if source is None else SharedSearch(source)


def rebuild_definition(search: SavedSearch) -> dict[str, object]:
    """Return the filter of a saved search in canonical form.

    It is rebuilt because PostgreSQL does not keep the order of JSON keys.
    """
    return to_value(parse_stored_filter(search.definition))


async def load_owner(context: Context, search: SavedSearch) -> User | None:
    """Return the owner of a saved search."""
    return await context.loaders.load_row(User, search.owner_id)


async def describe_search(context: Context, search: SavedSearch) -> str:
    """Return an English sentence that describes the filter of a saved search.

    It names only objects that the viewer may see.
    """
    filter = parse_stored_filter(search.definition)
    return describe_filter(filter, await _load_names_in_filter(context, filter))


async def _load_names_in_filter(context: Context, filter: Filter) -> dict[tuple[str, int], str]:
    named = {(each.noun, each.key) for each in id_references(filter)}
    return await _load_names(context, await visible_keys(context.viewer, named))


async def _load_names(context: Context, visible: Mapping[str, Set[int]]) -> dict[tuple[str, int], str]:
    """Return the names of rows by (type name, key).

    `visible` has the keys of the rows by type name. The caller has checked that the viewer may see them.
    """
    rows = [(type_name, key) for type_name, keys in visible.items() for key in keys]
    names = await asyncio.gather(*(context.loaders.load_name(type_name, key) for type_name, key in rows))
    return {row: name for row, name in zip(rows, names, strict=True) if name is not None}


async def load_members(context: Context, search: SavedSearch, arguments: Arguments) -> Page[Membership]:
    """Return the memberships of a list, most recent first.

    A membership whose email is deleted has ended, even if the matcher has not recorded that yet.
    """
    as_of = (await log.load_state(search.team_id)).cursor()
    return await load_page(_membership_source(search.id, context.viewer), NEWEST_MEMBERSHIP, arguments, as_of)


def _membership_source(search_id: int, viewer: Viewer) -> SqlSource[Membership]:
    """Return a source of the memberships in a list whose emails the viewer can see.

    The viewer is the owner of the list.
    """
    in_list = Clause("e.search_id = ? AND m.team_id = ?", (search_id, viewer.team_id))
    of_sender = TRUE if viewer.admin else Clause("m.sender_id = ?", (viewer.user_id,))
    return SqlSource(Membership, "memberships e JOIN emails m ON m.id = e.email_id", all_of([in_list, of_sender]))


async def load_member(context: Context, key: int) -> Membership | None:
    """Return a membership in one of the viewer's own lists, or None."""
    member = await Membership.get_or_none(id=key)
    if member is None or await load_search_by_key(context, member.search_id) is None:
        return None
    return None if await load_member_email(context, member) is None else member


async def load_member_email(context: Context, member: Membership) -> Email | None:
    """Return the email of a membership, or None if the viewer cannot see it any more.

    The email may have been deleted, or the viewer's rights may have changed. The matcher will then end the membership.
    """
    email = await context.loaders.load_row(Email, member.email_id)
    return email if email and context.viewer.sees_mail_of(email.team_id, email.sender_id) else None


async def load_member_search(context: Context, member: Membership) -> SavedSearch | None:
    """Return the saved search of a membership."""
    return await context.loaders.load_row(SavedSearch, member.search_id)


def get_cause(member: Membership) -> ChangeCause:
    """Return why a membership began."""
    return ChangeCause(member.cause_kind, member.cause_engagement_id)


async def explain(context: Context, search: SavedSearch, email_id: str) -> FilterExplanation | None:
    """Return why an email is or is not a member of a list.

    The result is None if the email does not exist, or if the filter does not range over its sender's emails.
    """
    key = ids.decode_key("Email", email_id)
    facts_by_key = {} if key is None else await facts.load_facts(database(), [key])
    filter = parse_stored_filter(search.definition)
    if key is None or key not in facts_by_key:
        return None
    email = facts_by_key[key]
    owner = await _load_owner_as_viewer(context, search)
    if not resolve_scope(filter, Owner(owner.user_id, owner.team_id, owner.admin)).covers(
        email.team_id, email.sender_id
    ):
        return None
    named = {(each.noun, each.key) for each in id_references(filter)}
    visible = await visible_keys(owner, named | _list_references(email))
    # An explanation reveals nothing of groups that the viewer may not see, not even their number.
    email.groups &= visible.get("Group", set())
    names = await _load_names(context, visible)
    visible_filter, now = keep_visible_ids(filter, visible), await context.now()
    return FilterExplanation(holds(visible_filter, email, now), explaining.explain(visible_filter, email, now, names))


def _list_references(email: Facts) -> set[tuple[str, int]]:
    """Return the rows to which an email refers, as (type name, key) pairs."""
    pairs = [
        ("User", email.sender_id),
        ("Person", email.person_id),
        ("Campaign", email.campaign_id),
        ("Template", email.template_id),
        *(("Group", group) for group in email.groups),
    ]
    return {(type_name, key) for type_name, key in pairs if key is not None}


async def _load_owner_as_viewer(context: Context, search: SavedSearch) -> Viewer:
    user = await context.loaders.load_row(User, search.owner_id)
    return Viewer(search.owner_id, search.team_id, Role.MEMBER if user is None else user.role)
