"""Users, people and groups."""

import asyncio

from tortoise.expressions import Q

from command_center import ids
from command_center.actions.inputs import broken
from command_center.errors import user_error
from command_center.search.text import fold
from models.enums import UserErrorCode
from models.people import Group, Person
from models.users import User
from resolvers.context import Context
from resolvers.pagination import Arguments, Column, Order, Page, Rows, page

NEWEST = Order("created", (Column("created_at"),))
WORDS = 50
"""That `search` may hold; each is looked for in every row."""
LONGEST = 1000
"""More letters than a name, an address or a company can have, folded. SQLite looks for no pattern of 50,000 bytes."""


def is_user(row: object) -> bool:
    return isinstance(row, User)


def is_person(row: object) -> bool:
    return isinstance(row, Person)


def is_group(row: object) -> bool:
    return isinstance(row, Group)


async def viewer(context: Context) -> User:
    return await User.get(id=context.viewer.user_id)


async def user(context: Context, key: int | None) -> User | None:
    return await context.loaders.row(User, key)


async def users(context: Context, arguments: Arguments) -> Page[User]:
    return await page(Rows(User.filter(User.visible(context.viewer))), NEWEST, arguments)


async def person(context: Context, person_id: str) -> Person | None:
    key = ids.decode_key("Person", person_id)
    return None if key is None else await Person.get_or_none(Person.visible(context.viewer), id=key)


async def people(context: Context, search: str | None, arguments: Arguments) -> Page[Person]:
    """The viewer's own and the shared people; `search` is looked for in name, address and company. Raises Refused."""
    query = Person.filter(Person.visible(context.viewer))
    words = dict.fromkeys(fold(search or "").split())
    if any(len(word) > LONGEST or "\x00" in word or broken(word) for word in words):
        # No text of ours holds such a word.
        return await page(Rows(query.filter(id=0)), NEWEST, arguments)
    if len(words) > WORDS:
        raise user_error(UserErrorCode.INVALID, ("search",), f"`search` may have {WORDS} words.")
    for word in words:
        query = query.filter(_holds(word))
    return await page(Rows(query), NEWEST, arguments)


def _holds(word: str) -> Q:
    columns = ("name_folded", "address_search", "company_folded")
    return Q(*(Q(**{f"{column}__contains": word}) for column in columns), join_type=Q.OR)


async def groups(context: Context, arguments: Arguments) -> Page[Group]:
    return await page(Rows(Group.filter(Group.visible(context.viewer))), NEWEST, arguments)


async def groups_of(context: Context, person: Person) -> list[Group]:
    """The groups a person is in, of those the viewer can see."""
    keys = await context.loaders.group_ids(person.id)
    found = await asyncio.gather(*(context.loaders.row(Group, key) for key in keys))
    viewer = context.viewer
    return [group for group in found if group is not None and (group.shared or group.owner_id == viewer.user_id)]


async def person_count(context: Context, group: Group) -> int:
    return await context.loaders.person_count(group.id)


async def people_of(context: Context, group: Group, arguments: Arguments) -> Page[Person]:
    """Everyone in a group the viewer can see: a person in it is readable through it."""
    # The team is said as well, so that a large group can be walked in the order of the team's people.
    return await page(Rows(Person.filter(team_id=group.team_id, memberships__group_id=group.id)), NEWEST, arguments)
