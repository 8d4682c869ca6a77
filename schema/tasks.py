"""Reminder tasks, how they are filtered and ordered, and their pages."""

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


@strawberry.type(description="A reminder to do something about a person by a day. Its creator and its assignee see it.")
class Task(Node):
    name: str = strawberry.field(description="What is to be done, in one line.")
    kind: TaskKind = strawberry.field(description="What kind of thing that is.")
    status: TaskStatus = strawberry.field(description="Whether it has been done.")
    priority: TaskPriority = strawberry.field(description="How urgent it is.")
    due_on: date = strawberry.field(description="The day it is to be done by.")
    details: str = strawberry.field(description="Whatever else there is to know; may be empty.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    completed_at: datetime | None = strawberry.field(description="When it was done; null while it is open.")

    @classmethod
    def is_type_of(cls, row: object, _: object) -> bool:
        return tasks.is_task(row)

    @strawberry.field(description="Where its day lies, seen from the viewer's today; null once it is complete.")
    async def bucket(self: Any, info: Info) -> TaskBucket | None:
        return await tasks.bucket(info.context, self)

    @strawberry.field(description="Who made it.")
    async def creator(self: Any, info: Info) -> User:
        return as_field_type(await tasks.creator(info.context, self))

    @strawberry.field(description="Who is to do it.")
    async def assignee(self: Any, info: Info) -> User:
        return as_field_type(await tasks.assignee(info.context, self))

    @strawberry.field(description="Whom it is about.")
    async def person(self: Any, info: Info) -> Person:
        return as_field_type(await tasks.person(info.context, self))

    @strawberry.field(description="The email it was made from; null where there was none, or it has been deleted.")
    async def email(self: Any, info: Info) -> Email | None:
        return as_field_type(await tasks.email(info.context, self))

    @strawberry.field(description="The campaign of that email.")
    async def campaign(self: Any, info: Info) -> Campaign | None:
        return as_field_type(await tasks.campaign(info.context, self))


@strawberry.type(description="One task of a page.")
class TaskEdge:
    cursor: str = strawberry.field(description="Its place in the order: hand it back as `after` or `before`.")
    node: Task = strawberry.field(description="The task itself.")


@strawberry.type(description="A page of tasks.")
class TaskConnection:
    edges: list[TaskEdge] = strawberry.field(description="The tasks with their cursors.")
    nodes: list[Task] = strawberry.field(description="The tasks alone.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    as_of: ChangeCursor = strawberry.field(
        description="A place in the change log, read before the rows: follow from there and nothing is missed."
    )


def _optional(description: str) -> Any:
    return strawberry.field(default=UNSET, description=description)


@strawberry.input(
    description="What tasks are wanted. Everything given must hold, any element of a list will do; null is the same as"
    " absent, and an empty list matches nothing."
)
class TaskFilter:
    status: list[TaskStatus] | None = _optional("Open, complete, or either.")
    kind: list[TaskKind] | None = _optional("Of any of these kinds.")
    priority: list[TaskPriority] | None = _optional("Of any of these priorities.")
    bucket: list[TaskBucket] | None = _optional("Open, and in any of these by the viewer's own day.")
    assignee: list[strawberry.ID] | None = _optional("To be done by any of these users.")
    person: list[strawberry.ID] | None = _optional("About any of these people.")
    email: list[strawberry.ID] | None = _optional("Made from any of these emails.")
    campaign: list[strawberry.ID] | None = _optional("Made from an email of any of these campaigns.")
    due_from: date | None = _optional("Due on this day or after it.")
    due_until: date | None = _optional("Due on this day or before it.")
    name: TextFilter | None = _optional("What it says is to be done, regardless of case.")


@strawberry.input(description="How tasks are ordered. Ties go by age, in the same direction.")
class TaskOrder:
    field: TaskOrderField = strawberry.field(description="The day, the urgency, or when it was made.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.ASC, description="Which way.")

    def value(self) -> Order:
        return tasks.order(self.field, self.direction)


TaskFilterArgument = Annotated[TaskFilter | None, described("What must hold of them; absent, all.")]
TaskOrderArgument = Annotated[
    TaskOrder | None, described("How they are ordered; absent, by day and then the urgent first.")
]


def task_order(order: TaskOrder | None) -> Order:
    """The order asked for, or the soonest due first and on each day the urgent before the others."""
    value = value_or_none(order)
    return tasks.URGENT if value is None else value.value()
