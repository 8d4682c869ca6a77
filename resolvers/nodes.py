"""Resolves any row by its global id.

A row that does not exist and a row that the viewer may not see give the same result: None.
"""

from collections.abc import Awaitable, Callable, Sequence

from command_center import ids
from command_center.errors import user_error
from models.campaigns import BulkSend, Campaign, Template
from models.emails import Email
from models.engagements import Engagement
from models.enums import UserErrorCode
from models.people import Group, Person
from models.searches import Membership, SavedSearch
from models.tasks import Task
from models.users import User
from resolvers import folders, searches
from resolvers.context import Context
from resolvers.folders import Folder, FolderGroup
from resolvers.searches import SharedSearch

Node = (
    BulkSend
    | Campaign
    | Email
    | Engagement
    | Folder
    | FolderGroup
    | Group
    | Membership
    | Person
    | SavedSearch
    | SharedSearch
    | Task
    | Template
    | User
)
"""Everything that has a global id."""
MAX_IDS = 200
_MODELS: dict[str, type[BulkSend | Campaign | Email | Engagement | Group | Person | Task | Template | User]] = {
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
_OWN_RESOLVERS: dict[str, Callable[[Context, int], Awaitable[Node | None]]] = {
    "SavedSearch": searches.load_search_by_key,
    "SavedSearchMember": searches.load_member,
    "SharedSearch": searches.load_shared_search,
}
_TYPE_NAMES: dict[type, str] = {
    **{model: name for name, model in _MODELS.items()},
    Folder: "Folder",
    FolderGroup: "FolderGroup",
    Membership: "SavedSearchMember",
    SavedSearch: "SavedSearch",
    SharedSearch: "SharedSearch",
}
"""The type name in the global ids of a class."""


async def load_node(context: Context, node_id: str) -> Node | None:
    """Return the row with a global id, or None if the viewer cannot see one."""
    decoded = ids.decode(node_id)
    if decoded is None:
        return None
    type_name, text = decoded
    if type_name in ("Folder", "FolderGroup"):
        return await folders.load_by_key(context, type_name, text)
    key = ids.decode_key(type_name, node_id)
    if key is None:
        return None
    if type_name in _OWN_RESOLVERS:
        return await _OWN_RESOLVERS[type_name](context, key)
    model = _MODELS.get(type_name)
    return None if model is None else await model.get_or_none(model.visible(context.viewer), id=key)


async def load_nodes(context: Context, node_ids: Sequence[str]) -> list[Node | None]:
    """Return what `load_node` returns for each of the ids, in their order.

    Raises: UserErrors if there are more than `MAX_IDS` ids.
    """
    if len(node_ids) > MAX_IDS:
        raise user_error(UserErrorCode.LIMIT_REACHED, ("ids",), f"At most {MAX_IDS} ids at once, not {len(node_ids)}.")
    return [await load_node(context, node_id) for node_id in node_ids]


def encode_id(row: Node) -> str:
    """Return the global id of a row."""
    return ids.encode(_TYPE_NAMES[row.__class__], row.id)
