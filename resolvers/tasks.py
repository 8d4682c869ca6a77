"""Resolves tasks: one by id, pages by filter and order, and single fields."""

from collections.abc import Mapping

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
from resolvers.pagination import Arguments, Column, Order, Page, SqlSource, load_page

_DUE = Column("due_on", descending=False)
# HIGH has the greater number and comes first.
_PRIORITY = Column("priority", descending=True, max_value=max(TaskPriority))
URGENT = Order("due", (_DUE, _PRIORITY), descending=False)


async def load_task(context: Context, task_id: str) -> Task | None:
    """Return the task with a global id, or None if the viewer may not see it."""
    key = global_ids.decode_key("Task", task_id)
    return None if key is None else await Task.get_or_none(Task.visible(context.viewer), id=key)


def make_order(field: TaskOrderField, direction: OrderDirection) -> Order:
    """Return the requested order. In ascending order by priority, HIGH comes first."""
    descending = direction is OrderDirection.DESC
    column = Column(
        field.value,
        descending is not (field is TaskOrderField.PRIORITY),
        max_value=_PRIORITY.max_value if field is TaskOrderField.PRIORITY else 2**62,
    )
    return Order(f"{field.name.lower()} {direction.name.lower()}", (column,), descending)


async def load_tasks(
    context: Context, raw: Mapping[str, object] | None, order: Order, arguments: Arguments, extra: Clause | None = None
) -> Page[Task]:
    """Return the viewer's tasks that match a filter on the viewer's current day.

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
    return await load_page(SqlSource(Task, "tasks e", all_of(clauses)), order, arguments, as_of)


async def load_tasks_of_email(context: Context, email: Email, arguments: Arguments) -> Page[Task]:
    """Return the viewer's tasks that were created from an email."""
    return await load_tasks(context, None, URGENT, arguments, Clause("e.email_id = ?", (email.id,)))


async def load_bucket(context: Context, task: Task) -> TaskBucket | None:
    """Return the bucket on the viewer's current day, or None for a complete task."""
    return None if task.status is TaskStatus.COMPLETE else bucket_of(task.due_on, await context.today())


async def load_creator(context: Context, task: Task) -> User | None:
    """Return the user who created a task."""
    return await context.loaders.load_row(User, task.creator_id)


async def load_assignee(context: Context, task: Task) -> User | None:
    """Return the user to whom a task is assigned."""
    return await context.loaders.load_row(User, task.assignee_id)


async def load_person(context: Context, task: Task) -> Person | None:
    """Return the person whom a task concerns."""
    return await context.loaders.load_row(Person, task.person_id)


async def load_email(context: Context, task: Task) -> Email | None:
    """Return the email from which a task was created, or None."""
    return await context.loaders.load_row(Email, task.email_id)


async def load_campaign(context: Context, task: Task) -> Campaign | None:
    """Return the campaign of the email from which a task was created, or None."""
    source = await load_email(context, task)
    return None if source is None else await context.loaders.load_row(Campaign, source.campaign_id)
