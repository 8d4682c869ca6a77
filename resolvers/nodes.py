"""Any row by its global id. What is absent and what is not the viewer's to see are the same: null."""

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

MOST = 200
_VISIBLE: dict[str, Any] = {
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
_SPECIAL: dict[str, Callable[[Context, int], Awaitable[Any]]] = {
    "SavedSearch": searches.by_key,
    "SavedSearchMember": searches.member_by_key,
    "SharedSearch": searches.shared_by_key,
}


async def one(context: Context, node_id: str) -> Any:
    found = ids.decode(node_id)
    if found is None:
        return None
    noun, text = found
    if noun in ("Folder", "FolderGroup"):
        return await folders.by_key(context, noun, text)
    key = ids.decode_key(noun, node_id)
    if key is None:
        return None
    if noun in _SPECIAL:
        return await _SPECIAL[noun](context, key)
    model = _VISIBLE.get(noun)
    return None if model is None else await model.get_or_none(model.visible(context.viewer), id=key)


async def many(context: Context, node_ids: Sequence[str]) -> list[Any]:
    """In the order asked."""
    if len(node_ids) > MOST:
        raise user_error(UserErrorCode.LIMIT_REACHED, ("ids",), f"At most {MOST} ids at once, not {len(node_ids)}.")
    return [await one(context, node_id) for node_id in node_ids]


def identifier(row: Any) -> str:
    """The global id of a row."""
    noun = _noun(row.__class__)
    if noun is not None:
        return ids.encode(noun, row.id)
    if isinstance(row, searches.SharedSearch):
        return ids.encode("SharedSearch", row.source.id)
    return folders.identifier(row)


@cache
def _noun(type_: Any) -> str | None:
    """What goes with the key of such a row; None where its id is made otherwise."""
    if issubclass(type_, Folder | FolderGroup | searches.SharedSearch):
        return None
    return "SavedSearchMember" if type_ is Membership else type_.__name__
