"""Defines the types for tasks, their filter, their order and their pages."""

from datetime import date, datetime
from typing import Annotated, Any

import strawberry

from resolvers import tasks
from resolvers.pagination import Order
from schema.campaigns import Campaign
from schema.emails import Email
from schema.enums import OrderDirection, TaskBucket, TaskKind, TaskOrderField, TaskPriority, TaskStatus
from schema.field_helpers import UNSET, Info, as_field_type, described, value_or_none
from schema.filters import TextFilter
from schema.nodes import Node, PageInfo
from schema.people import Person, User
from schema.scalars import ChangeCursor


@strawberry.type(
    description="A reminder of something to do for a person, with a due date. Its creator and its assignee see it."
)
class Task(Node):
    name: str = strawberry.field(description="What to do, in one line.")
    kind: TaskKind = strawberry.field(description="The kind of work.")
    status: TaskStatus = strawberry.field(description="Whether it is open or complete.")
    priority: TaskPriority = strawberry.field(description="How urgent it is.")
    due_on: date = strawberry.field(description="The day on which it is due.")
    details: str = strawberry.field(description="Further information; it may be empty.")
    created_at: datetime = strawberry.field(description="When it was first saved.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    completed_at: datetime | None = strawberry.field(description="When it was done; null if it is open.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return tasks.is_task(row)

    @strawberry.field(description="When it is due, relative to the viewer's current day; null if it is complete.")
    async def bucket(self: Any, info: Info) -> TaskBucket | None:
        return await tasks.bucket(info.context, self)

    @strawberry.field(description="The user who created it.")
    async def creator(self: Any, info: Info) -> User:
        return as_field_type(await tasks.creator(info.context, self))

    @strawberry.field(description="The user who should do it.")
    async def assignee(self: Any, info: Info) -> User:
        return as_field_type(await tasks.assignee(info.context, self))

    @strawberry.field(description="The person concerned.")
    async def person(self: Any, info: Info) -> Person:
        return as_field_type(await tasks.person(info.context, self))

    @strawberry.field(description="The email from which it was created; null if there was none or it has been deleted.")
    async def email(self: Any, info: Info) -> Email | None:
        return as_field_type(await tasks.email(info.context, self))

    @strawberry.field(description="The campaign of that email, if any.")
    async def campaign(self: Any, info: Info) -> Campaign | None:
        return as_field_type(await tasks.campaign(info.context, self))


@strawberry.type(description="One task of a page, with its cursor.")
class TaskEdge:
    cursor: str = strawberry.field(description="The position of this edge; pass it as `after` or `before`.")
    node: Task = strawberry.field(description="The task at this position.")


@strawberry.type(description="A page of tasks.")
class TaskConnection:
    edges: list[TaskEdge] = strawberry.field(description="The tasks with their cursors.")
    nodes: list[Task] = strawberry.field(description="The tasks of the page without their cursors.")
    page_info: PageInfo = strawberry.field(description="The boundaries of the page and what lies beyond them.")
    as_of: ChangeCursor = strawberry.field(
        description="A position in the change log, read before the rows. A subscription with this `after` misses no"
        " later change."
    )


def _optional(description: str) -> Any:
    return strawberry.field(default=UNSET, description=description)


@strawberry.input(
    description="A filter of tasks. All given conditions must hold, and one element of a list is enough. Null is"
    " the same as absent; an empty list matches nothing."
)
class TaskFilter:
    status: list[TaskStatus] | None = _optional("Open, complete or both.")
    kind: list[TaskKind] | None = _optional("Tasks of one of these kinds.")
    priority: list[TaskPriority] | None = _optional("Tasks of one of these priorities.")
    bucket: list[TaskBucket] | None = _optional(
        "Open tasks in one of these buckets, relative to the viewer's current day."
    )
    assignee: list[strawberry.ID] | None = _optional("Assigned to one of these users.")
    person: list[strawberry.ID] | None = _optional("Tasks that concern one of these people.")
    email: list[strawberry.ID] | None = _optional("Created from one of these emails.")
    campaign: list[strawberry.ID] | None = _optional("Created from an email of one of these campaigns.")
    due_from: date | None = _optional("Due on this day or later.")
    due_until: date | None = _optional("Due on this day or earlier.")
    name: TextFilter | None = _optional("A test of the name, ignoring case.")


@strawberry.input(description="How to sort tasks. Tasks with equal values are sorted by age in the same direction.")
class TaskOrder:
    field: TaskOrderField = strawberry.field(description="The property by which to sort.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="Whether to sort ascending or descending."
    )

    def value(self) -> Order:
        return tasks.order(self.field, self.direction)


TaskFilterArgument = Annotated[TaskFilter | None, described("Which tasks to return; if absent, all.")]
TaskOrderArgument = Annotated[
    TaskOrder | None, described("How to sort the tasks; if absent, by due date and then the urgent first.")
]


def task_order(order: TaskOrder | None) -> Order:
    """Return the requested order; without one, by due date and then the urgent first."""
    value = value_or_none(order)
    return tasks.URGENT if value is None else value.value()
