"""Defines the tables of engagement events and delivery reports.

A dedupe key is unique among the events, and among the reports, of a team.
"""

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.enums import DeliveryKind, EngagementKind, EngagementVerdict
from models.viewers import Viewer


class Engagement(Model):
    """One view, click or reply, with the verdict on who acted.

    `sender_id` repeats that of the email, so that the feed of a user is one range of one index. `judged` is set if the
    verdict was derived from evidence, in which case further evidence may revise it. It is not set if a source or a user
    stated the verdict, or if there is no evidence.
    """

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    email: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Email", db_index=False)
    email_id: int
    sender_id = fields.BigIntField()
    kind = fields.IntEnumField(EngagementKind)
    verdict = fields.IntEnumField(EngagementVerdict)
    verdict_reason = fields.TextField()
    judged = fields.BooleanField(default=False, db_default=False)
    url = fields.TextField(null=True)
    url_folded = fields.TextField(null=True)
    user_agent = fields.TextField(null=True)
    ip_address = fields.CharField(max_length=64, null=True)
    occurred_at = MomentField()
    recorded_at = MomentField()
    dedupe_key = fields.CharField(max_length=255)

    class Meta:
        table = "engagements"
        unique_together = (("team_id", "dedupe_key"),)
        indexes = (("email_id", "kind", "occurred_at"), ("sender_id", "occurred_at", "id"), ("occurred_at",))

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """Return the condition for events on emails that the viewer may see."""
        return Q(team_id=viewer.team_id) if viewer.admin else Q(team_id=viewer.team_id, sender_id=viewer.user_id)


class DeliveryReport(Model):
    """A bounce or a spam complaint that arrived after the hand-over.

    `applied` is false as long as the outcome of the hand-over has not been recorded.
    """

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    email: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Email", db_index=True)
    email_id: int
    kind = fields.IntEnumField(DeliveryKind)
    message = fields.TextField()
    occurred_at = MomentField()
    recorded_at = MomentField()
    dedupe_key = fields.CharField(max_length=255)
    applied = fields.BooleanField(default=True)

    class Meta:
        table = "delivery_reports"
        unique_together = (("team_id", "dedupe_key"),)
