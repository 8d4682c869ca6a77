"""Saved searches, their members, what others published, and why an email is or is not in a list."""

import asyncio
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from command_center import ids
from command_center.changes import log
from command_center.database.connections import database
from command_center.lists import facts
from command_center.search import explain as explaining
from command_center.search.canonical import to_value
from command_center.search.describe import sentence
from command_center.search.dialects import TRUE, Clause, every
from command_center.search.facts import Facts
from command_center.search.filter_ast import Filter
from command_center.search.parser import load
from command_center.search.predicate import holds
from command_center.search.references import keep_ids, named_ids
from command_center.search.scope import Owner, scope
from models.emails import Email
from models.engagements import Engagement
from models.enums import ChangeCauseKind, Role
from models.searches import Membership, SavedSearch
from models.users import User
from models.viewers import Viewer
from models.visibility import visible_keys
from resolvers.context import Context
from resolvers.pagination import Arguments, Column, Edge, Order, Page, Rows, Selection, page

NEWEST = Order("created", (Column("created_at"),))
NEWEST_PUBLISHED = Order("published", (Column("created_at"),))
NEWEST_STAY = Order("stay", ())


@dataclass(frozen=True, slots=True)
class SharedSearch:
    """The published definition of a saved search."""

    source: SavedSearch

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def updated_at(self) -> datetime:
        moment: datetime = self.source.updated_at
        return moment


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a stay began or ended."""

    kind: ChangeCauseKind
    engagement_id: int | None

    async def engagement(self, context: Context) -> Engagement | None:
        event = await context.loaders.row(Engagement, self.engagement_id)
        return event if event and context.viewer.sees_mail_of(event.team_id, event.sender_id) else None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether the whole filter holds for an email, and one line for each leaf."""

    matches: bool
    leaves: list[explaining.LeafVerdict] = field(default_factory=list)


def is_search(row: object) -> bool:
    return isinstance(row, SavedSearch)


def is_member(row: object) -> bool:
    return isinstance(row, Membership)


async def one(context: Context, search_id: str) -> SavedSearch | None:
    key = ids.decode_key("SavedSearch", search_id)
    return None if key is None else await by_key(context, key)


async def by_key(context: Context, key: int) -> SavedSearch | None:
    return await SavedSearch.get_or_none(SavedSearch.visible(context.viewer), id=key)


async def page_of(context: Context, arguments: Arguments) -> Page[SavedSearch]:
    as_of = (await log.state(context.viewer.team_id)).cursor()
    return await page(Rows(SavedSearch.filter(SavedSearch.visible(context.viewer))), NEWEST, arguments, as_of)


async def shared(context: Context, arguments: Arguments) -> Page[SharedSearch]:
    found = await page(Rows(SavedSearch.filter(SavedSearch.published(context.viewer))), NEWEST_PUBLISHED, arguments)
    edges = [Edge(edge.cursor, SharedSearch(edge.node)) for edge in found.edges]
    return Page(edges, found.page_info, None)


async def shared_by_key(context: Context, key: int) -> SharedSearch | None:
    source = await SavedSearch.get_or_none(SavedSearch.published(context.viewer), id=key)
    return None if source is None else SharedSearch(source)


def definition(search: SavedSearch) -> dict[str, Any]:
    """The filter in its canonical form. PostgreSQL keeps the keys of JSON in an order of its own."""
    return to_value(load(search.definition))


async def owner(context: Context, search: SavedSearch) -> User | None:
    return await context.loaders.row(User, search.owner_id)


async def summary(context: Context, search: SavedSearch) -> str:
    """The filter as a sentence, naming what the viewer can see."""
    filter = load(search.definition)
    return sentence(filter, await _names(context, filter))


async def _names(context: Context, filter: Filter) -> dict[tuple[str, int], str]:
    wanted = {(each.noun, each.key) for each in named_ids(filter)}
    return await _known(context, await visible_keys(context.viewer, wanted))


async def _known(context: Context, visible: Mapping[str, Set[int]]) -> dict[tuple[str, int], str]:
    """The names of what can be seen."""
    wanted = [(noun, key) for noun, keys in visible.items() for key in keys]
    names = await asyncio.gather(*(context.loaders.name(noun, key) for noun, key in wanted))
    return {each: name for each, name in zip(wanted, names, strict=True) if name is not None}


async def members(context: Context, search: SavedSearch, arguments: Arguments) -> Page[Membership]:
    """Newest stay first. A stay whose email is gone is over, though the matcher has yet to say so."""
    as_of = (await log.state(search.team_id)).cursor()
    return await page(_stays(search.id, context.viewer), NEWEST_STAY, arguments, as_of)


def _stays(search_id: int, viewer: Viewer) -> Selection[Membership]:
    """The stays of one list, less those whose email is gone, or no longer its owner's to see."""
    who = Clause("e.search_id = ? AND m.team_id = ?", (search_id, viewer.team_id))
    whose = TRUE if viewer.admin else Clause("m.sender_id = ?", (viewer.user_id,))
    return Selection(Membership, "memberships e JOIN emails m ON m.id = e.email_id", every([who, whose]))


async def member_by_key(context: Context, key: int) -> Membership | None:
    """A stay in one of the viewer's own lists."""
    member = await Membership.get_or_none(id=key)
    if member is None or await by_key(context, member.search_id) is None:
        return None
    return None if await email_of(context, member) is None else member


async def email_of(context: Context, member: Membership) -> Email | None:
    """The email of a stay; None where it is gone, or no longer the viewer's to see and about to leave."""
    email = await context.loaders.row(Email, member.email_id)
    return email if email and context.viewer.sees_mail_of(email.team_id, email.sender_id) else None


async def search_of(context: Context, member: Membership) -> SavedSearch | None:
    return await context.loaders.row(SavedSearch, member.search_id)


def cause_of(member: Membership) -> Cause:
    return Cause(member.cause_kind, member.cause_engagement_id)


async def explain(context: Context, search: SavedSearch, email_id: str) -> Explanation | None:
    """Why an email is, or is not, a member by now; None for one that is out of range."""
    key = ids.decode_key("Email", email_id)
    found = {} if key is None else await facts.load(database(), [key])
    filter = load(search.definition)
    if key is None or key not in found:
        return None
    who = await _viewer(context, search)
    wide = scope(filter, Owner(who.user_id, who.team_id, who.admin))
    if not wide.covers(found[key].team_id, found[key].sender_id):
        return None
    named = {(each.noun, each.key) for each in named_ids(filter)}
    visible = await visible_keys(who, named | _own(found[key]))
    # A group the viewer cannot see is not spoken of, not even as one more.
    found[key].groups &= visible.get("Group", set())
    names = await _known(context, visible)
    seen, now = keep_ids(filter, visible), await context.now()
    return Explanation(holds(seen, found[key], now), explaining.explain(seen, found[key], now, names))


def _own(email: Facts) -> set[tuple[str, int]]:
    """What an email itself points at."""
    pairs = [
        ("User", email.sender_id),
        ("Person", email.person_id),
        ("Campaign", email.campaign_id),
        ("Template", email.template_id),
        *(("Group", group) for group in email.groups),
    ]
    return {(noun, key) for noun, key in pairs if key is not None}


async def _viewer(context: Context, search: SavedSearch) -> Viewer:
    user = await context.loaders.row(User, search.owner_id)
    return Viewer(search.owner_id, search.team_id, Role.MEMBER if user is None else user.role)
