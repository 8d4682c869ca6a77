"""Resolves any row by its global id.

A row that does not exist and a row that the viewer may not see give the same result: None.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any

from command_center import ids
from command_center.errors import user_error
from models.campaigns import BulkSend, Campaign, Template
from models.emails import Email
from models.engagements import Engagement
from models.enums import UserErrorCode
from models.people import Group, Person
from models.searches import Membership
from models.tasks import Task
from models.users import User
from resolvers import folders, searches
from resolvers.context import Context
from resolvers.folders import Folder, FolderGroup

MAX_IDS = 200
_MODELS: dict[str, Any] = {
    "BulkSend": BulkSend,
    "Campaign": Campaign,
    "Email": Email,
    "Engagement": Engagement,
    "Group": Group,
    "Person": Person,
    "Task": Task,
    "Template": Template,
    "User": User,
}
_OWN_RESOLVERS: dict[str, Callable[[Context, int], Awaitable[Any]]] = {
    "SavedSearch": searches.by_key,
    "SavedSearchMember": searches.member_by_key,
    "SharedSearch": searches.shared_by_key,
}


async def node_by_id(context: Context, node_id: str) -> Any:
    """Return the row with a global id, or None if it does not exist or the viewer may not see it."""
    decoded = ids.decode(node_id)
    if decoded is None:
        return None
    type_name, text = decoded
    if type_name in ("Folder", "FolderGroup"):
        return await folders.by_key(context, type_name, text)
    key = ids.decode_key(type_name, node_id)
    if key is None:
        return None
    if type_name in _OWN_RESOLVERS:
        return await _OWN_RESOLVERS[type_name](context, key)
    model = _MODELS.get(type_name)
    return None if model is None else await model.get_or_none(model.visible(context.viewer), id=key)


async def nodes_by_ids(context: Context, node_ids: Sequence[str]) -> list[Any]:
    """Return the rows with global ids in their order, with None for each that `node_by_id` does not return.

    Raises: UserErrors if there are more than `MAX_IDS` ids.
    """
    if len(node_ids) > MAX_IDS:
        raise user_error(UserErrorCode.LIMIT_REACHED, ("ids",), f"At most {MAX_IDS} ids at once, not {len(node_ids)}.")
    return [await node_by_id(context, node_id) for node_id in node_ids]


def identifier(row: Any) -> str:
    """Return the global id of a row."""
    type_name = _type_name(row.__class__)
    if type_name is not None:
        return ids.encode(type_name, row.id)
    if isinstance(row, searches.SharedSearch):
        return ids.encode("SharedSearch", row.source.id)
    return folders.identifier(row)


@cache
def _type_name(type_: Any) -> str | None:
    """Return the type name in the global ids of a class, or None if its ids are built differently."""
    if issubclass(type_, Folder | FolderGroup | searches.SharedSearch):
        return None
    return "SavedSearchMember" if type_ is Membership else type_.__name__
