"""Defines the tables of the change log and of the matcher.

These are the log of each team, invalidations, leases, and the state of restores, of the clock and of time transitions.
"""

from tortoise import fields
from tortoise.indexes import PartialIndex
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.enums import ChangeCauseKind, ChangeKind, InvalidationKind


class ChangeLog(Model):
    """The change log of one team. The row is its counter of positions.

    `position` is the position of the last entry. Entries up to and including the position `trimmed_to` have been
    deleted. A transaction locks the row last before its commit, so the order of positions is the order of commits.

    Each entry has a random check value, which cursors repeat, so that a restored log is recognised. `check_value` is
    that of the last entry, and `trimmed_check` that of the last deleted entry.
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
    """One entry of a change log. `owner_id` is the user in whose streams it appears."""

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
    """A durable note that some emails must be matched with all lists again.

    `subject_id` is the key of what changed: it concerns the emails that the matcher has to match. The transaction that
    changes the subject inserts it. `kind` tells which table `subject_id` refers to. `people` are the ids of people whom
    a group gained or lost. `progress` is how far the matcher has expanded a large invalidation.
    """

    id = fields.BigIntField(primary_key=True)
    team_id = fields.BigIntField()
    kind = fields.IntEnumField(InvalidationKind)
    subject_id = fields.BigIntField()
    cause = fields.IntEnumField(ChangeCauseKind)
    engagement_id = fields.BigIntField(null=True)
    people = fields.JSONField[list[int] | None](null=True)
    progress = fields.BigIntField(default=0)

    class Meta:
        table = "invalidations"
        # They find the oldest invalidations of each team, and the rare kinds, however many of another team are pending.
        indexes = (
            ("team_id", "id"),
            PartialIndex(fields=["kind", "id"], condition={"kind": int(InvalidationKind.SEARCH)}),
            PartialIndex(fields=["id", "kind"], condition={"kind": int(InvalidationKind.USER)}),
        )


class Lease(Model):
    """The right of one process to do a job. `epoch` is its fencing number.

    Acquiring the lease increments `epoch`. Writes under an older epoch are rejected.
    """

    id = fields.IntField(primary_key=True)
    epoch = fields.BigIntField()

    class Meta:
        table = "leases"


class RestoreState(Model):
    """The data that reveals a restore of the database from a backup. It is one row.

    It also tells whether sending has been paused since a restore.

    `cursor_key` signs cursors and `restores` is the number of restores recognised. `identity` is the identity of a
    PostgreSQL database. `stamped` is set if a stamp was written beside the database. `claims` is the number of batches
    of mail that were claimed. `reason` explains a pause.
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
    """The latest decision about a jump of the database's clock. It is one row.

    All processes share it. `decision` is its number. `kind`, `jumped_to` and `good_at` describe a pause: the direction
    of the jump, the time that the clock jumped to, and the last good time. `accepted_at` is the last reading that a
    decision accepted. Times are in microseconds.
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


class MatcherState(Model):
    """How far the matcher has followed the clock. It is one row.

    Its times never decrease.

    Emails that crossed a time boundary up to `transitions_until` have been invalidated. No membership was evaluated for
    a moment later than `evaluated_until`.
    """

    id = fields.IntField(primary_key=True)
    transitions_until = MomentField()
    evaluated_until = MomentField(null=True)

    class Meta:
        table = "matcher_state"
