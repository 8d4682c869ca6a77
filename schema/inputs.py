"""Defines the inputs of mutations, and converts them to the inputs of actions."""

from datetime import date, datetime
from typing import TypeVar

import strawberry
from strawberry.types.unset import UnsetType

from command_center.actions import inputs
from command_center.actions.bulk_sends import Edit, GroupSend, SelectAndSend
from command_center.actions.deliveries import NewReport
from command_center.actions.emails import NewEmail, Revision
from command_center.actions.engagement_requests import NewEvent
from command_center.actions.inputs import Unset
from command_center.actions.member_tasks import NewMemberTask
from command_center.actions.people import NewPerson
from command_center.actions.tasks import NewTask, TaskRevision
from command_center.actions.templates import NewTemplate
from command_center.search.datetimes import from_datetime
from schema.enums import DeliveryKind, EngagementKind, EngagementVerdict, TaskKind, TaskPriority
from schema.field_helpers import optional_field, value_or_none
from schema.filters import EmailFilter

T = TypeVar("T")


def to_micros(moment: datetime | UnsetType | None) -> int | None:
    """Return a moment in microseconds, or None if it is absent or null."""
    value = value_or_none(moment)
    return None if value is None else from_datetime(value)


def _or_unset(value: T | UnsetType) -> T | Unset:
    """Return an input's value, or the `UNSET` of `actions.inputs` if it is absent."""
    return inputs.UNSET if isinstance(value, UnsetType) else value


@strawberry.input(description="A new draft.")
class EmailDraftInput:
    person_id: strawberry.ID = strawberry.field(description="The person who receives it.")
    subject: str = strawberry.field(description="The subject, a single line that may contain dynamic fields.")
    body: str = strawberry.field(
        default="", description="The body as HTML or plain text; it may contain dynamic fields."
    )
    cc: list[str] = strawberry.field(default_factory=list, description="Further addresses, visible to every recipient.")
    bcc: list[str] = strawberry.field(
        default_factory=list, description="Further addresses, hidden from every other recipient."
    )
    template_id: strawberry.ID | UnsetType | None = optional_field("The template from which it was created.")
    campaign_id: strawberry.ID | UnsetType | None = optional_field("The campaign to which it belongs.")

    def to_action_input(self) -> NewEmail:
        return NewEmail(
            person_id=self.person_id,
            subject=self.subject,
            body=self.body,
            cc=self.cc,
            bcc=self.bcc,
            template_id=value_or_none(self.template_id),
            campaign_id=value_or_none(self.campaign_id),
        )


@strawberry.input(description="Changes to an email. An absent field keeps its value; null clears it.")
class EmailReviseInput:
    person_id: strawberry.ID | UnsetType | None = optional_field("The person who receives it.")
    subject: str | UnsetType | None = optional_field("The subject, a single line.")
    body: str | UnsetType | None = optional_field("The body as HTML or plain text.")
    cc: list[str] | UnsetType | None = optional_field("Further addresses, visible to every recipient.")
    bcc: list[str] | UnsetType | None = optional_field("Further addresses, hidden from every other recipient.")
    template_id: strawberry.ID | UnsetType | None = optional_field("The template from which it was created.")
    at: datetime | UnsetType | None = optional_field("A future time to which a scheduled email is moved.")

    def to_action_input(self) -> Revision:
        return Revision(
            person_id=_or_unset(self.person_id),
            subject=_or_unset(self.subject),
            body=_or_unset(self.body),
            cc=_or_unset(self.cc),
            bcc=_or_unset(self.bcc),
            template_id=_or_unset(self.template_id),
            at=inputs.UNSET if isinstance(self.at, UnsetType) else to_micros(self.at),
        )


@strawberry.input(
    description="A text for one person instead of the common text. An absent field keeps the common text."
)
class PersonEdit:
    person_id: strawberry.ID = strawberry.field(
        description="The person for whom the text is meant; one of the `personIds`."
    )
    subject: str | UnsetType | None = optional_field("The subject, a single line.")
    body: str | UnsetType | None = optional_field("The body as HTML or plain text.")

    def to_action_input(self) -> Edit:
        return Edit(self.person_id, value_or_none(self.subject), value_or_none(self.body))


@strawberry.input(description="An email to selected people, optionally with different texts for some of them.")
class SelectAndSendInput:
    person_ids: list[strawberry.ID] = strawberry.field(description="The recipients; each of them gets their own email.")
    subject: str = strawberry.field(description="The subject, a single line that may contain dynamic fields.")
    body: str = strawberry.field(description="The body as HTML or plain text; it may contain dynamic fields.")
    template_id: strawberry.ID | UnsetType | None = optional_field("The template from which it was created.")
    campaign_id: strawberry.ID | UnsetType | None = optional_field("The campaign to which it belongs.")
    at: datetime | UnsetType | None = optional_field("A future time to send at; if absent, now.")
    edits: list[PersonEdit] = strawberry.field(
        default_factory=list, description="Different texts for some people; at most one for each person."
    )
    request_id: str | UnsetType | None = optional_field(
        "An id that the client chooses for this request. A repeated request sends nothing again."
    )

    def to_action_input(self) -> SelectAndSend:
        return SelectAndSend(
            person_ids=self.person_ids,
            subject=self.subject,
            body=self.body,
            template_id=value_or_none(self.template_id),
            campaign_id=value_or_none(self.campaign_id),
            at=to_micros(self.at),
            edits=[edit.to_action_input() for edit in self.edits],
            request_id=value_or_none(self.request_id),
        )


@strawberry.input(description="An email to each person who is in a group when the request arrives.")
class GroupSendInput:
    group_id: strawberry.ID = strawberry.field(
        description="The group of recipients; each of them gets their own email."
    )
    subject: str = strawberry.field(description="The subject, a single line that may contain dynamic fields.")
    body: str = strawberry.field(description="The body as HTML or plain text; it may contain dynamic fields.")
    template_id: strawberry.ID | UnsetType | None = optional_field("The template from which it was created.")
    campaign_id: strawberry.ID | UnsetType | None = optional_field("The campaign to which it belongs.")
    at: datetime | UnsetType | None = optional_field("A future time to send at; if absent, now.")
    request_id: str | UnsetType | None = optional_field(
        "An id that the client chooses for this request. A repeated request sends nothing again."
    )

    def to_action_input(self) -> GroupSend:
        return GroupSend(
            group_id=self.group_id,
            subject=self.subject,
            body=self.body,
            template_id=value_or_none(self.template_id),
            campaign_id=value_or_none(self.campaign_id),
            at=to_micros(self.at),
            request_id=value_or_none(self.request_id),
        )


@strawberry.input(description="A new task.")
class TaskCreateInput:
    name: str = strawberry.field(description="What to do, in one line.")
    kind: TaskKind = strawberry.field(description="The kind of work.")
    person_id: strawberry.ID = strawberry.field(description="The person concerned.")
    due_on: date = strawberry.field(description="The day on which it is due.")
    priority: TaskPriority = strawberry.field(default=TaskPriority.NORMAL, description="How urgent it is.")
    details: str = strawberry.field(default="", description="Further information.")
    assignee_id: strawberry.ID | UnsetType | None = optional_field(
        "The user who should do it; if absent, the viewer. For a teammate the person must be shared."
    )
    email_id: strawberry.ID | UnsetType | None = optional_field(
        "The email from which it is created; its recipient must be the same person."
    )

    def to_action_input(self) -> NewTask:
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


@strawberry.input(
    description="Changes to a task. An absent field keeps its value; null clears `details` and no other field."
)
class TaskReviseInput:
    name: str | UnsetType | None = optional_field("What to do, in one line.")
    kind: TaskKind | UnsetType | None = optional_field("The kind of work.")
    due_on: date | UnsetType | None = optional_field("The day on which it is due.")
    priority: TaskPriority | UnsetType | None = optional_field("How urgent it is.")
    details: str | UnsetType | None = optional_field("Further information.")
    assignee_id: strawberry.ID | UnsetType | None = optional_field(
        "The user who should do it. For a teammate the person must be shared."
    )

    def to_action_input(self) -> TaskRevision:
        return TaskRevision(
            name=_or_unset(self.name),
            kind=_or_unset(self.kind),
            due_on=_or_unset(self.due_on),
            priority=_or_unset(self.priority),
            details=_or_unset(self.details),
            assignee_id=_or_unset(self.assignee_id),
        )


@strawberry.input(
    description="A task for each member of a list. It concerns the member's person and refers to the member's email."
)
class MemberTaskInput:
    name: str = strawberry.field(description="What to do, in one line.")
    kind: TaskKind = strawberry.field(description="The kind of work.")
    due_on: date = strawberry.field(description="The day on which it is due.")
    priority: TaskPriority = strawberry.field(default=TaskPriority.NORMAL, description="How urgent it is.")
    details: str = strawberry.field(default="", description="Further information.")

    def to_action_input(self) -> NewMemberTask:
        return NewMemberTask(self.name, self.kind, self.due_on, self.priority, self.details)


@strawberry.input(description="A new saved search.")
class SavedSearchCreateInput:
    name: str = strawberry.field(description="The name to give it.")
    filter: EmailFilter = strawberry.field(description="The condition that decides which emails are members.")
    shared: bool = strawberry.field(default=False, description="Whether to publish the definition to the team.")


@strawberry.input(description="A new person.")
class PersonInput:
    name: str = strawberry.field(description="First and last name.")
    first_name: str | UnsetType | None = optional_field("The given name, if it is known.")
    address: str = strawberry.field(description="The email address.")
    title: str | UnsetType | None = optional_field("Their position at work.")
    company: str | UnsetType | None = optional_field("The organization they work for.")
    phone: str | UnsetType | None = optional_field("A telephone number.")
    shared: bool = strawberry.field(default=True, description="Whether the whole team sees the person.")

    def to_action_input(self) -> NewPerson:
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
    description="A new template. A dynamic field is written `{{first_name}}`, or with a default value"
    ' `{{first_name | default: "there"}}`. The fields are first_name, last_name, title, company and'
    " my_name. The server fills them in for each person when it sends an email."
)
class TemplateInput:
    name: str = strawberry.field(description="The name to give it.")
    subject: str = strawberry.field(description="The subject; it may contain dynamic fields.")
    body: str = strawberry.field(description="The body; it may contain dynamic fields.")

    def to_action_input(self) -> NewTemplate:
        return NewTemplate(self.name, self.subject, self.body)


@strawberry.input(description="One engagement event that an integration observed.")
class EngagementInput:
    email_id: strawberry.ID = strawberry.field(description="The email concerned.")
    kind: EngagementKind = strawberry.field(description="Whether it is a view, a click or a reply.")
    occurred_at: datetime = strawberry.field(description="When it happened; at most 5 minutes in the future.")
    dedupe_key: str = strawberry.field(
        description="A key that identifies the event within the team. An event sent twice is counted once."
    )
    verdict: EngagementVerdict | UnsetType | None = optional_field(
        "Who acted. If absent, the server decides by the evidence in `userAgent` and `ipAddress`."
    )
    url: str | UnsetType | None = optional_field(
        "The link that was followed; required for a click and rejected otherwise."
    )
    user_agent: str | UnsetType | None = optional_field("Evidence: the User-Agent header of the request.")
    ip_address: str | UnsetType | None = optional_field("Evidence: the address from which the request came.")

    def to_action_input(self) -> NewEvent:
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


@strawberry.input(description="A report of one bounce or one spam complaint.")
class DeliveryInput:
    email_id: strawberry.ID = strawberry.field(description="The email concerned.")
    kind: DeliveryKind = strawberry.field(description="Whether it is a bounce or a spam complaint.")
    message: str = strawberry.field(default="", description="The report as a text for people.")
    occurred_at: datetime = strawberry.field(description="When it happened; at most 5 minutes in the future.")
    dedupe_key: str = strawberry.field(
        description="A key that identifies the report within the team. A report sent twice is counted once."
    )

    def to_action_input(self) -> NewReport:
        return NewReport(self.email_id, self.kind, self.message, from_datetime(self.occurred_at), self.dedupe_key)
