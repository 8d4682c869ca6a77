"""Engagement events, each with a verdict, and delivery reports. A dedupe key is unique within the team."""

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.enums import DeliveryKind, EngagementKind, EngagementVerdict
from models.viewers import Viewer


class Engagement(Model):
    """`sender_id` is the email's, repeated so that a seller's feed is one range of one index.

    `judged`: the verdict came of the evidence, so that more evidence may revise it; not so what a source or somebody
    said, nor where there is no evidence.
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
        """Those of the emails the viewer can see."""
        return Q(team_id=viewer.team_id) if viewer.admin else Q(team_id=viewer.team_id, sender_id=viewer.user_id)


class DeliveryReport(Model):
    """A bounce or a complaint that came back after the hand-over.

    `applied` is false while its email is still being handed over, as far as we know.
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
