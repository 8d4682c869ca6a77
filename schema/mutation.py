"""Defines the mutations. A mutation's name is the noun first, then the verb."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar

import strawberry

from command_center.errors import UserErrors
from resolvers import mutations
from schema.enums import EngagementVerdict
from schema.errors import run_action, run_action_with_notices
from schema.field_helpers import UNSET, Id, Ids, Info, as_field_type, described, value_or_none
from schema.filters import EmailFilter, raw_filter
from schema.inputs import (
    DeliveryInput,
    EmailDraftInput,
    EmailReviseInput,
    EngagementInput,
    GroupSendInput,
    MemberTaskInput,
    PersonInput,
    SavedSearchCreateInput,
    SelectAndSendInput,
    TaskCreateInput,
    TaskReviseInput,
    TemplateInput,
    micros,
)
from schema.payloads import (
    BulkSendPayload,
    CampaignPayload,
    DeletePayload,
    DeliveryRecordPayload,
    EmailPayload,
    EmailsPayload,
    EngagementRecordPayload,
    EngagementsPayload,
    GroupPayload,
    PersonPayload,
    SavedSearchPayload,
    TaskPayload,
    TasksPayload,
    TemplatePayload,
)

P = TypeVar("P")
ID = strawberry.ID

Name = Annotated[str, described("The name to give it.")]
Draft = Annotated[EmailDraftInput, described("The draft's content and its recipient.")]
Revision = Annotated[EmailReviseInput, described("The fields to change.")]
At = Annotated[datetime | None, described("A future time to send at; if absent, now.")]
RequestId = Annotated[
    str | None, described("An id that the client chooses for this request. A repeated request sends nothing again.")
]
Selection = Annotated[SelectAndSendInput, described("The texts and the recipients.")]
ToGroup = Annotated[GroupSendInput, described("The texts and the group of recipients.")]
IsSuccess = Annotated[bool, described("Whether to set the mark or to remove it.")]
NewTask = Annotated[TaskCreateInput, described("What to do, the person concerned and the due date.")]
TaskRevision = Annotated[TaskReviseInput, described("The fields to change.")]
MemberListId = Annotated[ID, described("One of the viewer's own lists.")]
MemberTask = Annotated[MemberTaskInput, described("What to do for each member, and the due date.")]
NewSearch = Annotated[SavedSearchCreateInput, described("The new list.")]
NewFilter = Annotated[EmailFilter, described("The new condition for membership.")]
IsPublished = Annotated[bool, described("Whether the team sees the definition.")]
OwnListId = Annotated[ID, described("One of the viewer's own lists.")]
SharedSearchId = Annotated[ID, described("The id of a published definition.")]
AdoptedName = Annotated[str | None, described("The name to give it; if absent, the published name.")]
NewPerson = Annotated[PersonInput, described("The person's name, address and further data.")]
IsShared = Annotated[bool, described("Whether the whole team sees it.")]
NewTemplate = Annotated[TemplateInput, described("The template's name and texts.")]
Events = Annotated[list[EngagementInput], described("The engagement events to record, in any order.")]
NewVerdict = Annotated[EngagementVerdict, described("Who really acted.")]
Reports = Annotated[list[DeliveryInput], described("The delivery reports to record, in any order.")]


async def _bulk_payload(payload: Callable[..., P], name: str, action: Awaitable[mutations.BulkRows]) -> P:
    result = await action
    return payload(**{name: result.rows}, user_errors=list(result.errors))


async def _group_payload(action: Awaitable[mutations.BulkRows]) -> GroupPayload:
    try:
        result = await action
    except UserErrors as exc:
        return as_field_type(GroupPayload(group=None, user_errors=as_field_type(list(exc.errors))))
    return as_field_type(
        GroupPayload(group=as_field_type(result.rows[0]), user_errors=as_field_type(list(result.errors)))
    )


@strawberry.type(
    description="The operations that change data. Validation errors are returned together in `userErrors`."
)
class Mutation:
    @strawberry.mutation(description="Creates a draft to one person.")
    async def email_draft(self, info: Info, input: Draft) -> EmailPayload:
        return await run_action_with_notices(EmailPayload, "email", mutations.email_draft(info.context, input.value()))

    @strawberry.mutation(description="Changes a draft or a scheduled email.")
    async def email_revise(
        self,
        info: Info,
        id: Id,
        input: Revision,
    ) -> EmailPayload:
        return await run_action_with_notices(
            EmailPayload, "email", mutations.email_revise(info.context, id, input.value())
        )

    @strawberry.mutation(
        description="Sends a draft now or at a future time. A repeated `requestId` returns the first result and sends"
        " nothing again."
    )
    async def email_send(
        self,
        info: Info,
        id: Id,
        at: At = UNSET,
        request_id: RequestId = UNSET,
    ) -> EmailPayload:
        action = mutations.email_send(info.context, id, micros(at), value_or_none(request_id))
        return await run_action(EmailPayload, "email", action)

    @strawberry.mutation(
        description="Sends an email to each of the selected people, now or at a future time. Either all emails are"
        " accepted or none. Later, an email that must not be sent fails without affecting the others. A"
        " repeated `requestId` returns the first result and sends nothing again."
    )
    async def email_select_and_send(self, info: Info, input: Selection) -> BulkSendPayload:
        action = mutations.email_send_to_many(info.context, input.value())
        return await run_action_with_notices(BulkSendPayload, "bulk_send", action)

    @strawberry.mutation(
        description="Sends an email to each person in a group, now or at a future time. Either all emails are"
        " accepted or none. Later, an email that must not be sent fails without affecting the others. A"
        " repeated `requestId` returns the first result and sends nothing again."
    )
    async def email_group_send(self, info: Info, input: ToGroup) -> BulkSendPayload:
        action = mutations.email_send_to_many(info.context, input.value())
        return await run_action_with_notices(BulkSendPayload, "bulk_send", action)

    @strawberry.mutation(description="Archives delivered emails, which stops their tracking.")
    async def email_archive(self, info: Info, ids: Ids) -> EmailsPayload:
        return await _bulk_payload(EmailsPayload, "emails", mutations.email_archive(info.context, ids))

    @strawberry.mutation(description="Takes emails out of the archive, which resumes their tracking.")
    async def email_unarchive(self, info: Info, ids: Ids) -> EmailsPayload:
        return await _bulk_payload(EmailsPayload, "emails", mutations.email_unarchive(info.context, ids))

    @strawberry.mutation(description="Marks delivered emails as a success, or removes the mark.")
    async def email_mark_success(
        self,
        info: Info,
        ids: Ids,
        success: IsSuccess = True,
    ) -> EmailsPayload:
        return await _bulk_payload(EmailsPayload, "emails", mutations.email_mark_success(info.context, ids, success))

    @strawberry.mutation(description="Sends undelivered emails again now.")
    async def email_retry_send(self, info: Info, ids: Ids) -> EmailsPayload:
        return await _bulk_payload(EmailsPayload, "emails", mutations.email_retry_send(info.context, ids))

    @strawberry.mutation(description="Deletes emails permanently. Emails of a campaign cannot be deleted.")
    async def email_delete(self, info: Info, ids: Ids) -> DeletePayload:
        return await _bulk_payload(DeletePayload, "deleted_ids", mutations.email_delete(info.context, ids))

    @strawberry.mutation(
        description="Creates a task for the viewer, or for a teammate if the person is shared with the team."
    )
    async def task_create(self, info: Info, input: NewTask) -> TaskPayload:
        return await run_action(TaskPayload, "task", mutations.task_create(info.context, input.value()))

    @strawberry.mutation(description="Changes a task or assigns it to another user.")
    async def task_revise(self, info: Info, id: Id, input: TaskRevision) -> TaskPayload:
        return await run_action(TaskPayload, "task", mutations.task_revise(info.context, id, input.value()))

    @strawberry.mutation(description="Completes tasks. A task that is complete already stays unchanged.")
    async def task_complete(self, info: Info, ids: Ids) -> TasksPayload:
        return await _bulk_payload(TasksPayload, "tasks", mutations.task_complete(info.context, ids))

    @strawberry.mutation(description="Opens tasks again. A task that is open already stays unchanged.")
    async def task_reopen(self, info: Info, ids: Ids) -> TasksPayload:
        return await _bulk_payload(TasksPayload, "tasks", mutations.task_reopen(info.context, ids))

    @strawberry.mutation(description="Deletes tasks permanently, for every user who saw them.")
    async def task_delete(self, info: Info, ids: Ids) -> DeletePayload:
        return await _bulk_payload(DeletePayload, "deleted_ids", mutations.task_delete(info.context, ids))

    @strawberry.mutation(
        description="Creates a task for the viewer for each member of a list. It skips members from whose email an"
        " open task of the same name exists already, so a repeated call creates only what is missing."
    )
    async def task_create_for_members(
        self, info: Info, saved_search_id: MemberListId, input: MemberTask
    ) -> TasksPayload:
        action = mutations.task_create_for_members(info.context, saved_search_id, input.value())
        return await run_action(TasksPayload, "tasks", action, [])

    @strawberry.mutation(description="Saves a search as a dynamic list.")
    async def saved_search_create(self, info: Info, input: NewSearch) -> SavedSearchPayload:
        action = mutations.saved_search_create(info.context, input.name, raw_filter(input.filter), input.shared)
        return await run_action(SavedSearchPayload, "saved_search", action)

    @strawberry.mutation(description="Changes the name of a list.")
    async def saved_search_rename(self, info: Info, id: Id, name: Name) -> SavedSearchPayload:
        return await run_action(
            SavedSearchPayload, "saved_search", mutations.saved_search_rename(info.context, id, name)
        )

    @strawberry.mutation(description="Changes the filter of a list. Its subscribers receive one SavedSearchReset.")
    async def saved_search_refine(
        self,
        info: Info,
        id: Id,
        filter: NewFilter,
    ) -> SavedSearchPayload:
        action = mutations.saved_search_refine(info.context, id, raw_filter(filter))
        return await run_action(SavedSearchPayload, "saved_search", action)

    @strawberry.mutation(description="Publishes the definition of a list to the team, or withdraws it.")
    async def saved_search_share(self, info: Info, id: Id, shared: IsPublished) -> SavedSearchPayload:
        return await run_action(
            SavedSearchPayload, "saved_search", mutations.saved_search_share(info.context, id, shared)
        )

    @strawberry.mutation(
        description="Creates a list of the viewer's, over the viewer's own mail, from a published definition."
    )
    async def saved_search_adopt(
        self,
        info: Info,
        shared_search_id: SharedSearchId,
        name: AdoptedName = UNSET,
    ) -> SavedSearchPayload:
        action = mutations.saved_search_adopt(info.context, shared_search_id, value_or_none(name))
        return await run_action(SavedSearchPayload, "saved_search", action)

    @strawberry.mutation(description="Deletes a list. Its emails are not deleted.")
    async def saved_search_delete(self, info: Info, id: Id) -> DeletePayload:
        return await run_action(DeletePayload, "deleted_ids", mutations.saved_search_delete(info.context, id), [])

    @strawberry.mutation(description="Adds a person.")
    async def person_create(self, info: Info, input: NewPerson) -> PersonPayload:
        return await run_action(PersonPayload, "person", mutations.person_create(info.context, input.value()))

    @strawberry.mutation(
        description="Unsubscribes a person, to whom nothing is sent any more. Scheduled emails to them become FAILED."
    )
    async def person_unsubscribe(self, info: Info, id: Id) -> PersonPayload:
        return await run_action(PersonPayload, "person", mutations.person_unsubscribe(info.context, id))

    @strawberry.mutation(description="Creates an empty group.")
    async def group_create(
        self,
        info: Info,
        name: Name,
        shared: IsShared = False,
    ) -> GroupPayload:
        return await run_action(GroupPayload, "group", mutations.group_create(info.context, name, shared))

    @strawberry.mutation(description="Adds people to a group that the viewer owns.")
    async def group_add_people(self, info: Info, id: Id, person_ids: Ids) -> GroupPayload:
        return await _group_payload(mutations.group_add_people(info.context, id, person_ids))

    @strawberry.mutation(description="Removes people from a group that the viewer owns.")
    async def group_remove_people(self, info: Info, id: Id, person_ids: Ids) -> GroupPayload:
        return await _group_payload(mutations.group_remove_people(info.context, id, person_ids))

    @strawberry.mutation(
        description="Adds the recipients of all emails in one of the viewer's lists to a group that the viewer owns."
    )
    async def group_add_members(self, info: Info, id: Id, saved_search_id: OwnListId) -> GroupPayload:
        return await run_action(GroupPayload, "group", mutations.group_add_members(info.context, id, saved_search_id))

    @strawberry.mutation(description="Starts a campaign.")
    async def campaign_create(self, info: Info, name: Name) -> CampaignPayload:
        return await run_action(CampaignPayload, "campaign", mutations.campaign_create(info.context, name))

    @strawberry.mutation(description="Ends a campaign. Its scheduled emails become FAILED.")
    async def campaign_end(self, info: Info, id: Id) -> CampaignPayload:
        return await run_action(CampaignPayload, "campaign", mutations.campaign_end(info.context, id))

    @strawberry.mutation(description="Creates a template for the team.")
    async def template_create(self, info: Info, input: NewTemplate) -> TemplatePayload:
        action = mutations.template_create(info.context, input.value())
        return await run_action_with_notices(TemplatePayload, "template", action)

    @strawberry.mutation(
        description="Records at most 1,000 engagement events that an integration observed. Requires a token with the"
        " scope `engagement:write`."
    )
    async def engagement_record(
        self,
        info: Info,
        events: Events,
    ) -> EngagementRecordPayload:
        result = await mutations.engagement_record(info.context, events, EngagementInput.value)
        return EngagementRecordPayload(
            recorded=result.recorded,
            duplicates=result.duplicates,
            ignored=result.ignored,
            user_errors=as_field_type(result.errors),
        )

    @strawberry.mutation(
        description="Changes the verdict of at most 1,000 events. Summaries and lists are updated, and later evidence"
        " does not change the verdict again. Requires a token with the scope `engagement:write`."
    )
    async def engagement_reclassify(self, info: Info, ids: Ids, verdict: NewVerdict) -> EngagementsPayload:
        action = mutations.engagement_reclassify(info.context, ids, verdict)
        return await _bulk_payload(EngagementsPayload, "engagements", action)

    @strawberry.mutation(
        description="Records at most 1,000 bounces and spam complaints. A SENT email becomes BOUNCED or SPAM."
        " Requires a token with the scope `engagement:write`."
    )
    async def delivery_record(
        self,
        info: Info,
        events: Reports,
    ) -> DeliveryRecordPayload:
        result = await mutations.delivery_record(info.context, [event.value() for event in events])
        return DeliveryRecordPayload(
            recorded=result.recorded, duplicates=result.duplicates, user_errors=as_field_type(result.errors)
        )
