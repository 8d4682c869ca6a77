"""The actions on tasks: create, revise, complete, reopen and delete.

Creator and assignee can see and change a task.

Each change appends one log entry for each user who can see the task afterwards, and a TASK_DELETED entry for each who
no longer can. An action that changes nothing succeeds without a log entry. `member_tasks` creates tasks for a list.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypedDict, cast

from command_center import ids as global_ids
from command_center.actions.access import paths_by_id, rows_in_request_order, visible_key
from command_center.actions.context import ActionContext
from command_center.actions.inputs import UNSET, BulkResult, Unset, check_line, check_text
from command_center.changes.entries import LogEntry
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import ColumnValue, ColumnValues, Connection
from command_center.errors import ErrorCollector, InputPath
from command_center.search.text import fold
from models.enums import ChangeKind, TaskKind, TaskPriority, TaskStatus, UserErrorCode
from models.people import Person
from models.tasks import Task
from models.viewers import Viewer

DETAILS = 10_000
_NOT_SHARED = "Only a person shared with the team can be a teammate's task."
_COLUMNS = "id, team_id, creator_id, assignee_id, person_id, name, kind, status, priority, due_on, details"


class TaskWithViewers(TypedDict):
    """A task with the users who can see it: its creator and its assignee."""

    id: int
    team_id: int
    creator_id: int
    assignee_id: int


class LockedTask(TaskWithViewers):
    """A task that an action has locked. SQLite returns `due_on` as text."""

    person_id: int
    name: str
    kind: int
    status: int
    priority: int
    due_on: date | str
    details: str


@dataclass(frozen=True, slots=True)
class NewTask:
    """The input for a new task; `assignee_id` None means the viewer."""

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
    """The changes to a task.

    UNSET leaves a value unchanged; None clears the details, and is invalid elsewhere.
    """

    name: str | Unset | None = UNSET
    kind: TaskKind | Unset | None = UNSET
    due_on: date | Unset | None = UNSET
    priority: TaskPriority | Unset | None = UNSET
    details: str | Unset | None = UNSET
    assignee_id: str | Unset | None = UNSET


async def create(ctx: ActionContext, viewer: Viewer, new: NewTask) -> Task:
    """Create a task for the viewer or a teammate.

    A teammate can get the task only if its person is shared with the team.

    Raises: UserErrors if the input is invalid.
    """
    errors = ErrorCollector()
    name = check_line(errors, new.name, ("input", "name"), "A name")
    details = check_text(errors, new.details, ("input", "details"), "Details", DETAILS)
    person = await visible_key(viewer, "Person", new.person_id, ("input", "personId"), errors)
    path = ("input", "assigneeId")
    assignee: int | None = viewer.user_id
    if new.assignee_id is not None:
        assignee = await visible_key(viewer, "User", new.assignee_id, path, errors)
    if person is not None and assignee not in (None, viewer.user_id) and not await _is_shared(person):
        errors.add(UserErrorCode.INVALID, path, _NOT_SHARED)
    async with ctx.writer.unit_of_work() as uow:
        email = await _lock_source_email(uow.connection, viewer, new.email_id, person, errors)
        errors.raise_any()
        row = await uow.connection.fetch_one(
            "INSERT INTO tasks (team_id, creator_id, assignee_id, person_id, email_id, name, name_folded, kind, status,"
            " priority, due_on, details, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " RETURNING id, team_id, creator_id, assignee_id",
            *(viewer.team_id, viewer.user_id, assignee, person, email, name, fold(name), int(new.kind)),
            *(int(TaskStatus.OPEN), int(new.priority), new.due_on, details, uow.now, uow.now),
        )
        log_tasks(uow, [cast(TaskWithViewers, row)] if row else [])
    return await Task.get(id=row["id"] if row else 0)


async def _is_shared(person: int) -> bool:
    return await Person.filter(id=person, shared=True).exists()


async def _lock_source_email(
    tx: Connection, viewer: Viewer, text: str | None, person: int | None, errors: ErrorCollector
) -> int | None:
    """Return the key of the email that a task is created from.

    The email is locked against deletion.

    Adds an error if the viewer cannot see the email, or if it is not addressed to the task's person.
    """
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
        errors.add(UserErrorCode.INVALID, path, "The email's recipient is not the task's person.")
    return int(row["id"])


async def revise(ctx: ActionContext, viewer: Viewer, task_id: str, revision: TaskRevision) -> Task | None:
    """Change a task.

    Returns None if the viewer can no longer see it, because the assignee changed.

    Raises: UserErrors if the input is invalid or the viewer cannot see such a task.
    """
    errors = ErrorCollector()
    values = await _changed_columns(viewer, revision, errors)
    async with ctx.writer.unit_of_work() as uow:
        rows = await _lock_visible_tasks(uow, viewer, {task_id: ("id",)}, errors)
        assignee = values.get("assignee_id")
        for row in rows:
            needs_sharing = assignee not in (None, viewer.user_id, row["assignee_id"])
            if needs_sharing and not await _is_shared(row["person_id"]):
                errors.add(UserErrorCode.INVALID, ("input", "assigneeId"), _NOT_SHARED)
        errors.raise_any()
        stored: Mapping[str, object] = rows[0]
        await _change(uow, rows, {name: value for name, value in values.items() if not _equals(stored[name], value)})
    return await Task.get_or_none(Task.visible(viewer), id=rows[0]["id"])


def _equals(stored: object, value: object) -> bool:
    """Return whether a column already has this value. SQLite returns dates as texts."""
    return bool(stored == (value.isoformat() if isinstance(stored, str) and isinstance(value, date) else value))


async def _changed_columns(viewer: Viewer, revision: TaskRevision, errors: ErrorCollector) -> dict[str, ColumnValue]:
    """Validate a revision, and return its new column values."""
    values: dict[str, ColumnValue] = {}
    for name, what in (("kind", "A kind"), ("due_on", "A day"), ("priority", "A priority")):
        value = getattr(revision, name)
        if value is None:
            path = ("input", "dueOn" if name == "due_on" else name)
            errors.add(UserErrorCode.BLANK, path, f"{what} must not be blank.")
        elif value is not UNSET:
            values[name] = value
    if revision.name is not UNSET:
        values["name"] = check_line(errors, revision.name or "", ("input", "name"), "A name")
    if revision.details is not UNSET:
        values["details"] = check_text(errors, revision.details or "", ("input", "details"), "Details", DETAILS)
    if revision.assignee_id is not UNSET:
        path = ("input", "assigneeId")
        if revision.assignee_id is None:
            errors.add(UserErrorCode.BLANK, path, "A task needs an assignee.")
        values["assignee_id"] = await visible_key(viewer, "User", revision.assignee_id, path, errors)
    return values


async def complete(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Complete tasks. Leaves completed ones unchanged."""
    return await _set_status(ctx, viewer, ids, TaskStatus.COMPLETE)


async def reopen(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Reopen tasks. Leaves open ones unchanged."""
    return await _set_status(ctx, viewer, ids, TaskStatus.OPEN)


async def _set_status(ctx: ActionContext, viewer: Viewer, ids: Sequence[str], status: TaskStatus) -> BulkResult:
    """Set the status of those tasks that do not have it yet."""
    errors = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        rows = await _lock_visible_tasks(uow, viewer, paths_by_id(ids), errors)
        completed_at = uow.now if status is TaskStatus.COMPLETE else None
        changed_rows = [row for row in rows if row["status"] != status]
        await _change(uow, changed_rows, {"status": status, "completed_at": completed_at})
    return BulkResult(tuple(row["id"] for row in rows), tuple(errors))


async def delete(ctx: ActionContext, viewer: Viewer, ids: Sequence[str]) -> BulkResult:
    """Delete tasks permanently, for all users who can see them."""
    errors = ErrorCollector()
    async with ctx.writer.unit_of_work() as uow:
        tx = uow.connection
        rows = await _lock_visible_tasks(uow, viewer, paths_by_id(ids), errors)
        await tx.execute(f"DELETE FROM tasks WHERE {tx.in_any('id')}", tx.array_param(row["id"] for row in rows))
        log_tasks(uow, rows, ChangeKind.TASK_DELETED)
    return BulkResult(tuple(row["id"] for row in rows), tuple(errors))


async def detach_from_emails(uow: UnitOfWork, email_keys: Sequence[int]) -> None:
    """Remove the email from the tasks of emails that are about to be deleted.

    The emails must be locked.
    """
    tx = uow.connection
    fetched = await tx.fetch(
        f"SELECT {_COLUMNS} FROM tasks WHERE {tx.in_any('email_id')} ORDER BY id" + tx.for_update(),
        tx.array_param(email_keys),
    )
    await _change(uow, cast(list[LockedTask], fetched), {"email_id": None})


async def _lock_visible_tasks(
    uow: UnitOfWork, viewer: Viewer, paths: Mapping[str, InputPath], errors: ErrorCollector
) -> list[LockedTask]:
    """Lock the tasks that the viewer can see, and return them in request order.

    Adds an error for each other id.

    The tasks are locked in the order of their keys, to prevent a deadlock between two bulk actions.
    """
    tx = uow.connection

    async def rows_of(keys: Sequence[int]) -> list[LockedTask]:
        rows = await tx.fetch(
            f"SELECT {_COLUMNS} FROM tasks WHERE {tx.in_any('id')} AND team_id = ?"
            " AND (assignee_id = ? OR creator_id = ?) ORDER BY id" + tx.for_update(),
            *(tx.array_param(keys), viewer.team_id, viewer.user_id, viewer.user_id),
        )
        return cast(list[LockedTask], rows)

    return await rows_in_request_order("Task", paths, rows_of, errors)


async def _change(uow: UnitOfWork, rows: Sequence[LockedTask], values: ColumnValues) -> None:
    """Set the same columns of all these locked tasks.

    The change is logged for the users concerned.
    """
    if not rows or not values:
        return
    assignments = {**values, "updated_at": uow.now}
    if isinstance(name := values.get("name"), str):
        assignments["name_folded"] = fold(name)
    tx = uow.connection
    await tx.execute(
        f"UPDATE tasks SET {', '.join(f'{column} = ?' for column in assignments)} WHERE {tx.in_any('id')}",
        *assignments.values(),
        tx.array_param(row["id"] for row in rows),
    )
    for row in rows:
        after = cast(LockedTask, {**row, **values})
        for user in sorted(_viewers_of(row) - _viewers_of(after)):
            uow.log(_entry(row, user, ChangeKind.TASK_DELETED))
        log_tasks(uow, [after])


def log_tasks(uow: UnitOfWork, rows: Iterable[TaskWithViewers], kind: ChangeKind = ChangeKind.TASK_UPSERTED) -> None:
    """Append one log entry for each task and each user who can see it.

    `kind` says whether the task was changed or deleted.
    """
    for row in rows:
        for user in sorted(_viewers_of(row)):
            uow.log(_entry(row, user, kind))


def _viewers_of(row: TaskWithViewers) -> set[int]:
    """Return the keys of the users who can see a task."""
    return {row["creator_id"], row["assignee_id"]}


def _entry(row: TaskWithViewers, user: int, kind: ChangeKind) -> LogEntry:
    return LogEntry(row["team_id"], kind, user, task_id=row["id"])
