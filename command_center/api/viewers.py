"""The user of a token, with the rights of this moment."""

from command_center.web.authentication import Claims, Unauthenticated
from models.viewers import Viewer
from resolvers.context import find_viewer


async def viewer_of(claims: Claims) -> Viewer:
    """Returns the user of a token with their present role. Raises Unauthenticated."""
    found = await find_viewer(claims.user_id, claims.team_id, claims.scopes)
    if found is None:
        raise Unauthenticated("The token is not valid.")
    return found
