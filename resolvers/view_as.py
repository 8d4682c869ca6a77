"""Resolves the argument `viewAs`: the user whose mail a field shows.

An admin may name any user of the team, a member only themselves.
"""

from command_center import ids
from command_center.errors import not_found, user_error
from models.enums import UserErrorCode
from models.users import User
from resolvers.context import Context


async def resolve_sender(context: Context, sender_id: str | None, path: tuple[str, ...] = ("viewAs",)) -> int:
    """Return the id of the user whose mail to show, by default the viewer's.

    Raises: UserErrors with NOT_FOUND if there is no such user, or with FORBIDDEN if a member names a colleague.
    """
    viewer = context.viewer
    if sender_id is None:
        return viewer.user_id
    key = ids.decode_key("User", sender_id)
    if key is None or not await User.filter(User.visible(viewer), id=key).exists():
        raise not_found(path, "user")
    if key != viewer.user_id and not viewer.admin:
        raise user_error(UserErrorCode.FORBIDDEN, path, "Only an admin may view the mail of others.")
    return key
