"""Resolves users, people and groups, and searches people by words."""

import asyncio

from tortoise.expressions import Q

from command_center import ids
from command_center.actions.inputs import has_lone_surrogate
from command_center.errors import user_error
from command_center.search.text import fold
from models.enums import UserErrorCode
from models.people import Group, Person
from models.users import User
from resolvers.context import Context
from resolvers.pagination import Arguments, Column, Order, Page, QuerySource, load_page

NEWEST = Order("created", (Column("created_at"),))
MAX_WORDS = 50
"""The most words that `search` may contain. Each of them is compared with every row."""
MAX_WORD_CHARACTERS = 1000
"""More characters than a folded name, address or company can have. SQLite rejects patterns of 50,000 bytes."""


async def load_current_user(context: Context) -> User:
    """Return the user who sent the request."""
    return await User.get(id=context.viewer.user_id)


async def load_user(context: Context, key: int | None) -> User | None:
    """Return a user by key, or None if there is none."""
    return await context.loaders.load_row(User, key)


async def load_users(context: Context, arguments: Arguments) -> Page[User]:
    """Return a page of the team's users, newest first."""
    return await load_page(QuerySource(User.filter(User.visible(context.viewer))), NEWEST, arguments)


async def load_person(context: Context, person_id: str) -> Person | None:
    """Return the person with a global id, or None if the viewer may not see them."""
    key = ids.decode_key("Person", person_id)
    return None if key is None else await Person.get_or_none(Person.visible(context.viewer), id=key)


async def load_people(context: Context, search: str | None, arguments: Arguments) -> Page[Person]:
    """Return the people whom the viewer may see and who match `search`.

    Each word of it must occur in the name, the address or the company.

    Raises: UserErrors if `search` has too many words, or the arguments are invalid.
    """
    query = Person.filter(Person.visible(context.viewer))
    words = dict.fromkeys(fold(search or "").split())
    if any(len(word) > MAX_WORD_CHARACTERS or "\x00" in word or has_lone_surrogate(word) for word in words):
        # No stored text can contain such a word.
        return await load_page(QuerySource(query.filter(id=0)), NEWEST, arguments)
    if len(words) > MAX_WORDS:
        raise user_error(UserErrorCode.INVALID, ("search",), f"`search` may have {MAX_WORDS} words.")
    for word in words:
        query = query.filter(_contains(word))
    return await load_page(QuerySource(query), NEWEST, arguments)


def _contains(word: str) -> Q:
    columns = ("name_folded", "address_search", "company_folded")
    return Q(*(Q(**{f"{column}__contains": word}) for column in columns), join_type=Q.OR)


async def load_groups(context: Context, arguments: Arguments) -> Page[Group]:
    """Return a page of the groups that the viewer may see, newest first."""
    return await load_page(QuerySource(Group.filter(Group.visible(context.viewer))), NEWEST, arguments)


async def load_groups_of_person(context: Context, person: Person) -> list[Group]:
    """Return the groups that contain a person, as far as the viewer may see them."""
    keys = await context.loaders.load_group_ids(person.id)
    groups = await asyncio.gather(*(context.loaders.load_row(Group, key) for key in keys))
    viewer = context.viewer
    return [group for group in groups if group is not None and (group.shared or group.owner_id == viewer.user_id)]


async def count_people(context: Context, group: Group) -> int:
    """Return the number of people in a group."""
    return await context.loaders.count_people(group.id)


async def load_people_of_group(context: Context, group: Group, arguments: Arguments) -> Page[Person]:
    """Return all people in a group.

    A viewer who may see a group may see each person in it.
    """
    # The condition on the team is redundant. With it, an index on the team's people gives the order of a large group.
    return await load_page(
        QuerySource(Person.filter(team_id=group.team_id, memberships__group_id=group.id)), NEWEST, arguments
    )
