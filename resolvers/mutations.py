"""Calls the action of each mutation, and loads the rows that the mutation returns.

The actions check permissions and write; this module writes nothing itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from command_center import ids as global_ids
from command_center.actions import (
    bulk_sends,
    campaigns,
    deliveries,
    emails,
    member_tasks,
    people,
    searches,
    tasks,
    templates,
    verdict_revisions,
)
from command_center.actions.bodies import BodyNotice
from command_center.actions.bulk_sends import Edit, GroupSend, SelectAndSend
from command_center.actions.deliveries import NewReport
from command_center.actions.emails import NewEmail, Revision
from command_center.actions.engagements import EngagementRecordResult, NewEvent
from command_center.actions.inputs import UNSET, BulkResult
from command_center.actions.member_tasks import NewMemberTask
from command_center.actions.people import NewPerson
from command_center.actions.tasks import NewTask, TaskRevision
from command_center.actions.templates import NewTemplate
from command_center.errors import UserError, UserErrors, user_error
from models.campaigns import BulkSend, Campaign, Template
from models.emails import Email
from models.engagements import Engagement
from models.enums import EngagementVerdict, UserErrorCode
from models.people import Group, Person
from models.searches import SavedSearch
from models.tasks import Task
from resolvers.context import Context
from resolvers.loaders import in_order

__all__ = [
    "UNSET",
    "Edit",
    "GroupSend",
    "NewEmail",
    "NewEvent",
    "NewMemberTask",
    "NewPerson",
    "NewReport",
    "NewTask",
    "NewTemplate",
    "Revision",
    "SelectAndSend",
    "TaskRevision",
]

ENGAGEMENT_WRITE = "engagement:write"
_BODY, _EDITS = ("input", "body"), ("input", "edits")
T = TypeVar("T")
INPUTS_PER_SLICE = 100
"""The number of inputs that are converted before the event loop may run other tasks."""
Input = TypeVar("Input")


@dataclass(frozen=True, slots=True)
class BulkRows:
    """The rows that a bulk action changed, or their ids if it deleted them, and the errors of the others."""

    rows: list[Any]
    errors: tuple[UserError, ...]


Noticed = tuple[T, list[BodyNotice]]
"""A saved row, and notices about its texts."""


async def email_draft(context: Context, new: NewEmail) -> Noticed[Email]:
    email = await emails.draft(context.ctx, context.viewer, new)
    return email, await context.ctx.inspector.notices([(_BODY, new.body)])


async def email_revise(context: Context, email_id: str, revision: Revision) -> Noticed[Email]:
    email = await emails.revise(context.ctx, context.viewer, email_id, revision)
    body = "" if revision.body is UNSET else revision.body or ""
    return email, await context.ctx.inspector.notices([(_BODY, body)])


async def email_send(context: Context, email_id: str, at: int | None, request_id: str | None) -> Email:
    return await emails.send(context.ctx, context.viewer, email_id, at, request_id)


async def email_send_to_many(context: Context, new: SelectAndSend | GroupSend) -> Noticed[BulkSend]:
    bulk_send = await bulk_sends.send(context.ctx, context.viewer, new)
    edits = new.edits if isinstance(new, SelectAndSend) else ()
    bodies = [((*_EDITS, str(index), "body"), edit.body) for index, edit in enumerate(edits) if edit.body is not None]
    return bulk_send, await context.ctx.inspector.notices([(_BODY, new.body), *bodies])


async def email_archive(context: Context, ids: Sequence[str]) -> BulkRows:
    return await _emails(emails.archive(context.ctx, context.viewer, ids))


async def email_unarchive(context: Context, ids: Sequence[str]) -> BulkRows:
    return await _emails(emails.unarchive(context.ctx, context.viewer, ids))


async def email_mark_success(context: Context, ids: Sequence[str], success: bool) -> BulkRows:
    return await _emails(emails.mark_success(context.ctx, context.viewer, ids, success))


async def email_retry_send(context: Context, ids: Sequence[str]) -> BulkRows:
    return await _emails(emails.retry(context.ctx, context.viewer, ids))


async def email_delete(context: Context, ids: Sequence[str]) -> BulkRows:
    result = await emails.delete(context.ctx, context.viewer, ids)
    return BulkRows([global_ids.encode("Email", key) for key in result.keys], result.errors)


async def _emails(action: Awaitable[BulkResult]) -> BulkRows:
    result = await action
    return BulkRows(await in_order(Email, result.keys), result.errors)


async def task_create(context: Context, new: NewTask) -> Task:
    return await tasks.create(context.ctx, context.viewer, new)


async def task_revise(context: Context, task_id: str, revision: TaskRevision) -> Task | None:
    return await tasks.revise(context.ctx, context.viewer, task_id, revision)


async def task_complete(context: Context, ids: Sequence[str]) -> BulkRows:
    result = await tasks.complete(context.ctx, context.viewer, ids)
    return BulkRows(await in_order(Task, result.keys), result.errors)


async def task_reopen(context: Context, ids: Sequence[str]) -> BulkRows:
    result = await tasks.reopen(context.ctx, context.viewer, ids)
    return BulkRows(await in_order(Task, result.keys), result.errors)


async def task_delete(context: Context, ids: Sequence[str]) -> BulkRows:
    result = await tasks.delete(context.ctx, context.viewer, ids)
    return BulkRows([global_ids.encode("Task", key) for key in result.keys], result.errors)


async def task_create_for_members(context: Context, search_id: str, new: NewMemberTask) -> list[Task]:
    return await in_order(Task, await member_tasks.create(context.ctx, context.viewer, search_id, new))


async def saved_search_create(context: Context, name: str, raw: Mapping[str, Any], shared: bool) -> SavedSearch:
    return await searches.create(context.ctx, context.viewer, name, raw, shared)


async def saved_search_rename(context: Context, search_id: str, name: str) -> SavedSearch:
    return await searches.rename(context.ctx, context.viewer, search_id, name)


async def saved_search_refine(context: Context, search_id: str, raw: Mapping[str, Any]) -> SavedSearch:
    return await searches.refine(context.ctx, context.viewer, search_id, raw)


async def saved_search_share(context: Context, search_id: str, shared: bool) -> SavedSearch:
    return await searches.share(context.ctx, context.viewer, search_id, shared)


async def saved_search_adopt(context: Context, shared_search_id: str, name: str | None) -> SavedSearch:
    return await searches.adopt(context.ctx, context.viewer, shared_search_id, name)


async def saved_search_delete(context: Context, search_id: str) -> list[str]:
    key = await searches.delete(context.ctx, context.viewer, search_id)
    return [global_ids.encode("SavedSearch", key)]


async def person_create(context: Context, new: NewPerson) -> Person:
    return await people.create(context.ctx, context.viewer, new)


async def person_unsubscribe(context: Context, person_id: str) -> Person:
    return await people.unsubscribe(context.ctx, context.viewer, person_id)


async def group_create(context: Context, name: str, shared: bool) -> Group:
    return await people.create_group(context.ctx, context.viewer, name, shared)


async def group_add_people(context: Context, group_id: str, person_ids: Sequence[str]) -> BulkRows:
    group, errors = await people.add_people(context.ctx, context.viewer, group_id, person_ids)
    return BulkRows([group], tuple(errors))


async def group_remove_people(context: Context, group_id: str, person_ids: Sequence[str]) -> BulkRows:
    group, errors = await people.remove_people(context.ctx, context.viewer, group_id, person_ids)
    return BulkRows([group], tuple(errors))


async def group_add_members(context: Context, group_id: str, search_id: str) -> Group:
    return await people.add_members(context.ctx, context.viewer, group_id, search_id)


async def campaign_create(context: Context, name: str) -> Campaign:
    return await campaigns.create(context.ctx, context.viewer, name)


async def campaign_end(context: Context, campaign_id: str) -> Campaign:
    return await campaigns.end(context.ctx, context.viewer, campaign_id)


async def template_create(context: Context, new: NewTemplate) -> Noticed[Template]:
    template = await templates.create(context.ctx, context.viewer, new)
    return template, await context.ctx.inspector.notices([(_BODY, new.body)])


async def engagement_record(
    context: Context, inputs: Sequence[Input], value: Callable[[Input], NewEvent]
) -> EngagementRecordResult:
    """Record events. `value` converts an input to an event.

    Raises: UserErrors if the token lacks the scope.
    """
    _require_scope(context, ENGAGEMENT_WRITE)
    events: list[NewEvent] = []
    for start in range(0, len(inputs), INPUTS_PER_SLICE):
        events += map(value, inputs[start : start + INPUTS_PER_SLICE])
        if start:
            await asyncio.sleep(0)
    try:
        return await context.services.recorder.record(events, context.viewer, context.claim)
    except UserErrors as exc:
        return EngagementRecordResult(errors=list(exc.errors))


async def engagement_reclassify(context: Context, ids: Sequence[str], verdict: EngagementVerdict) -> BulkRows:
    """Change the verdict of events.

    Raises: UserErrors if the token lacks the scope.
    """
    _require_scope(context, ENGAGEMENT_WRITE)
    try:
        result = await verdict_revisions.reclassify(context.ctx, context.viewer, ids, verdict)
    except UserErrors as exc:
        return BulkRows([], exc.errors)
    return BulkRows(await in_order(Engagement, result.keys), result.errors)


async def delivery_record(context: Context, reports: Sequence[NewReport]) -> deliveries.DeliveryRecordResult:
    """Record delivery reports.

    Raises: UserErrors if the token lacks the scope.
    """
    _require_scope(context, ENGAGEMENT_WRITE)
    try:
        return await deliveries.record(context.ctx, context.viewer, reports)
    except UserErrors as exc:
        return deliveries.DeliveryRecordResult(errors=list(exc.errors))


def _require_scope(context: Context, scope: str) -> None:
    if scope not in context.viewer.scopes:
        raise user_error(UserErrorCode.FORBIDDEN, (), f"This needs a token with the scope {scope}.")
