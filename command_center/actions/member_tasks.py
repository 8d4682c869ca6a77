"""Tasks for a whole list: one for each member that has no open one like it.

However many members there are, the number of statements is the same, and asking twice at once makes no task twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from command_center.actions import tasks
from command_center.actions.access import lock_complete_list
from command_center.actions.context import ActionContext
from command_center.actions.inputs import ErrorCollector
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Connection, Row
from command_center.search.text import fold
from models.enums import TaskKind, TaskPriority, TaskStatus
from models.viewers import Viewer


@dataclass(frozen=True, slots=True)
class NewMemberTask:
    name: str
    kind: TaskKind
    due_on: date
    priority: TaskPriority = TaskPriority.NORMAL
    details: str = ""


async def create(ctx: ActionContext, viewer: Viewer, search_id: str, new: NewMemberTask) -> list[int]:
    """The keys of the tasks that were made, in the order of the list's members. They are the viewer's own."""
    errors = ErrorCollector()
    name = errors.line(new.name, ("input", "name"), "A name")
    details = errors.text(new.details, ("input", "details"), "Details", tasks.DETAILS)
    async with ctx.writer.unit_of_work() as uow:
        key = await lock_complete_list(uow.connection, viewer, search_id, errors)
        errors.raise_any()
        members = await _members(uow.connection, viewer, key)
        # Who asks twice at once waits here, and then finds the tasks that were made. After the emails, as the sender
        # loop does it, so that nobody waits in a circle; a weak lock, so that drafts go on meanwhile.
        await uow.connection.fetch_one(
            "SELECT id FROM users WHERE id = ?" + uow.connection.for_update("NO KEY UPDATE"), viewer.user_id
        )
        made = await _insert(uow, viewer, members, new, name, details)
        tasks.log_tasks(uow, made)
    return [row["id"] for row in made]


async def _members(tx: Connection, viewer: Viewer, search: int) -> list[int]:
    """The present stays of a list, newest first. Their emails are locked, in the order of their keys, so that none is
    deleted meanwhile."""
    rows = await tx.fetch(
        "SELECT m.id FROM memberships m JOIN emails e ON e.id = m.email_id"
        " WHERE m.search_id = ? AND e.team_id = ? AND (? OR e.sender_id = ?) ORDER BY e.id"
        + tx.for_update("KEY SHARE OF e"),
        *(search, viewer.team_id, viewer.admin, viewer.user_id),
    )
    return sorted((row["id"] for row in rows), reverse=True)


async def _insert(
    uow: UnitOfWork, viewer: Viewer, members: Sequence[int], new: NewMemberTask, name: str, details: str
) -> list[Row]:
    """The new tasks in the order of the members."""
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
        *(tx.array_param(members), folded, viewer.user_id, viewer.user_id),
    )
    # Keys are given out in the order of insertion, whatever order the rows are answered in.
    return sorted(rows, key=lambda row: row["id"])
