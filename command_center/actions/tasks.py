"""Tasks: made, revised, completed, reopened, deleted. Their creator and their assignee see them, and may do all of it.

Each change is said in the log once to everyone who sees the task after it, and a deletion to who no longer does. What
changes nothing is done as asked and says nothing. Tasks for a whole list are made in `member_tasks`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from command_center import ids as global_ids
from command_center.actions.access import paths_by_id, rows_in_request_order, visible_key
from command_center.actions.context import ActionContext
from command_center.actions.inputs import UNSET, BulkResult, ErrorCollector, Path
from command_center.changes.entries import LogEntry
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Connection, Row
from command_center.search.text import fold
from models.enums import ChangeKind, TaskKind, TaskPriority, TaskStatus, UserErrorCode
from models.people import Person
from models.tasks import Task
from models.viewers import Viewer

DETAILS = 10_000
_NOT_SHARED = "Only a person shared with the team can be a teammate's task."
_COLUMNS = "id, team_id, creator_id, assignee_id, person_id, name, kind, status, priority, due_on, details"


@dataclass(frozen=True, slots=True)
class NewTask:
    name: str
    kind: TaskKind
    person_id: str
    due_on: date
    priority: TaskPriority = TaskPriority.NORMAL
    details: str = ""
    assignee_id: str | None = None
    email_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskRevision:
    """UNSET leaves a value as it is. None clears the details; nothing else can be without a value."""

    name: Any = field(default=UNSET)
    kind: Any = field(default=UNSET)
    due_on: Any = field(default=UNSET)
    priority: Any = field(default=UNSET)
    details: Any = field(default=UNSET)
    assignee_id: Any = field(default=UNSET)


async def create(ctx: ActionContext, viewer: Viewer, new: NewTask) -> Task:
    """A task of the viewer's, or of a teammate's about a person shared with the team."""
    errors = ErrorCollector()
    name = errors.line(new.name, ("input", "name"), "A name")
    details = errors.text(new.details, ("input", "details"), "Details", DETAILS)
    person = await visible_key(viewer, "Person", new.person_id, ("input", "personId"), errors)
    path = ("input", "assigneeId")
    assignee: int | None = viewer.user_id
    if new.assignee_id is not None:
        assignee = await visible_key(viewer, "User", new.assignee_id, path, errors)
    if person is not None and assignee not in (None, viewer.user_id) and not await _shared(person):
        errors.add(UserErrorCode.INVALID, path, _NOT_SHARED)
    async with ctx.writer.unit_of_work() as uow:
        email = await _origin(uow.connection, viewer, new.email_id, person, errors)
        errors.raise_any()
        row = await uow.connection.fetch_one(
            "INSERT INTO tasks (team_id, creator_id, assignee_id, person_id, email_id, name, name_folded, kind, status,"
            " priority, due_on, details, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " RETURNING id, team_id, creator_id, assignee_id",
            *(viewer.team_id, viewer.user_id, assignee, person, email, name, fold(name), int(new.kind)),
            *(int(TaskStatus.OPEN), int(new.priority), new.due_on, details, uow.now, uow.now),
        )
        log_tasks(uow, [row] if row else [])
    return await Task.get(id=row["id"] if row else 0)


async def _shared(person: int) -> bool:
    return await Person.filter(id=person, shared=True).exists()


async def _origin(
    tx: Connection, viewer: Viewer, text: str | None, person: int | None, errors: ErrorCollector
) -> int | None:
    """The email a task is made from, locked against its deletion. It must be to the task's person."""
    if text is None:
        return None
    path = ("input", "emailId")
    row = await tx.fetch_one(
        "SELECT id, team_id, sender_id, person_id FROM emails WHERE id = ?" + tx.for_update("KEY SHARE"),
        global_ids.decode_key("Email", text) or 0,
    )
    if row is None or not viewer.sees_mail_of(row["team_id"], row["sender_id"]):
        errors.add(UserErrorCode.NOT_FOUND, path, "There is no such email.")
        return None
    if person is not None and row["person_id"] != person:
        errors.add(UserErrorCode.INVALID, path, "The email is to somebody else than the task's person.")
    return int(row["id"])


async def revise(ctx: ActionContext, viewer: Viewer, task_id: str, revision: TaskRevision) -> Task | None:
    """Changes what is given; None where the task is no longer the viewer's to see, as it is somebody else's now."""
    errors = ErrorCollector()
    values = await _revised(viewer, revision, errors)
    async with ctx.writer.unit_of_work() as uow:
        rows = await _seen(uow, viewer, {task_id: ("id",)}, errors)
        assignee = values.get("assignee_id")
        for row in rows:
            kept = assignee in (None, viewer.user_id, row["assignee_id"])
            if not kept and not await _shared(row["person_id"]):
                errors.add(UserErrorCode.INVALID, ("input", "assigneeId"), _NOT_SHARED)
        errors.raise_any()
        await _change(uow, rows, {name: value for name, value in values.items() if not _same(rows[0][name], value)})
    return await Task.get_or_none(Task.visible(viewer), id=rows[0]["id"])


def _same(stored: Any, value: Any) -> bool:
    """Whether a column holds a value already. SQLite answers days as texts."""
    return bool(stored == (value.isoformat() if isinstance(stored, str) and isinstance(value, date) else value))


async def _revised(viewer: Viewer, revision: TaskRevision, errors: ErrorCollector) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, what in (("kind", "A kind"), ("due_on", "A day"), ("priority", "A priority")):
        value = getattr(revision, name)
        if value is None:
            path = ("input", "dueOn" if name == "due_on" else name)
            errors.add(UserErrorCode.BLANK, path, f"{what} must not be blank.")
        elif value is not UNSET:
            values[name] = value
    if revision.name is not UNSET:
        values["name"] = errors.line(revision.name or "", ("input", "name"), "A name")
    if revision.details is not UNSET:
        values["details"] = errors.text(revision.details or "", ("input", "details"), "Details", DETAILS)
    if revision.assignee_id is not UNSET:
        path = ("input", "assigneeId")
        if revision.assignee_id is None:
            errors.add(UserErrorCode.BLANK, path, "A task must be somebody's.")
        values["assignee_id"] = await visible_key(viewer, "User", revision.assignee_id, path, errors)
    return values


async def complete(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Completes tasks. One that is complete already stays as it is."""
    return await _set_status(ctx, viewer, ids, TaskStatus.COMPLETE)


async def reopen(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Opens tasks again. One that is open already stays as it is."""
    return await _set_status(ctx, viewer, ids, TaskStatus.OPEN)


async def _set_status(ctx: ActionContext, viewer: Viewer, ids: Sequence[str], status: TaskStatus) -> BulkResult:
    errors = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        rows = await _seen(uow, viewer, paths_by_id(ids), errors)
        completed_at = uow.now if status is TaskStatus.COMPLETE else None
        others = [row for row in rows if row["status"] != status]
        await _change(uow, others, {"status": status, "completed_at": completed_at})
    return BulkResult(tuple(row["id"] for row in rows), tuple(errors.problems))


async def delete(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Deletes tasks for good, for everyone who saw them."""
    errors = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        tx = uow.connection
        rows = await _seen(uow, viewer, paths_by_id(ids), errors)
        await tx.execute(f"DELETE FROM tasks WHERE {tx.in_any('id')}", tx.array_param(row["id"] for row in rows))
        log_tasks(uow, rows, ChangeKind.TASK_DELETED)
    return BulkResult(tuple(row["id"] for row in rows), tuple(errors.problems))


async def detach_from_emails(uow: UnitOfWork, email_keys: Sequence[int]) -> None:
    """The tasks of emails that are about to be deleted go on without them. The emails must be locked."""
    tx = uow.connection
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM tasks WHERE {tx.in_any('email_id')} ORDER BY id" + tx.for_update(),
        tx.array_param(email_keys),
    )
    await _change(uow, rows, {"email_id": None})


async def _seen(uow: UnitOfWork, viewer: Viewer, paths: Mapping[str, Path], errors: ErrorCollector) -> list[Row]:
    """The tasks among those named that the viewer can see, in the order asked; the others are findings.

    They are locked in the order of their keys, so that two bulks never wait for each other in a circle.
    """
    tx = uow.connection

    async def rows_of(keys: Sequence[int]) -> list[Row]:
        return await tx.fetch(
            f"SELECT {_COLUMNS} FROM tasks WHERE {tx.in_any('id')} AND team_id = ?"
            " AND (assignee_id = ? OR creator_id = ?) ORDER BY id" + tx.for_update(),
            *(tx.array_param(keys), viewer.team_id, viewer.user_id, viewer.user_id),
        )

    return await rows_in_request_order("Task", paths, rows_of, errors)


async def _change(uow: UnitOfWork, rows: Sequence[Row], values: Mapping[str, Any]) -> None:
    """Sets the same columns on all the rows, which must be locked, and tells everyone whom it concerns."""
    if not rows or not values:
        return
    sets = {**values, "updated_at": uow.now}
    if "name" in sets:
        sets["name_folded"] = fold(sets["name"])
    tx = uow.connection
    await tx.execute(
        f"UPDATE tasks SET {', '.join(f'{column} = ?' for column in sets)} WHERE {tx.in_any('id')}",
        *sets.values(),
        tx.array_param(row["id"] for row in rows),
    )
    for row in rows:
        after = {**row, **values}
        for user in sorted(_seers(row) - _seers(after)):
            uow.log(_entry(row, user, ChangeKind.TASK_DELETED))
        log_tasks(uow, [after])


def log_tasks(uow: UnitOfWork, rows: Iterable[Row], kind: ChangeKind = ChangeKind.TASK_UPSERTED) -> None:
    """Says of each task, once to everyone who sees it, that it is as it is now, or is no more."""
    for row in rows:
        for user in sorted(_seers(row)):
            uow.log(_entry(row, user, kind))


def _seers(row: Row) -> set[int]:
    return {row["creator_id"], row["assignee_id"]}


def _entry(row: Row, user: int, kind: ChangeKind) -> LogEntry:
    return LogEntry(row["team_id"], kind, user, task_id=row["id"])
