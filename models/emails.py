"""Emails, one message to one person, and the exact number of them in each folder of each sender."""

import json
from typing import Any

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.enums import EmailStatus, FailureCode, FolderName, SendKind
from models.folders import folder_of
from models.viewers import Viewer


class Email(Model):
    """`views`, `clicks` and `replies` count human events, `latest_…` tells of the newest one.

    `recipient_count` is how many people it goes to, copies included, once a sender loop has claimed it. With
    `shared_body` the body is that of its bulk send and `body` is empty; `field_values` is what it has in the places of
    the fields (see `actions/markup/shared_texts.py`), once a sender loop has filled them in. `claimed_at` is set while
    a sender loop works on the email; `due_at` is when the loop may next claim it.
    """

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    sender: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=False)
    sender_id: int
    person: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Person", db_index=False)
    person_id: int
    cc: list[str] = fields.JSONField[Any](default=list)
    bcc: list[str] = fields.JSONField[Any](default=list)
    recipient_count = fields.IntField(default=1, db_default=1)
    subject = fields.CharField(max_length=998)
    subject_folded = fields.CharField(max_length=3992)
    body = fields.TextField(default="")
    shared_body = fields.BooleanField(default=False, db_default=False)
    field_values: str | None = fields.TextField(null=True)
    campaign: fields.ForeignKeyNullableRelation["Model"] = fields.ForeignKeyField(
        "models.Campaign", null=True, db_index=False
    )
    campaign_id: int | None
    template: fields.ForeignKeyNullableRelation["Model"] = fields.ForeignKeyField(
        "models.Template", null=True, db_index=False
    )
    template_id: int | None
    bulk_send: fields.ForeignKeyNullableRelation["Model"] = fields.ForeignKeyField(
        "models.BulkSend", null=True, db_index=True
    )
    bulk_send_id: int | None
    send_kind = fields.IntEnumField(SendKind, default=SendKind.INDIVIDUAL)
    status = fields.IntEnumField(EmailStatus)
    archived = fields.BooleanField(default=False)
    success = fields.BooleanField(default=False)
    created_at = MomentField()
    updated_at = MomentField()
    scheduled_at = MomentField(null=True)
    sent_at = MomentField(null=True)
    failed_at = MomentField(null=True)
    failure_code = fields.IntEnumField(FailureCode, null=True)
    failure_message = fields.TextField(null=True)
    views = fields.IntField(default=0)
    clicks = fields.IntField(default=0)
    replies = fields.IntField(default=0)
    latest_engagement_id = fields.BigIntField(null=True)
    latest_activity_at = MomentField(null=True)
    message_id = fields.CharField(max_length=255, null=True)
    due_at = MomentField(null=True)
    claimed_at = MomentField(null=True)
    attempts = fields.IntField(default=0)
    first_attempt_at = MomentField(null=True)

    class Meta:
        table = "emails"
        indexes = (
            ("team_id", "id"),
            # A mailbox in its orders, and one folder of it. A subject may be longer than PostgreSQL lets an index hold.
            ("sender_id", "created_at", "id"),
            ("sender_id", "updated_at", "id"),
            ("sender_id", "scheduled_at", "id"),
            ("sender_id", "sent_at", "id"),
            ("sender_id", "failed_at", "id"),
            ("sender_id", "latest_activity_at", "id"),
            ("sender_id", "status", "archived", "created_at", "id"),
            ("person_id", "id"),
            ("campaign_id", "created_at", "id"),
            ("template_id", "id"),
            ("message_id",),
            ("due_at",),
            # What crosses a boundary of time is found by these.
            ("created_at",),
            ("sent_at",),
            ("scheduled_at",),
            ("failed_at",),
        )

    @property
    def folder(self) -> FolderName:
        return folder_of(self.status, self.archived)

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """One's own mail; every sender's of the team for an admin."""
        return Q(team_id=viewer.team_id) if viewer.admin else Q(team_id=viewer.team_id, sender_id=viewer.user_id)


def addresses(stored: Any) -> tuple[str, ...]:
    """The addresses of `cc` or `bcc` as a driver answers them: as JSON text, or as the list itself."""
    return tuple(json.loads(stored) if isinstance(stored, str) else stored or ())


class FolderCount(Model):
    """How many emails of one sender lie in one folder, kept by every transition, never by a scan."""

    id = fields.BigIntField(primary_key=True)
    sender: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=False)
    sender_id: int
    folder = fields.IntEnumField(FolderName)
    email_count = fields.BigIntField(default=0)

    class Meta:
        table = "folder_counts"
        unique_together = (("sender_id", "folder"),)


class SendRequest(Model):
    """What a client's `requestId` was first used for, so that a repeat is answered and sends nothing."""

    id = fields.BigIntField(primary_key=True)
    user: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=False)
    user_id: int
    request_id = fields.CharField(max_length=200)
    fingerprint = fields.CharField(max_length=64)
    email_id = fields.BigIntField(null=True)
    bulk_send_id = fields.BigIntField(null=True)
    created_at = MomentField()

    class Meta:
        table = "send_requests"
        unique_together = (("user_id", "request_id"),)
        indexes = (("created_at",),)
