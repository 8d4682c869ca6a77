"""Resolves tasks: one by id, pages by filter and order, and the objects to which a task refers."""

from collections.abc import Mapping
from typing import Any

from command_center import ids as global_ids
from command_center.changes import log
from command_center.database.connections import database
from command_center.search import task_filters as filters
from command_center.search.dialects import POSTGRES, SQLITE, Clause, all_of
from command_center.search.task_buckets import bucket_of
from models.campaigns import Campaign
from models.emails import Email
from models.enums import OrderDirection, TaskBucket, TaskOrderField, TaskPriority, TaskStatus
from models.people import Person
from models.tasks import Task
from models.users import User
from resolvers.context import Context
from resolvers.pagination import Arguments, Column, Order, Page, Selection, page

_DUE = Column("due_on", descending=False)
# HIGH has the greater number and comes first.
_PRIORITY = Column("priority", descending=True, max_value=max(TaskPriority))
URGENT = Order("due", (_DUE, _PRIORITY), descending=False)


def is_task(row: object) -> bool:
    return isinstance(row, Task)


async def task_by_id(context: Context, task_id: str) -> Task | None:
    """Return the task with a global id, or None if the viewer may not see it."""
    key = global_ids.decode_key("Task", task_id)
    return None if key is None else await Task.get_or_none(Task.visible(context.viewer), id=key)


def order(field: TaskOrderField, direction: OrderDirection) -> Order:
    """Return the requested order. In ascending order by priority, HIGH comes first."""
    descending = direction is OrderDirection.DESC
    column = Column(
        field.value,
        descending is not (field is TaskOrderField.PRIORITY),
        max_value=_PRIORITY.max_value if field is TaskOrderField.PRIORITY else 2**62,
    )
    return Order(f"{field.name.lower()} {direction.name.lower()}", (column,), descending)


async def filtered(
    context: Context, raw: Mapping[str, Any] | None, order: Order, arguments: Arguments, extra: Clause | None = None
) -> Page[Task]:
    """Return the viewer's tasks that match a filter on the current day in the viewer's time zone.

    Raises: UserErrors if the filter or the arguments are invalid.
    """
    limits = context.ctx.limits.filter
    filter = filters.parse_task_filter(raw or {}, most_ids=limits.ids, path=("filter",))
    viewer = context.viewer
    dialect = POSTGRES if database().postgres else SQLITE
    clauses = [filters.range_clause(viewer.team_id, viewer.user_id, dialect)]
    clauses.append(filters.filter_clause(filter, dialect, await context.today()))
    if extra is not None:
        clauses.append(extra)
    as_of = (await log.load_state(viewer.team_id)).cursor()
    return await page(Selection(Task, "tasks e", all_of(clauses)), order, arguments, as_of)


async def of_email(context: Context, email: Email, arguments: Arguments) -> Page[Task]:
    """Return the viewer's tasks that were created from an email."""
    return await filtered(context, None, URGENT, arguments, Clause("e.email_id = ?", (email.id,)))


async def bucket(context: Context, task: Task) -> TaskBucket | None:
    """Return the bucket by the current day in the viewer's time zone, or None if the task is complete."""
    return None if task.status is TaskStatus.COMPLETE else bucket_of(task.due_on, await context.today())


async def creator(context: Context, task: Task) -> User | None:
    return await context.loaders.row(User, task.creator_id)


async def assignee(context: Context, task: Task) -> User | None:
    return await context.loaders.row(User, task.assignee_id)


async def person(context: Context, task: Task) -> Person | None:
    return await context.loaders.row(Person, task.person_id)


async def email(context: Context, task: Task) -> Email | None:
    return await context.loaders.row(Email, task.email_id)


async def campaign(context: Context, task: Task) -> Campaign | None:
    """Return the campaign of the email from which a task was created, or None."""
    source = await email(context, task)
    return None if source is None else await context.loaders.row(Campaign, source.campaign_id)
