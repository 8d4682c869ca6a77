"""The change log of each team, the marks that ask the matcher to look again, its lease, and where the clock last
stood."""

from typing import Any

from tortoise import fields
from tortoise.indexes import PartialIndex
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.enums import ChangeCauseKind, ChangeKind, InvalidationKind


class ChangeLog(Model):
    """One log for each team. `position` is the last one given out, and rows up to `trimmed_to` are gone.

    The row is locked last before a commit, so the order of positions is the order of commits. `check_value` is that of
    the last entry, and `trimmed_check` that of the last trimmed one.
    """

    team: fields.OneToOneRelation["Model"] = fields.OneToOneField("models.Team", primary_key=True)
    team_id: int
    log_id = fields.CharField(max_length=32)
    position = fields.BigIntField(default=0)
    trimmed_to = fields.BigIntField(default=0)
    check_value = fields.BigIntField(db_default=0)
    trimmed_check = fields.BigIntField(db_default=0)

    class Meta:
        table = "change_logs"


class Change(Model):
    """One row of a log. `owner_id` is the user whose stream it belongs to."""

    id = fields.BigIntField(primary_key=True)
    team_id = fields.BigIntField()
    position = fields.BigIntField()
    kind = fields.IntEnumField(ChangeKind)
    owner_id = fields.BigIntField()
    search_id = fields.BigIntField(null=True)
    member_id = fields.BigIntField(null=True)
    email_id = fields.BigIntField(null=True)
    task_id = fields.BigIntField(null=True)
    engagement_id = fields.BigIntField(null=True)
    cause_kind = fields.IntEnumField(ChangeCauseKind, null=True)
    at = MomentField()
    check_value = fields.BigIntField(db_default=0)

    class Meta:
        table = "changes"
        unique_together = (("team_id", "position"),)
        indexes = (("owner_id", "position"), ("search_id", "position"))


class Invalidation(Model):
    """Something happened to `subject_id`: look again at all it concerns. Left in the transaction that changed it.

    `people` names the people a group gained or lost; `progress` is how far a large mark has been worked off.
    """

    id = fields.BigIntField(primary_key=True)
    team_id = fields.BigIntField()
    kind = fields.IntEnumField(InvalidationKind)
    subject_id = fields.BigIntField()
    cause = fields.IntEnumField(ChangeCauseKind)
    engagement_id = fields.BigIntField(null=True)
    people: list[int] | None = fields.JSONField[Any](null=True)
    progress = fields.BigIntField(default=0)

    class Meta:
        table = "marks"
        # So that the oldest of each team, and the rare kinds, are found however many of another team's wait.
        indexes = (
            ("team_id", "id"),
            PartialIndex(fields=["kind", "id"], condition={"kind": int(InvalidationKind.SEARCH)}),
            PartialIndex(fields=["id", "kind"], condition={"kind": int(InvalidationKind.USER)}),
        )


class Lease(Model):
    """The right of one process to do a job. Taking it increments `epoch`, and writes under an older one are refused."""

    id = fields.IntField(primary_key=True)
    epoch = fields.BigIntField()

    class Meta:
        table = "leases"


class RestoreState(Model):
    """What tells a database that was restored from a backup, and whether sending is paused since. One row.

    `cursor_key` signs cursors, `restores` counts what was recognised, `identity` is PostgreSQL's, `stamped` says that a
    stamp was written beside the database, and `claims` counts batches of mail.
    """

    id = fields.IntField(primary_key=True)
    cursor_key = fields.CharField(max_length=32)
    restores = fields.BigIntField()
    identity = fields.CharField(max_length=100, null=True)
    stamped = fields.BooleanField()
    claims = fields.BigIntField()
    paused = fields.BooleanField()
    reason = fields.CharField(max_length=200, null=True)

    class Meta:
        table = "restore_state"


class ClockState(Model):
    """The decision on jumps of the clock, for all processes.

    `decision` counts them. `kind`, `jumped_to` and `good_at` describe a pause. `accepted_at` is the last reading that a
    decision made good.
    """

    id = fields.IntField(primary_key=True)
    decision = fields.BigIntField()
    paused = fields.BooleanField()
    kind = fields.CharField(max_length=8, null=True)
    jumped_to = fields.BigIntField(null=True)
    good_at = fields.BigIntField(null=True)
    accepted_at = fields.BigIntField(null=True)

    class Meta:
        table = "clock_state"


class Tick(Model):
    """The moment of the last look at the clock. One row, and it never goes back.

    No membership was decided for a moment later than `decided_until`.
    """

    id = fields.IntField(primary_key=True)
    ticked_at = MomentField()
    decided_until = MomentField(null=True)

    class Meta:
        table = "ticks"
