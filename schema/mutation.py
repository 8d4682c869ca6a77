"""Defines the mutations. A mutation's name is the noun first, then the verb."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry.types.unset import UnsetType

from command_center import ids as global_ids
from command_center.actions import bulk_sends, campaigns, emails, member_tasks, people, searches, tasks, templates
from command_center.errors import InputPath
from models.emails import Email
from models.tasks import Task
from resolvers.loaders import load_rows_in_order
from resolvers.mutations import (
    add_notices,
    encode_deleted_ids,
    load_changed_rows,
    reclassify_engagements,
    record_deliveries,
    record_engagements,
)
from schema.enums import EngagementVerdict
from schema.errors import run_action, run_action_with_notices
from schema.field_helpers import UNSET, Id, Ids, Info, described, value_or_none
from schema.filters import EmailFilter, to_raw_filter
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
    to_micros,
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

_BODY: InputPath = ("input", "body")
_EDITS: InputPath = ("input", "edits")

Name = Annotated[str, described("The name to give it.")]
DraftArgument = Annotated[EmailDraftInput, described("The draft's content and its recipient.")]
EmailRevisionArgument = Annotated[EmailReviseInput, described("The fields to change.")]
At = Annotated[datetime | UnsetType | None, described("A future time to send at; if absent, now.")]
RequestId = Annotated[
    str | UnsetType | None,
    described("An id that the client chooses for this request. A repeated request sends nothing again."),
]
SelectionArgument = Annotated[SelectAndSendInput, described("The texts and the recipients.")]
GroupSendArgument = Annotated[GroupSendInput, described("The texts and the group of recipients.")]
IsSuccess = Annotated[bool, described("Whether to set the mark or to remove it.")]
NewTaskArgument = Annotated[TaskCreateInput, described("What to do, the person concerned and the due date.")]
TaskRevisionArgument = Annotated[TaskReviseInput, described("The fields to change.")]
MemberListId = Annotated[strawberry.ID, described("One of the viewer's own lists.")]
MemberTaskArgument = Annotated[MemberTaskInput, described("What to do for each member, and the due date.")]
NewSearchArgument = Annotated[SavedSearchCreateInput, described("The new list.")]
NewFilterArgument = Annotated[EmailFilter, described("The new condition for membership.")]
IsPublished = Annotated[bool, described("Whether the team sees the definition.")]
OwnListId = Annotated[strawberry.ID, described("One of the viewer's own lists.")]
SharedSearchId = Annotated[strawberry.ID, described("The id of a published definition.")]
AdoptedName = Annotated[str | UnsetType | None, described("The name to give it; if absent, the published name.")]
NewPersonArgument = Annotated[PersonInput, described("The person's name, address and further data.")]
IsShared = Annotated[bool, described("Whether the whole team sees it.")]
NewTemplateArgument = Annotated[TemplateInput, described("The template's name and texts.")]
EventsArgument = Annotated[list[EngagementInput], described("The engagement events to record, in any order.")]
NewVerdict = Annotated[EngagementVerdict, described("Who really acted.")]
ReportsArgument = Annotated[list[DeliveryInput], described("The delivery reports to record, in any order.")]


@strawberry.type(
    description="The operations that change data. Validation errors are returned together in `userErrors`."
)
class Mutation:
    @strawberry.mutation(description="Creates a draft to one person.")
    async def email_draft(self, info: Info, input: DraftArgument) -> EmailPayload:
        context = info.context
        action = emails.draft(context.ctx, context.viewer, input.to_action_input())
        email, notices, errors = await run_action_with_notices(add_notices(context, action, [(_BODY, input.body)]))
        return EmailPayload(email=email, notices=notices, user_errors=errors)

    @strawberry.mutation(description="Changes a draft or a scheduled email.")
    async def email_revise(
        self,
        info: Info,
        id: Id,
        input: EmailRevisionArgument,
    ) -> EmailPayload:
        context = info.context
        action = emails.revise(context.ctx, context.viewer, id, input.to_action_input())
        body = value_or_none(input.body)
        email, notices, errors = await run_action_with_notices(add_notices(context, action, [(_BODY, body or "")]))
        return EmailPayload(email=email, notices=notices, user_errors=errors)

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
        context = info.context
        email, errors = await run_action(
            emails.send(context.ctx, context.viewer, id, to_micros(at), value_or_none(request_id))
        )
        return EmailPayload(email=email, user_errors=errors)

    @strawberry.mutation(
        description="Sends an email to each of the selected people, now or at a future time. Either all emails are"
        " accepted or none. Later, an email that must not be sent fails without affecting the others. A"
        " repeated `requestId` returns the first result and sends nothing again."
    )
    async def email_select_and_send(self, info: Info, input: SelectionArgument) -> BulkSendPayload:
        context = info.context
        send = input.to_action_input()
        texts = [
            ((*_EDITS, str(index), "body"), edit.body) for index, edit in enumerate(send.edits) if edit.body is not None
        ]
        action = bulk_sends.send(context.ctx, context.viewer, send)
        bulk_send, notices, errors = await run_action_with_notices(
            add_notices(context, action, [(_BODY, send.body), *texts])
        )
        return BulkSendPayload(bulk_send=bulk_send, notices=notices, user_errors=errors)

    @strawberry.mutation(
        description="Sends an email to each person in a group, now or at a future time. Either all emails are"
        " accepted or none. Later, an email that must not be sent fails without affecting the others. A"
        " repeated `requestId` returns the first result and sends nothing again."
    )
    async def email_group_send(self, info: Info, input: GroupSendArgument) -> BulkSendPayload:
        context = info.context
        action = bulk_sends.send(context.ctx, context.viewer, input.to_action_input())
        bulk_send, notices, errors = await run_action_with_notices(add_notices(context, action, [(_BODY, input.body)]))
        return BulkSendPayload(bulk_send=bulk_send, notices=notices, user_errors=errors)

    @strawberry.mutation(description="Archives delivered emails, which stops their tracking.")
    async def email_archive(self, info: Info, ids: Ids) -> EmailsPayload:
        context = info.context
        result = await load_changed_rows(Email, emails.archive(context.ctx, context.viewer, ids))
        return EmailsPayload(emails=result.rows, user_errors=list(result.errors))

    @strawberry.mutation(description="Takes emails out of the archive, which resumes their tracking.")
    async def email_unarchive(self, info: Info, ids: Ids) -> EmailsPayload:
        context = info.context
        result = await load_changed_rows(Email, emails.unarchive(context.ctx, context.viewer, ids))
        return EmailsPayload(emails=result.rows, user_errors=list(result.errors))

    @strawberry.mutation(description="Marks delivered emails as a success, or removes the mark.")
    async def email_mark_success(
        self,
        info: Info,
        ids: Ids,
        success: IsSuccess = True,
    ) -> EmailsPayload:
        context = info.context
        result = await load_changed_rows(Email, emails.mark_success(context.ctx, context.viewer, ids, success))
        return EmailsPayload(emails=result.rows, user_errors=list(result.errors))

    @strawberry.mutation(description="Sends undelivered emails again now.")
    async def email_retry_send(self, info: Info, ids: Ids) -> EmailsPayload:
        context = info.context
        result = await load_changed_rows(Email, emails.retry(context.ctx, context.viewer, ids))
        return EmailsPayload(emails=result.rows, user_errors=list(result.errors))

    @strawberry.mutation(description="Deletes emails permanently. Emails of a campaign cannot be deleted.")
    async def email_delete(self, info: Info, ids: Ids) -> DeletePayload:
        context = info.context
        result = await encode_deleted_ids("Email", emails.delete(context.ctx, context.viewer, ids))
        return DeletePayload(deleted_ids=result.rows, user_errors=list(result.errors))

    @strawberry.mutation(
        description="Creates a task for the viewer, or for a teammate if the person is shared with the team."
    )
    async def task_create(self, info: Info, input: NewTaskArgument) -> TaskPayload:
        context = info.context
        task, errors = await run_action(tasks.create(context.ctx, context.viewer, input.to_action_input()))
        return TaskPayload(task=task, user_errors=errors)

    @strawberry.mutation(description="Changes a task or assigns it to another user.")
    async def task_revise(self, info: Info, id: Id, input: TaskRevisionArgument) -> TaskPayload:
        context = info.context
        task, errors = await run_action(tasks.revise(context.ctx, context.viewer, id, input.to_action_input()))
        return TaskPayload(task=task, user_errors=errors)

    @strawberry.mutation(description="Completes tasks. A task that is complete already stays unchanged.")
    async def task_complete(self, info: Info, ids: Ids) -> TasksPayload:
        context = info.context
        result = await load_changed_rows(Task, tasks.complete(context.ctx, context.viewer, ids))
        return TasksPayload(tasks=result.rows, user_errors=list(result.errors))

    @strawberry.mutation(description="Opens tasks again. A task that is open already stays unchanged.")
    async def task_reopen(self, info: Info, ids: Ids) -> TasksPayload:
        context = info.context
        result = await load_changed_rows(Task, tasks.reopen(context.ctx, context.viewer, ids))
        return TasksPayload(tasks=result.rows, user_errors=list(result.errors))

    @strawberry.mutation(description="Deletes tasks permanently, for every user who saw them.")
    async def task_delete(self, info: Info, ids: Ids) -> DeletePayload:
        context = info.context
        result = await encode_deleted_ids("Task", tasks.delete(context.ctx, context.viewer, ids))
        return DeletePayload(deleted_ids=result.rows, user_errors=list(result.errors))

    @strawberry.mutation(
        description="Creates a task for the viewer for each member of a list. It skips members from whose email an"
        " open task of the same name exists already, so a repeated call creates only what is missing."
    )
    async def task_create_for_members(
        self, info: Info, saved_search_id: MemberListId, input: MemberTaskArgument
    ) -> TasksPayload:
        context = info.context
        action = member_tasks.create(context.ctx, context.viewer, saved_search_id, input.to_action_input())
        keys, errors = await run_action(action)
        return TasksPayload(tasks=await load_rows_in_order(Task, keys or ()), user_errors=errors)

    @strawberry.mutation(description="Saves a search as a dynamic list.")
    async def saved_search_create(self, info: Info, input: NewSearchArgument) -> SavedSearchPayload:
        context = info.context
        saved_search, errors = await run_action(
            searches.create(context.ctx, context.viewer, input.name, to_raw_filter(input.filter), input.shared)
        )
        return SavedSearchPayload(saved_search=saved_search, user_errors=errors)

    @strawberry.mutation(description="Changes the name of a list.")
    async def saved_search_rename(self, info: Info, id: Id, name: Name) -> SavedSearchPayload:
        context = info.context
        saved_search, errors = await run_action(searches.rename(context.ctx, context.viewer, id, name))
        return SavedSearchPayload(saved_search=saved_search, user_errors=errors)

    @strawberry.mutation(description="Changes the filter of a list. Its subscribers receive one SavedSearchReset.")
    async def saved_search_refine(
        self,
        info: Info,
        id: Id,
        filter: NewFilterArgument,
    ) -> SavedSearchPayload:
        context = info.context
        saved_search, errors = await run_action(searches.refine(context.ctx, context.viewer, id, to_raw_filter(filter)))
        return SavedSearchPayload(saved_search=saved_search, user_errors=errors)

    @strawberry.mutation(description="Publishes the definition of a list to the team, or withdraws it.")
    async def saved_search_share(self, info: Info, id: Id, shared: IsPublished) -> SavedSearchPayload:
        context = info.context
        saved_search, errors = await run_action(searches.share(context.ctx, context.viewer, id, shared))
        return SavedSearchPayload(saved_search=saved_search, user_errors=errors)

    @strawberry.mutation(
        description="Creates a list of the viewer's, over the viewer's own mail, from a published definition."
    )
    async def saved_search_adopt(
        self,
        info: Info,
        shared_search_id: SharedSearchId,
        name: AdoptedName = UNSET,
    ) -> SavedSearchPayload:
        context = info.context
        saved_search, errors = await run_action(
            searches.adopt(context.ctx, context.viewer, shared_search_id, value_or_none(name))
        )
        return SavedSearchPayload(saved_search=saved_search, user_errors=errors)

    @strawberry.mutation(description="Deletes a list. Its emails are not deleted.")
    async def saved_search_delete(self, info: Info, id: Id) -> DeletePayload:
        context = info.context
        key, errors = await run_action(searches.delete(context.ctx, context.viewer, id))
        deleted_ids = [] if key is None else [global_ids.encode("SavedSearch", key)]
        return DeletePayload(deleted_ids=deleted_ids, user_errors=errors)

    @strawberry.mutation(description="Adds a person.")
    async def person_create(self, info: Info, input: NewPersonArgument) -> PersonPayload:
        context = info.context
        person, errors = await run_action(people.create(context.ctx, context.viewer, input.to_action_input()))
        return PersonPayload(person=person, user_errors=errors)

    @strawberry.mutation(
        description="Unsubscribes a person, to whom nothing is sent any more. Scheduled emails to them become FAILED."
    )
    async def person_unsubscribe(self, info: Info, id: Id) -> PersonPayload:
        context = info.context
        person, errors = await run_action(people.unsubscribe(context.ctx, context.viewer, id))
        return PersonPayload(person=person, user_errors=errors)

    @strawberry.mutation(description="Creates an empty group.")
    async def group_create(
        self,
        info: Info,
        name: Name,
        shared: IsShared = False,
    ) -> GroupPayload:
        context = info.context
        group, errors = await run_action(people.create_group(context.ctx, context.viewer, name, shared))
        return GroupPayload(group=group, user_errors=errors)

    @strawberry.mutation(description="Adds people to a group that the viewer owns.")
    async def group_add_people(self, info: Info, id: Id, person_ids: Ids) -> GroupPayload:
        context = info.context
        result, errors = await run_action(people.add_people(context.ctx, context.viewer, id, person_ids))
        if result is None:
            return GroupPayload(group=None, user_errors=errors)
        group, rejected = result
        return GroupPayload(group=group, user_errors=list(rejected))

    @strawberry.mutation(description="Removes people from a group that the viewer owns.")
    async def group_remove_people(self, info: Info, id: Id, person_ids: Ids) -> GroupPayload:
        context = info.context
        result, errors = await run_action(people.remove_people(context.ctx, context.viewer, id, person_ids))
        if result is None:
            return GroupPayload(group=None, user_errors=errors)
        group, rejected = result
        return GroupPayload(group=group, user_errors=list(rejected))

    @strawberry.mutation(
        description="Adds the recipients of all emails in one of the viewer's lists to a group that the viewer owns."
    )
    async def group_add_members(self, info: Info, id: Id, saved_search_id: OwnListId) -> GroupPayload:
        context = info.context
        group, errors = await run_action(people.add_members(context.ctx, context.viewer, id, saved_search_id))
        return GroupPayload(group=group, user_errors=errors)

    @strawberry.mutation(description="Starts a campaign.")
    async def campaign_create(self, info: Info, name: Name) -> CampaignPayload:
        context = info.context
        campaign, errors = await run_action(campaigns.create(context.ctx, context.viewer, name))
        return CampaignPayload(campaign=campaign, user_errors=errors)

    @strawberry.mutation(description="Ends a campaign. Its scheduled emails become FAILED.")
    async def campaign_end(self, info: Info, id: Id) -> CampaignPayload:
        context = info.context
        campaign, errors = await run_action(campaigns.end(context.ctx, context.viewer, id))
        return CampaignPayload(campaign=campaign, user_errors=errors)

    @strawberry.mutation(description="Creates a template for the team.")
    async def template_create(self, info: Info, input: NewTemplateArgument) -> TemplatePayload:
        context = info.context
        action = templates.create(context.ctx, context.viewer, input.to_action_input())
        template, notices, errors = await run_action_with_notices(add_notices(context, action, [(_BODY, input.body)]))
        return TemplatePayload(template=template, notices=notices, user_errors=errors)

    @strawberry.mutation(
        description="Records at most 1,000 engagement events that an integration observed. Requires a token with the"
        " scope `engagement:write`."
    )
    async def engagement_record(
        self,
        info: Info,
        events: EventsArgument,
    ) -> EngagementRecordPayload:
        result = await record_engagements(info.context, events, EngagementInput.to_action_input)
        return EngagementRecordPayload(
            recorded=result.recorded,
            duplicates=result.duplicates,
            ignored=result.ignored,
            user_errors=result.errors,
        )

    @strawberry.mutation(
        description="Changes the verdict of at most 1,000 events. Summaries and lists are updated, and later evidence"
        " does not change the verdict again. Requires a token with the scope `engagement:write`."
    )
    async def engagement_reclassify(self, info: Info, ids: Ids, verdict: NewVerdict) -> EngagementsPayload:
        result = await reclassify_engagements(info.context, ids, verdict)
        return EngagementsPayload(engagements=result.rows, user_errors=list(result.errors))

    @strawberry.mutation(
        description="Records at most 1,000 bounces and spam complaints. A SENT email becomes BOUNCED or SPAM."
        " Requires a token with the scope `engagement:write`."
    )
    async def delivery_record(
        self,
        info: Info,
        events: ReportsArgument,
    ) -> DeliveryRecordPayload:
        result = await record_deliveries(info.context, [event.to_action_input() for event in events])
        return DeliveryRecordPayload(recorded=result.recorded, duplicates=result.duplicates, user_errors=result.errors)
