"""Defines the table of tasks.

A task is a reminder that concerns a person and has a due date.
"""

from tortoise import fields
from tortoise.expressions import Q
from tortoise.models import Model

from command_center.database.fields import MomentField
from models.enums import TaskKind, TaskPriority, TaskStatus
from models.viewers import Viewer


class Task(Model):
    """A reminder that concerns a person and has a due date.

    `email` is the email from which it was created; it becomes null when that email is deleted.
    """

    id = fields.BigIntField(primary_key=True)
    team: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Team", db_index=False)
    team_id: int
    creator: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", "created_tasks", db_index=True)
    creator_id: int
    assignee: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.User", "tasks", db_index=False)
    assignee_id: int
    person: fields.ForeignKeyRelation["Model"] = fields.ForeignKeyField("models.Person", db_index=True)
    person_id: int
    email: fields.ForeignKeyNullableRelation["Model"] = fields.ForeignKeyField(
        "models.Email", null=True, db_index=True, on_delete=fields.SET_NULL
    )
    email_id: int | None
    name = fields.CharField(max_length=200)
    name_folded = fields.CharField(max_length=800, db_default="")
    kind = fields.IntEnumField(TaskKind)
    status = fields.IntEnumField(TaskStatus, default=TaskStatus.OPEN)
    priority = fields.IntEnumField(TaskPriority, default=TaskPriority.NORMAL)
    due_on = fields.DateField()
    details = fields.TextField(default="")
    created_at = MomentField()
    updated_at = MomentField()
    completed_at = MomentField(null=True)

    class Meta:
        table = "tasks"
        indexes = (("assignee_id", "status", "due_on", "id"),)

    @staticmethod
    def visible(viewer: Viewer) -> Q:
        """Return the condition for tasks that the viewer may see.

        These are the tasks that are assigned to the viewer, or that the viewer created.
        """
        return Q(team_id=viewer.team_id) & (Q(assignee_id=viewer.user_id) | Q(creator_id=viewer.user_id))

    def is_visible_to(self, viewer: Viewer) -> bool:
        """Return whether the viewer may see this task.

        This evaluates the condition of `visible` for one row.
        """
        return self.team_id == viewer.team_id and viewer.user_id in (self.assignee_id, self.creator_id)
