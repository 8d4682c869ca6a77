"""Creates a task for each member of a list.

Members that have the same open task already get none.

The number of statements does not depend on the number of members. Two simultaneous requests create no task twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast

from command_center.actions import tasks
from command_center.actions.access import lock_complete_list
from command_center.actions.context import ActionContext
from command_center.actions.inputs import check_line, check_text
from command_center.actions.tasks import TaskWithViewers
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Connection
from command_center.errors import ErrorCollector
from command_center.search.text import fold
from models.enums import TaskKind, TaskPriority, TaskStatus
from models.viewers import Viewer


@dataclass(frozen=True, slots=True)
class NewMemberTask:
    """The input for the tasks of a list.

    The person and the email of each task come from the member.
    """

    name: str
    kind: TaskKind
    due_on: date
    priority: TaskPriority = TaskPriority.NORMAL
    details: str = ""


async def create(ctx: ActionContext, viewer: Viewer, search_id: str, new: NewMemberTask) -> list[int]:
    """Create tasks for the members of one of the viewer's lists.

    They are assigned to the viewer.

    Returns the keys of the new tasks in the order of the members. Raises: UserErrors if the input is invalid, or
    during the list's backfill.
    """
    errors = ErrorCollector()
    name = check_line(errors, new.name, ("input", "name"), "A name")
    details = check_text(errors, new.details, ("input", "details"), "Details", tasks.DETAILS)
    async with ctx.writer.unit_of_work() as uow:
        key = await lock_complete_list(uow.connection, viewer, search_id, errors)
        errors.raise_any()
        membership_keys = await _members(uow.connection, viewer, key)
        # A simultaneous second request waits here, and then finds the tasks of the first. The user is locked after the
        # emails, as in the sender loop, to prevent a deadlock. The weak lock still allows the user to create drafts.
        await uow.connection.fetch_one(
            "SELECT id FROM users WHERE id = ?" + uow.connection.for_update("NO KEY UPDATE"), viewer.user_id
        )
        inserted = await _insert(uow, viewer, membership_keys, new, name, details)
        tasks.log_tasks(uow, inserted)
    return [row["id"] for row in inserted]


async def _members(tx: Connection, viewer: Viewer, search: int) -> list[int]:
    """Return the keys of a list's present memberships, newest first.

    Locks their emails in the order of their keys, so that none is deleted meanwhile.
    """
    rows = await tx.fetch(
        "SELECT m.id FROM memberships m JOIN emails e ON e.id = m.email_id"
        " WHERE m.search_id = ? AND e.team_id = ? AND (? OR e.sender_id = ?) ORDER BY e.id"
        + tx.for_update("KEY SHARE OF e"),
        *(search, viewer.team_id, viewer.admin, viewer.user_id),
    )
    return sorted((row["id"] for row in rows), reverse=True)


async def _insert(
    uow: UnitOfWork, viewer: Viewer, membership_keys: Sequence[int], new: NewMemberTask, name: str, details: str
) -> list[TaskWithViewers]:
    """Insert the tasks, and return their rows in the order of the members."""
    tx = uow.connection
    number, text, folded = tx.cast_param("bigint"), tx.cast_param("text"), fold(name)
    rows = await tx.fetch(
        "INSERT INTO tasks (team_id, creator_id, assignee_id, person_id, email_id, name, name_folded, kind, status,"
        " priority, due_on, details, created_at, updated_at)"
        f" SELECT e.team_id, {number}, {number}, e.person_id, e.id, {text}, {text}, {int(new.kind)},"
        f" {int(TaskStatus.OPEN)}, {int(new.priority)}, {tx.cast_param('date')}, {text}, {number}, {number}"
        f" FROM memberships m JOIN emails e ON e.id = m.email_id WHERE {tx.in_any('m.id')} AND NOT EXISTS"
        f" (SELECT 1 FROM tasks t WHERE t.email_id = e.id AND t.status = {int(TaskStatus.OPEN)} AND t.name_folded = ?"
        " AND (t.assignee_id = ? OR t.creator_id = ?))"
        " ORDER BY m.id DESC RETURNING id, team_id, creator_id, assignee_id",
        *(viewer.user_id, viewer.user_id, name, folded, new.due_on, details, uow.now, uow.now),
        *(tx.array_param(membership_keys), folded, viewer.user_id, viewer.user_id),
    )
    # Keys are assigned in the order of insertion, but RETURNING does not guarantee an order.
    return sorted(cast(list[TaskWithViewers], rows), key=lambda row: row["id"])
