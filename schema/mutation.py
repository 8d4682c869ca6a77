"""The root of writing: the noun first, then the deed."""

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

Name = Annotated[str, described("What to call it.")]
Draft = Annotated[EmailDraftInput, described("What to write, and to whom.")]
Revision = Annotated[EmailReviseInput, described("What to change.")]
At = Annotated[datetime | None, described("A moment to come; absent, now.")]
RequestId = Annotated[str | None, described("A name of the client's for this request; a repeat sends nothing again.")]
Selection = Annotated[SelectAndSendInput, described("What to say, and to whom.")]
ToGroup = Annotated[GroupSendInput, described("What to say, and to which group.")]
IsSuccess = Annotated[bool, described("Whether they are one.")]
NewTask = Annotated[TaskCreateInput, described("What is to be done, about whom, and by when.")]
TaskRevision = Annotated[TaskReviseInput, described("What to change.")]
MemberListId = Annotated[ID, described("Which list, of the viewer's own.")]
MemberTask = Annotated[MemberTaskInput, described("What is to be done about each of them, and by when.")]
NewSearch = Annotated[SavedSearchCreateInput, described("The list.")]
NewFilter = Annotated[EmailFilter, described("What it is to hold.")]
IsPublished = Annotated[bool, described("Whether it is published.")]
OwnListId = Annotated[ID, described("Which of one's own lists.")]
SharedSearchId = Annotated[ID, described("Which definition.")]
AdoptedName = Annotated[str | None, described("What to call it; absent, as it was published.")]
NewPerson = Annotated[PersonInput, described("Who it is, and where mail reaches them.")]
IsShared = Annotated[bool, described("Whether the team sees it too.")]
NewTemplate = Annotated[TemplateInput, described("What it is called, and the text.")]
Events = Annotated[list[EngagementInput], described("The events, in any order.")]
NewVerdict = Annotated[EngagementVerdict, described("Who acted in truth.")]
Reports = Annotated[list[DeliveryInput], described("The reports, in any order.")]


async def _bulk(payload: Callable[..., P], name: str, action: Awaitable[mutations.BulkRows]) -> P:
    result = await action
    return payload(**{name: result.rows}, user_errors=list(result.problems))


async def _group(action: Awaitable[mutations.BulkRows]) -> GroupPayload:
    try:
        result = await action
    except UserErrors as exc:
        return as_field_type(GroupPayload(group=None, user_errors=as_field_type(list(exc.problems))))
    return as_field_type(
        GroupPayload(group=as_field_type(result.rows[0]), user_errors=as_field_type(list(result.problems)))
    )


@strawberry.type(description="What can be changed. Mistakes of meaning come back as userErrors, all at once.")
class Mutation:
    @strawberry.mutation(description="Writes a draft to one person.")
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
        description="Sends a draft now, or at a moment to come. A repeated `requestId` is answered with the first"
        " result and sends nothing again."
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
        description="Sends a message of their own to each of the people chosen, now or at a moment to come. All are"
        " accepted or none; an email that may not leave fails alone. A repeated `requestId` is answered with the first"
        " result and sends nothing again."
    )
    async def email_select_and_send(self, info: Info, input: Selection) -> BulkSendPayload:
        action = mutations.email_send_to_many(info.context, input.value())
        return await run_action_with_notices(BulkSendPayload, "bulk_send", action)

    @strawberry.mutation(
        description="Sends a message of their own to everyone in a group, now or at a moment to come. All are accepted"
        " or none; an email that may not leave fails alone. A repeated `requestId` is answered with the first result"
        " and sends nothing again."
    )
    async def email_group_send(self, info: Info, input: ToGroup) -> BulkSendPayload:
        action = mutations.email_send_to_many(info.context, input.value())
        return await run_action_with_notices(BulkSendPayload, "bulk_send", action)

    @strawberry.mutation(description="Archives delivered emails, which switches their tracking off.")
    async def email_archive(self, info: Info, ids: Ids) -> EmailsPayload:
        return await _bulk(EmailsPayload, "emails", mutations.email_archive(info.context, ids))

    @strawberry.mutation(description="Takes emails out of the archive, which switches their tracking on.")
    async def email_unarchive(self, info: Info, ids: Ids) -> EmailsPayload:
        return await _bulk(EmailsPayload, "emails", mutations.email_unarchive(info.context, ids))

    @strawberry.mutation(description="Marks delivered emails as a success, or takes the mark back.")
    async def email_mark_success(
        self,
        info: Info,
        ids: Ids,
        success: IsSuccess = True,
    ) -> EmailsPayload:
        return await _bulk(EmailsPayload, "emails", mutations.email_mark_success(info.context, ids, success))

    @strawberry.mutation(description="Sends undelivered emails again, at once.")
    async def email_retry_send(self, info: Info, ids: Ids) -> EmailsPayload:
        return await _bulk(EmailsPayload, "emails", mutations.email_retry_send(info.context, ids))

    @strawberry.mutation(description="Deletes emails for good; those of a campaign never.")
    async def email_delete(self, info: Info, ids: Ids) -> DeletePayload:
        return await _bulk(DeletePayload, "deleted_ids", mutations.email_delete(info.context, ids))

    @strawberry.mutation(description="Makes a task: one's own, or for a teammate about a person shared with the team.")
    async def task_create(self, info: Info, input: NewTask) -> TaskPayload:
        return await run_action(TaskPayload, "task", mutations.task_create(info.context, input.value()))

    @strawberry.mutation(description="Changes a task, or gives it to somebody else.")
    async def task_revise(self, info: Info, id: Id, input: TaskRevision) -> TaskPayload:
        return await run_action(TaskPayload, "task", mutations.task_revise(info.context, id, input.value()))

    @strawberry.mutation(description="Completes tasks; one that is complete already stays as it is.")
    async def task_complete(self, info: Info, ids: Ids) -> TasksPayload:
        return await _bulk(TasksPayload, "tasks", mutations.task_complete(info.context, ids))

    @strawberry.mutation(description="Opens tasks again; one that is open already stays as it is.")
    async def task_reopen(self, info: Info, ids: Ids) -> TasksPayload:
        return await _bulk(TasksPayload, "tasks", mutations.task_reopen(info.context, ids))

    @strawberry.mutation(description="Deletes tasks for good, for everyone who saw them.")
    async def task_delete(self, info: Info, ids: Ids) -> DeletePayload:
        return await _bulk(DeletePayload, "deleted_ids", mutations.task_delete(info.context, ids))

    @strawberry.mutation(
        description="Makes a task of one's own for each member of a list, unless an open one of that name was made from"
        " the member's email before. Asking again makes only what is missing."
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

    @strawberry.mutation(description="Gives a list another name.")
    async def saved_search_rename(self, info: Info, id: Id, name: Name) -> SavedSearchPayload:
        return await run_action(
            SavedSearchPayload, "saved_search", mutations.saved_search_rename(info.context, id, name)
        )

    @strawberry.mutation(description="Gives a list another filter. Its followers get one SavedSearchReset.")
    async def saved_search_refine(
        self,
        info: Info,
        id: Id,
        filter: NewFilter,
    ) -> SavedSearchPayload:
        action = mutations.saved_search_refine(info.context, id, raw_filter(filter))
        return await run_action(SavedSearchPayload, "saved_search", action)

    @strawberry.mutation(description="Publishes a list's definition to the team, or withdraws it.")
    async def saved_search_share(self, info: Info, id: Id, shared: IsPublished) -> SavedSearchPayload:
        return await run_action(
            SavedSearchPayload, "saved_search", mutations.saved_search_share(info.context, id, shared)
        )

    @strawberry.mutation(description="Makes a list of one's own, over one's own mail, from a published definition.")
    async def saved_search_adopt(
        self,
        info: Info,
        shared_search_id: SharedSearchId,
        name: AdoptedName = UNSET,
    ) -> SavedSearchPayload:
        action = mutations.saved_search_adopt(info.context, shared_search_id, value_or_none(name))
        return await run_action(SavedSearchPayload, "saved_search", action)

    @strawberry.mutation(description="Deletes a list; its emails stay.")
    async def saved_search_delete(self, info: Info, id: Id) -> DeletePayload:
        return await run_action(DeletePayload, "deleted_ids", mutations.saved_search_delete(info.context, id), [])

    @strawberry.mutation(description="Adds a person.")
    async def person_create(self, info: Info, input: NewPerson) -> PersonPayload:
        return await run_action(PersonPayload, "person", mutations.person_create(info.context, input.value()))

    @strawberry.mutation(description="Nothing is sent to the person any more; scheduled emails to them become FAILED.")
    async def person_unsubscribe(self, info: Info, id: Id) -> PersonPayload:
        return await run_action(PersonPayload, "person", mutations.person_unsubscribe(info.context, id))

    @strawberry.mutation(description="Makes an empty group.")
    async def group_create(
        self,
        info: Info,
        name: Name,
        shared: IsShared = False,
    ) -> GroupPayload:
        return await run_action(GroupPayload, "group", mutations.group_create(info.context, name, shared))

    @strawberry.mutation(description="Puts people into one's own group.")
    async def group_add_people(self, info: Info, id: Id, person_ids: Ids) -> GroupPayload:
        return await _group(mutations.group_add_people(info.context, id, person_ids))

    @strawberry.mutation(description="Takes people out of one's own group.")
    async def group_remove_people(self, info: Info, id: Id, person_ids: Ids) -> GroupPayload:
        return await _group(mutations.group_remove_people(info.context, id, person_ids))

    @strawberry.mutation(description="Puts everyone into one's own group to whom one's own list holds an email.")
    async def group_add_members(self, info: Info, id: Id, saved_search_id: OwnListId) -> GroupPayload:
        return await run_action(GroupPayload, "group", mutations.group_add_members(info.context, id, saved_search_id))

    @strawberry.mutation(description="Begins a campaign.")
    async def campaign_create(self, info: Info, name: Name) -> CampaignPayload:
        return await run_action(CampaignPayload, "campaign", mutations.campaign_create(info.context, name))

    @strawberry.mutation(description="Ends a campaign; its scheduled emails become FAILED.")
    async def campaign_end(self, info: Info, id: Id) -> CampaignPayload:
        return await run_action(CampaignPayload, "campaign", mutations.campaign_end(info.context, id))

    @strawberry.mutation(description="Adds a template for the team.")
    async def template_create(self, info: Info, input: NewTemplate) -> TemplatePayload:
        action = mutations.template_create(info.context, input.value())
        return await run_action_with_notices(TemplatePayload, "template", action)

    @strawberry.mutation(
        description="Records events that an integration observed, at most 1,000. Needs a token with the scope"
        " `engagement:write`."
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
            user_errors=as_field_type(result.problems),
        )

    @strawberry.mutation(
        description="Revises the verdict on events, at most 1,000; summaries and lists follow, and no evidence revises"
        " it again. Needs a token with the scope `engagement:write`."
    )
    async def engagement_reclassify(self, info: Info, ids: Ids, verdict: NewVerdict) -> EngagementsPayload:
        action = mutations.engagement_reclassify(info.context, ids, verdict)
        return await _bulk(EngagementsPayload, "engagements", action)

    @strawberry.mutation(
        description="Records bounces and complaints, at most 1,000: a SENT email becomes BOUNCED or SPAM. Needs a token"
        " with the scope `engagement:write`."
    )
    async def delivery_record(
        self,
        info: Info,
        events: Reports,
    ) -> DeliveryRecordPayload:
        result = await mutations.delivery_record(info.context, [event.value() for event in events])
        return DeliveryRecordPayload(
            recorded=result.recorded, duplicates=result.duplicates, user_errors=as_field_type(result.problems)
        )
