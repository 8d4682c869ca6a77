"""Requests that came with an Idempotency-Key, and what they were answered."""

from tortoise import fields
from tortoise.models import Model

from command_center.database.fields import MomentField


class IdempotentRequest(Model):
    """A key as a user first used it: `done` once a deed was done under it, `answer` once there is one.

    `process` names the life of the server that claimed it.
    """

    id = fields.BigIntField(primary_key=True)
    user: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=False)
    user_id: int
    key = fields.CharField(max_length=200)
    fingerprint = fields.CharField(max_length=64)
    process = fields.CharField(max_length=16)
    done = fields.BooleanField(default=False)
    answer = fields.TextField(null=True)
    created_at = MomentField()

    class Meta:
        table = "idempotent_requests"
        unique_together = (("user_id", "key"),)
        indexes = (("created_at",),)
