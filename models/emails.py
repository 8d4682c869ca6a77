"""Defines the tables of emails, email counts per folder, and send requests."""

import json
from collections.abc import Sequence

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.enums import EmailStatus, FailureCode, FolderName, SendKind
from models.folders import folder_of
from models.viewers import Viewer


class Email(Model):
    """One message to one person.

    `views`, `clicks` and `replies` count human events; `latest_…` describes the newest of them. `recipient_count` is
    the number of recipients including copies; it is valid once a sender loop has claimed the email.

    If `shared_body` is set, `body` is empty and the text is that of the bulk send. `field_values` then holds the values
    of its dynamic fields (see `actions/markup/shared_texts.py`), once a sender loop has filled them in.

    `claimed_at` is set while a sender loop works on the email. `due_at` is the earliest time of the next claim.
    """

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    sender: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=False)
    sender_id: int
    person: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Person", db_index=False)
    person_id: int
    cc = fields.JSONField[list[str]](default=list)
    bcc = fields.JSONField[list[str]](default=list)
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
            # These serve the sort orders of a mailbox and of one folder. There is none for the subject, which may be
            # longer than an index entry in PostgreSQL may be.
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
            # These find the emails that cross a time boundary.
            ("created_at",),
            ("sent_at",),
            ("scheduled_at",),
            ("failed_at",),
        )

    @property
    def folder(self) -> FolderName:
        """The folder, derived from `status` and `archived`."""
        return folder_of(self.status, self.archived)

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """Return the condition for emails that the viewer may see.

        A user sees the emails they send; an admin sees all of the team.
        """
        return Q(team_id=viewer.team_id) if viewer.admin else Q(team_id=viewer.team_id, sender_id=viewer.user_id)


def addresses(stored: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the addresses in the value of a `cc` or `bcc` column.

    Depending on the driver, the value is a JSON text or a list.
    """
    return tuple(json.loads(stored) if isinstance(stored, str) else stored or ())


class FolderCount(Model):
    """The number of emails of one sender in one folder.

    Every transaction that moves emails between folders updates it; no scan computes it.
    """

    id = fields.BigIntField(primary_key=True)
    sender: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", db_index=False)
    sender_id: int
    folder = fields.IntEnumField(FolderName)
    email_count = fields.BigIntField(default=0)

    class Meta:
        table = "folder_counts"
        unique_together = (("sender_id", "folder"),)


class SendRequest(Model):
    """The first use of a `requestId`, which a client gives to a request to send.

    With this row, a repeated request returns the first result and sends nothing.
    """

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
