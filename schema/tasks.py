"""Defines the types for tasks, their filter, their order and their pages."""

from datetime import date, datetime
from typing import Annotated

import strawberry
from strawberry import Parent
from strawberry.types.unset import UnsetType

from models.campaigns import Campaign
from models.emails import Email
from models.people import Person
from models.tasks import Task
from models.users import User
from resolvers import tasks
from resolvers.pagination import Order
from schema.campaigns import CampaignType
from schema.connections import define_connection
from schema.emails import EmailType
from schema.enums import OrderDirection, TaskBucket, TaskKind, TaskOrderField, TaskPriority, TaskStatus
from schema.field_helpers import Info, described, optional_field, publishes, value_or_none
from schema.filters import TextFilter
from schema.nodes import NodeInterface
from schema.people import PersonType, UserType


@publishes(Task, "A reminder of something to do for a person, with a due date. Its creator and its assignee see it.")
class TaskType(NodeInterface):
    name: str = strawberry.field(description="What to do, in one line.")
    kind: TaskKind = strawberry.field(description="The kind of work.")
    status: TaskStatus = strawberry.field(description="Whether it is open or complete.")
    priority: TaskPriority = strawberry.field(description="How urgent it is.")
    due_on: date = strawberry.field(description="The day on which it is due.")
    details: str = strawberry.field(description="Further information; it may be empty.")
    created_at: datetime = strawberry.field(description="When it was first saved.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    completed_at: datetime | None = strawberry.field(description="When it was done; null if it is open.")

    @strawberry.field(description="When it is due, relative to the viewer's current day; null if it is complete.")
    @staticmethod
    async def bucket(task: Parent[Task], info: Info) -> TaskBucket | None:
        return await tasks.load_bucket(info.context, task)

    @strawberry.field(description="The user who created it.", graphql_type=UserType)
    @staticmethod
    async def creator(task: Parent[Task], info: Info) -> User | None:
        return await tasks.load_creator(info.context, task)

    @strawberry.field(description="The user who should do it.", graphql_type=UserType)
    @staticmethod
    async def assignee(task: Parent[Task], info: Info) -> User | None:
        return await tasks.load_assignee(info.context, task)

    @strawberry.field(description="The person concerned.", graphql_type=PersonType)
    @staticmethod
    async def person(task: Parent[Task], info: Info) -> Person | None:
        return await tasks.load_person(info.context, task)

    @strawberry.field(
        description="The email from which it was created; null if there was none or it has been deleted.",
        graphql_type=EmailType | None,
    )
    @staticmethod
    async def email(task: Parent[Task], info: Info) -> Email | None:
        return await tasks.load_email(info.context, task)

    @strawberry.field(description="The campaign of that email, if any.", graphql_type=CampaignType | None)
    @staticmethod
    async def campaign(task: Parent[Task], info: Info) -> Campaign | None:
        return await tasks.load_campaign(info.context, task)


TaskConnection = define_connection(TaskType, "task", "tasks", has_as_of=True)


@strawberry.input(
    name="TaskFilter",
    description="A filter of tasks. All given conditions must hold, and one element of a list is enough. Null is"
    " the same as absent; an empty list matches nothing.",
)
class TaskFilterInput:
    status: list[TaskStatus] | UnsetType | None = optional_field("Open, complete or both.")
    kind: list[TaskKind] | UnsetType | None = optional_field("Tasks of one of these kinds.")
    priority: list[TaskPriority] | UnsetType | None = optional_field("Tasks of one of these priorities.")
    bucket: list[TaskBucket] | UnsetType | None = optional_field(
        "Open tasks in one of these buckets, relative to the viewer's current day."
    )
    assignee: list[strawberry.ID] | UnsetType | None = optional_field("Assigned to one of these users.")
    person: list[strawberry.ID] | UnsetType | None = optional_field("Tasks that concern one of these people.")
    email: list[strawberry.ID] | UnsetType | None = optional_field("Created from one of these emails.")
    campaign: list[strawberry.ID] | UnsetType | None = optional_field(
        "Created from an email of one of these campaigns."
    )
    due_from: date | UnsetType | None = optional_field("Due on this day or later.")
    due_until: date | UnsetType | None = optional_field("Due on this day or earlier.")
    name: TextFilter | UnsetType | None = optional_field("A test of the name, ignoring case.")


@strawberry.input(description="How to sort tasks. Tasks with equal values are sorted by age in the same direction.")
class TaskOrder:
    field: TaskOrderField = strawberry.field(description="The property by which to sort.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="Whether to sort ascending or descending."
    )

    def to_order(self) -> Order:
        return tasks.make_order(self.field, self.direction)


TaskFilterArgument = Annotated[TaskFilterInput | UnsetType | None, described("Which tasks to return; if absent, all.")]
TaskOrderArgument = Annotated[
    TaskOrder | UnsetType | None, described("How to sort the tasks; if absent, by due date and then the urgent first.")
]


def resolve_task_order(order: TaskOrder | UnsetType | None) -> Order:
    """Return the requested order of tasks, by default by due date and priority.

    Of tasks that are due on the same day, the most urgent comes first.
    """
    value = value_or_none(order)
    return tasks.URGENT if value is None else value.to_order()
