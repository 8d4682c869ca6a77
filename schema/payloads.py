"""What mutations answer: the result, and what was wrong with the input."""

import strawberry

from schema.campaigns import BulkSend, Campaign, Template
from schema.emails import Email
from schema.engagements import Engagement
from schema.errors import Notice, UserErrorInterface
from schema.people import Group, Person
from schema.searches import SavedSearch
from schema.tasks import Task

_NOTICES = "What was saved and will not leave as it was written: one notice for each kind of thing."
_ERRORS = "Every mistake in the input, all at once; empty when all was done."


@strawberry.type(description="An email, or what was wrong.")
class EmailPayload:
    email: Email | None = strawberry.field(description="As it is now; null when it was refused.")
    user_errors: list[UserErrorInterface] = strawberry.field(description=_ERRORS)
    notices: list[Notice] = strawberry.field(default_factory=list, description=_NOTICES)


@strawberry.type(description="The emails of a bulk that could be done, and what was wrong with the others.")
class EmailsPayload:
    emails: list[Email] = strawberry.field(description="As they are now, in the order asked.")
    user_errors: list[UserErrorInterface] = strawberry.field(
        description="Each refused id by its place; the others were done."
    )


@strawberry.type(description="A bulk send that was accepted as a whole, or what was wrong: then nothing is sent.")
class BulkSendPayload:
    bulk_send: BulkSend | None = strawberry.field(description="With all its emails; null when it was refused.")
    user_errors: list[UserErrorInterface] = strawberry.field(description=_ERRORS)
    notices: list[Notice] = strawberry.field(default_factory=list, description=_NOTICES)


@strawberry.type(description="A task, or what was wrong.")
class TaskPayload:
    task: Task | None = strawberry.field(
        description="As it is now; null when it was refused, and when it was given away out of the viewer's sight."
    )
    user_errors: list[UserErrorInterface] = strawberry.field(description=_ERRORS)


@strawberry.type(description="The tasks of a bulk, and what was wrong.")
class TasksPayload:
    tasks: list[Task] = strawberry.field(description="As they are now, in the order asked, or that of the list.")
    user_errors: list[UserErrorInterface] = strawberry.field(
        description="Each refused id by its place; the others were done."
    )


@strawberry.type(description="A saved search, or what was wrong.")
class SavedSearchPayload:
    saved_search: SavedSearch | None = strawberry.field(description="As it is now; null when it was refused.")
    user_errors: list[UserErrorInterface] = strawberry.field(description=_ERRORS)


@strawberry.type(description="A person, or what was wrong.")
class PersonPayload:
    person: Person | None = strawberry.field(description="As they are now; null when it was refused.")
    user_errors: list[UserErrorInterface] = strawberry.field(description=_ERRORS)


@strawberry.type(description="A group, or what was wrong.")
class GroupPayload:
    group: Group | None = strawberry.field(description="As it is now; null when it was refused.")
    user_errors: list[UserErrorInterface] = strawberry.field(
        description="Each refused id by its place; the others were done."
    )


@strawberry.type(description="A campaign, or what was wrong.")
class CampaignPayload:
    campaign: Campaign | None = strawberry.field(description="As it is now; null when it was refused.")
    user_errors: list[UserErrorInterface] = strawberry.field(description=_ERRORS)


@strawberry.type(description="A template, or what was wrong.")
class TemplatePayload:
    template: Template | None = strawberry.field(description="As it is now; null when it was refused.")
    user_errors: list[UserErrorInterface] = strawberry.field(description=_ERRORS)
    notices: list[Notice] = strawberry.field(default_factory=list, description=_NOTICES)


@strawberry.type(description="What was deleted, and what was not.")
class DeletePayload:
    deleted_ids: list[strawberry.ID] = strawberry.field(description="The ids that are no more.")
    user_errors: list[UserErrorInterface] = strawberry.field(
        description="Each refused id by its place; the others were done."
    )


@strawberry.type(description="What became of a batch of events.")
class EngagementRecordPayload:
    recorded: int = strawberry.field(description="New events.")
    duplicates: int = strawberry.field(description="Events whose dedupeKey was known already.")
    ignored: int = strawberry.field(description="Views and clicks of archived emails.")
    user_errors: list[UserErrorInterface] = strawberry.field(description="Each refused event by its place.")


@strawberry.type(description="The events of a bulk whose verdict is as asked, and what was wrong with the others.")
class EngagementsPayload:
    engagements: list[Engagement] = strawberry.field(description="As they are now, in the order asked.")
    user_errors: list[UserErrorInterface] = strawberry.field(
        description="Each refused id by its place; the others were done."
    )


@strawberry.type(description="What became of a batch of delivery reports.")
class DeliveryRecordPayload:
    recorded: int = strawberry.field(description="New reports.")
    duplicates: int = strawberry.field(description="Reports whose dedupeKey was known already.")
    user_errors: list[UserErrorInterface] = strawberry.field(description="Each refused report by its place.")
