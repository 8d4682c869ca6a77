"""Defines the table of users, who are sellers or admins.

An address is unique across all teams.
"""

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.connections import database
from command_center.database.fields import MomentField
from models.enums import Role
from models.viewers import Viewer

_ROLES = {int(role): role for role in Role}


class User(Model):
    """A seller or an admin of a team.

    `address_folded` is the comparison key of the address (see `email_addresses`). It is unique: old rows whose keys
    were equal got a number added.
    """

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=True)
    team_id: int
    name = fields.CharField(max_length=200)
    address = fields.CharField(max_length=320)
    address_folded = fields.CharField(max_length=1280, unique=True)
    role = fields.IntEnumField(Role)
    time_zone = fields.CharField(max_length=64, default="UTC")
    created_at = MomentField()

    class Meta:
        table = "users"
        indexes = (("team_id", "created_at", "id"),)

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """Return the condition for users that the viewer may see: all of the team."""
        return Q(team_id=viewer.team_id)


async def load_viewer(user_id: int, team_id: int, scopes: frozenset[str]) -> Viewer | None:
    """Return a user of a team as a viewer, with their current role and these scopes.

    The result is None if there is no such user.
    """
    rows = await database().fetch_inline("SELECT role FROM users WHERE id = ? AND team_id = ?", user_id, team_id)
    return Viewer(user_id, team_id, _ROLES[rows[0]["role"]], scopes) if rows else None
