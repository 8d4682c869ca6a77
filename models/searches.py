"""Saved searches and their members. Members are written by the matcher alone."""

from typing import Any

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.enums import ChangeCauseKind, SavedSearchState
from models.viewers import Viewer


class SavedSearch(Model):
    """A dynamic list: the canonical filter, never frozen results."""

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    owner: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=False)
    owner_id: int
    name = fields.CharField(max_length=200)
    definition: dict[str, Any] = fields.JSONField[Any]()
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
        """One's own only: what others published is seen as a definition, never as a list."""
        return Q(team_id=viewer.team_id, owner_id=viewer.user_id)

    @staticmethod
    def published(viewer: Viewer) -> Q:
        """The definitions published to the viewer's team."""
        return Q(team_id=viewer.team_id, shared=True)


class Membership(Model):
    """One stay of one email in one list. `email_id` may outlive its email until the matcher has looked."""

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
