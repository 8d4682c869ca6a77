"""Defines the tables of campaigns, templates and bulk sends.

Emails refer to them.
"""

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.enums import SendKind
from models.viewers import Viewer


class Campaign(Model):
    """A set of emails with a common purpose. The whole team sees it."""

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    owner: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=False)
    owner_id: int
    name = fields.CharField(max_length=200)
    ended_at = MomentField(null=True)
    created_at = MomentField()

    class Meta:
        table = "campaigns"
        indexes = (("team_id", "created_at", "id"),)

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """Return the condition for campaigns that the viewer may see: all of the team."""
        return Q(team_id=viewer.team_id)


class Template(Model):
    """A reusable subject and body, which may contain dynamic fields.

    The whole team sees it.
    """

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    name = fields.CharField(max_length=200)
    subject = fields.CharField(max_length=998)
    body = fields.TextField()
    created_at = MomentField()

    class Meta:
        table = "templates"
        indexes = (("team_id", "created_at", "id"),)

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """Return the condition for templates that the viewer may see: all of the team."""
        return Q(team_id=viewer.team_id)


class BulkSend(Model):
    """One Select and Send or Group Email, to which its emails refer.

    `body` is the text that its emails share if their `shared_body` is set.
    """

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    sender: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=True)
    sender_id: int
    send_kind = fields.IntEnumField(SendKind)
    subject = fields.CharField(max_length=998, db_default="")
    body = fields.TextField(db_default="")
    email_count = fields.IntField(default=0)
    created_at = MomentField()

    class Meta:
        table = "bulk_sends"

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """Return the condition for bulk sends that the viewer may see.

        A user sees their own bulk sends; an admin sees all of the team.
        """
        return Q(team_id=viewer.team_id) if viewer.admin else Q(team_id=viewer.team_id, sender_id=viewer.user_id)
