"""Defines the tables of saved searches and memberships.

Only the matcher writes memberships.
"""

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.enums import ChangeCauseKind, SavedSearchState
from models.viewers import Viewer


class SavedSearch(Model):
    """A dynamic list. `definition` is its filter in canonical form."""

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    owner: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=False)
    owner_id: int
    name = fields.CharField(max_length=200)
    definition = fields.JSONField[dict[str, object]]()
    shared = fields.BooleanField(default=False)
    state = fields.IntEnumField(SavedSearchState, default=SavedSearchState.BUILDING)
    member_count = fields.BigIntField(default=0)
    created_at = MomentField()
    updated_at = MomentField()

    class Meta:
        table = "saved_searches"
        indexes = (("owner_id", "created_at", "id"), ("team_id", "shared", "created_at", "id"))

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """Return the condition for lists that the viewer may see: only their own.

        Of the lists that others publish, a viewer sees the definition but never the list.
        """
        return Q(team_id=viewer.team_id, owner_id=viewer.user_id)

    @staticmethod
    def published(viewer: Viewer) -> Q:
        """Return the condition for lists that are published to the viewer's team."""
        return Q(team_id=viewer.team_id, shared=True)


class Membership(Model):
    """One continuous membership of an email in a list.

    The row may remain after the email is deleted, until the matcher processes that invalidation.
    """

    id = fields.BigIntField(primary_key=True)
    search_id = fields.BigIntField()
    email_id = fields.BigIntField()
    joined_at = MomentField()
    cause_kind = fields.IntEnumField(ChangeCauseKind)
    cause_engagement_id = fields.BigIntField(null=True)

    class Meta:
        table = "memberships"
        unique_together = (("search_id", "email_id"),)
        indexes = (("email_id", "search_id"), ("search_id", "id"))
