"""Finds the user of a token, with their current role and permissions."""

from command_center.web.authentication import Claims, Unauthenticated
from models.viewers import Viewer
from resolvers.context import load_viewer


async def find_viewer(claims: Claims) -> Viewer:
    """Return the user of a token with their current role.

    Raises: Unauthenticated if there is none.
    """
    found = await load_viewer(claims.user_id, claims.team_id, claims.scopes)
    if found is None:
        raise Unauthenticated("The token is not valid.")
    return found
