"""Defines the table of requests with an Idempotency-Key, and their responses."""

from tortoise import fields
from tortoise.models import Model

from command_center.database.fields import MomentField


class IdempotentRequest(Model):
    """The first request of a user with an Idempotency-Key.

    `done` is set when a transaction under the key has committed a change. `response` is null until it is stored.
    `process` is a random id of the server process that claimed the key, new at every start.
    """

    id = fields.BigIntField(primary_key=True)
    user: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=False)
    user_id: int
    key = fields.CharField(max_length=200)
    fingerprint = fields.CharField(max_length=64)
    process = fields.CharField(max_length=16)
    done = fields.BooleanField(default=False)
    response = fields.TextField(null=True)
    created_at = MomentField()

    class Meta:
        table = "idempotent_requests"
        unique_together = (("user_id", "key"),)
        indexes = (("created_at",),)
