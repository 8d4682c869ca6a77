"""Inputs of mutations, each of which knows the value an action takes."""

from datetime import date, datetime
from typing import Any

import strawberry

from command_center.search.datetimes import from_datetime
from resolvers.mutations import UNSET as UNCHANGED
from resolvers.mutations import (
    Edit,
    GroupSend,
    NewEmail,
    NewEvent,
    NewMemberTask,
    NewPerson,
    NewReport,
    NewTask,
    NewTemplate,
    Revision,
    SelectAndSend,
    TaskRevision,
)
from schema.enums import DeliveryKind, EngagementKind, EngagementVerdict, TaskKind, TaskPriority
from schema.field_helpers import UNSET, value_or_none
from schema.filters import EmailFilter


def micros(moment: datetime | None) -> int | None:
    """A moment as actions take it; None where it is absent or null."""
    value = value_or_none(moment)
    return None if value is None else from_datetime(value)


def _optional(description: str) -> Any:
    return strawberry.field(default=UNSET, description=description)


@strawberry.input(description="A new draft.")
class EmailDraftInput:
    person_id: strawberry.ID = strawberry.field(description="Whom it is to.")
    subject: str = strawberry.field(description="One line, dynamic fields included.")
    body: str = strawberry.field(default="", description="HTML or plain text, dynamic fields included.")
    cc: list[str] = strawberry.field(default_factory=list, description="Further addresses, shown to all.")
    bcc: list[str] = strawberry.field(default_factory=list, description="Further addresses, shown to nobody.")
    template_id: strawberry.ID | None = _optional("The template it was made from.")
    campaign_id: strawberry.ID | None = _optional("The campaign it is part of.")

    def value(self) -> NewEmail:
        return NewEmail(
            person_id=self.person_id,
            subject=self.subject,
            body=self.body,
            cc=self.cc,
            bcc=self.bcc,
            template_id=value_or_none(self.template_id),
            campaign_id=value_or_none(self.campaign_id),
        )


@strawberry.input(description="Changes to an email. Absent leaves a value as it is; null clears it.")
class EmailReviseInput:
    person_id: strawberry.ID | None = _optional("Whom it is to.")
    subject: str | None = _optional("One line.")
    body: str | None = _optional("HTML, or plain text.")
    cc: list[str] | None = _optional("Further addresses, shown to all.")
    bcc: list[str] | None = _optional("Further addresses, shown to nobody.")
    template_id: strawberry.ID | None = _optional("The template it was made from.")
    at: datetime | None = _optional("Moves a scheduled email to another moment to come.")

    def value(self) -> Revision:
        return Revision(
            **{
                name: UNCHANGED if value is UNSET else from_datetime(value) if isinstance(value, datetime) else value
                for name, value in vars(self).items()
            }
        )


@strawberry.input(description="What is said to one person instead. Absent leaves it as it is said to all.")
class PersonEdit:
    person_id: strawberry.ID = strawberry.field(description="Whom it is to: one of the `personIds`.")
    subject: str | None = _optional("One line.")
    body: str | None = _optional("HTML, or plain text.")

    def value(self) -> Edit:
        return Edit(self.person_id, value_or_none(self.subject), value_or_none(self.body))


@strawberry.input(description="A message to people chosen one by one, with what is said to some of them instead.")
class SelectAndSendInput:
    person_ids: list[strawberry.ID] = strawberry.field(description="Whom it is to; each gets one message.")
    subject: str = strawberry.field(description="One line, dynamic fields included.")
    body: str = strawberry.field(description="HTML or plain text, dynamic fields included.")
    template_id: strawberry.ID | None = _optional("The template it was made from.")
    campaign_id: strawberry.ID | None = _optional("The campaign it is part of.")
    at: datetime | None = _optional("A moment to come; absent, now.")
    edits: list[PersonEdit] = strawberry.field(default_factory=list, description="At most one for each person.")
    request_id: str | None = _optional("A name of the client's for this request; a repeat sends nothing again.")

    def value(self) -> SelectAndSend:
        return SelectAndSend(
            person_ids=self.person_ids,
            subject=self.subject,
            body=self.body,
            template_id=value_or_none(self.template_id),
            campaign_id=value_or_none(self.campaign_id),
            at=micros(self.at),
            edits=[edit.value() for edit in self.edits],
            request_id=value_or_none(self.request_id),
        )


@strawberry.input(description="A message to everyone who is in a group at the moment of asking.")
class GroupSendInput:
    group_id: strawberry.ID = strawberry.field(description="Whom it is to; each gets one message of their own.")
    subject: str = strawberry.field(description="One line, dynamic fields included.")
    body: str = strawberry.field(description="HTML or plain text, dynamic fields included.")
    template_id: strawberry.ID | None = _optional("The template it was made from.")
    campaign_id: strawberry.ID | None = _optional("The campaign it is part of.")
    at: datetime | None = _optional("A moment to come; absent, now.")
    request_id: str | None = _optional("A name of the client's for this request; a repeat sends nothing again.")

    def value(self) -> GroupSend:
        return GroupSend(
            group_id=self.group_id,
            subject=self.subject,
            body=self.body,
            template_id=value_or_none(self.template_id),
            campaign_id=value_or_none(self.campaign_id),
            at=micros(self.at),
            request_id=value_or_none(self.request_id),
        )


@strawberry.input(description="A new task.")
class TaskCreateInput:
    name: str = strawberry.field(description="What is to be done, in one line.")
    kind: TaskKind = strawberry.field(description="What kind of thing that is.")
    person_id: strawberry.ID = strawberry.field(description="Whom it is about.")
    due_on: date = strawberry.field(description="The day it is to be done by.")
    priority: TaskPriority = strawberry.field(default=TaskPriority.NORMAL, description="How urgent it is.")
    details: str = strawberry.field(default="", description="Whatever else there is to know.")
    assignee_id: strawberry.ID | None = _optional(
        "Who is to do it; absent, oneself. For a teammate the person must be shared."
    )
    email_id: strawberry.ID | None = _optional("The email it is made from, which must be to the same person.")

    def value(self) -> NewTask:
        return NewTask(
            name=self.name,
            kind=self.kind,
            person_id=self.person_id,
            due_on=self.due_on,
            priority=self.priority,
            details=self.details,
            assignee_id=value_or_none(self.assignee_id),
            email_id=value_or_none(self.email_id),
        )


@strawberry.input(description="Changes to a task. Absent leaves a value as it is; null clears the details alone.")
class TaskReviseInput:
    name: str | None = _optional("What is to be done, in one line.")
    kind: TaskKind | None = _optional("What kind of thing that is.")
    due_on: date | None = _optional("The day it is to be done by.")
    priority: TaskPriority | None = _optional("How urgent it is.")
    details: str | None = _optional("Whatever else there is to know.")
    assignee_id: strawberry.ID | None = _optional("Who is to do it. For a teammate the person must be shared.")

    def value(self) -> TaskRevision:
        return TaskRevision(**{name: UNCHANGED if value is UNSET else value for name, value in vars(self).items()})


@strawberry.input(description="A task for each member of a list, about its person and made from its email.")
class MemberTaskInput:
    name: str = strawberry.field(description="What is to be done, in one line.")
    kind: TaskKind = strawberry.field(description="What kind of thing that is.")
    due_on: date = strawberry.field(description="The day it is to be done by.")
    priority: TaskPriority = strawberry.field(default=TaskPriority.NORMAL, description="How urgent it is.")
    details: str = strawberry.field(default="", description="Whatever else there is to know.")

    def value(self) -> NewMemberTask:
        return NewMemberTask(self.name, self.kind, self.due_on, self.priority, self.details)


@strawberry.input(description="A new saved search.")
class SavedSearchCreateInput:
    name: str = strawberry.field(description="What to call it.")
    filter: EmailFilter = strawberry.field(description="What it holds.")
    shared: bool = strawberry.field(default=False, description="Whether to publish its definition to the team.")


@strawberry.input(description="A new person.")
class PersonInput:
    name: str = strawberry.field(description="First and last name.")
    first_name: str | None = _optional("The first name, if it is known.")
    address: str = strawberry.field(description="Where mail to them goes.")
    title: str | None = _optional("What they are at work.")
    company: str | None = _optional("Where they work.")
    phone: str | None = _optional("A number.")
    shared: bool = strawberry.field(default=True, description="Whether the team sees them too.")

    def value(self) -> NewPerson:
        return NewPerson(
            self.name,
            self.address,
            value_or_none(self.title),
            value_or_none(self.company),
            value_or_none(self.phone),
            self.shared,
            value_or_none(self.first_name),
        )


@strawberry.input(
    description="A new template. A dynamic field is written `{{first_name}}`, or with something for whom nothing is"
    ' known, `{{first_name | default: "there"}}`; there are first_name, last_name, title, company and my_name. Each'
    " email has its fields filled in for its person when it leaves."
)
class TemplateInput:
    name: str = strawberry.field(description="What to call it.")
    subject: str = strawberry.field(description="The subject, dynamic fields included.")
    body: str = strawberry.field(description="The body, dynamic fields included.")

    def value(self) -> NewTemplate:
        return NewTemplate(self.name, self.subject, self.body)


@strawberry.input(description="One event as an integration observed it.")
class EngagementInput:
    email_id: strawberry.ID = strawberry.field(description="The email it is about.")
    kind: EngagementKind = strawberry.field(description="What was done.")
    occurred_at: datetime = strawberry.field(description="When it happened; at most 5 minutes ahead.")
    dedupe_key: str = strawberry.field(description="Unique to the event within the team: a repeat is counted once.")
    verdict: EngagementVerdict | None = _optional("Who did it; absent, it is judged by the evidence below.")
    url: str | None = _optional("The link followed: required for a click, refused otherwise.")
    user_agent: str | None = _optional("Evidence: what the client called itself.")
    ip_address: str | None = _optional("Evidence: where the request came from.")

    def value(self) -> NewEvent:
        return NewEvent(
            email_id=self.email_id,
            kind=self.kind,
            occurred_at=from_datetime(self.occurred_at),
            dedupe_key=self.dedupe_key,
            verdict=value_or_none(self.verdict),
            url=value_or_none(self.url),
            user_agent=value_or_none(self.user_agent),
            ip_address=value_or_none(self.ip_address),
        )


@strawberry.input(description="One bounce or complaint.")
class DeliveryInput:
    email_id: strawberry.ID = strawberry.field(description="The email it is about.")
    kind: DeliveryKind = strawberry.field(description="What was reported.")
    message: str = strawberry.field(default="", description="The report, for people.")
    occurred_at: datetime = strawberry.field(description="When it happened; at most 5 minutes ahead.")
    dedupe_key: str = strawberry.field(description="Unique to the report within the team: a repeat is counted once.")

    def value(self) -> NewReport:
        return NewReport(self.email_id, self.kind, self.message, from_datetime(self.occurred_at), self.dedupe_key)
