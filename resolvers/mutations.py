"""Completes what the actions of mutations return: rows, ids and notices.

It also checks the scopes of tokens. A mutation that needs none of this calls its action directly.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tortoise.models import Model

from command_center import ids as global_ids
from command_center.actions import deliveries, verdict_revisions
from command_center.actions.bodies import BodyNotice
from command_center.actions.deliveries import DeliveryRecordResult, NewReport
from command_center.actions.engagement_requests import EngagementRecordResult, NewEvent
from command_center.actions.inputs import BulkResult
from command_center.errors import InputPath, UserError, UserErrors, user_error
from models.engagements import Engagement
from models.enums import EngagementVerdict, UserErrorCode
from resolvers.context import Context
from resolvers.loaders import load_rows_in_order

ENGAGEMENT_WRITE = "engagement:write"
INPUTS_PER_SLICE = 100
"""The number of inputs that are converted before the event loop may run other tasks."""
Input = TypeVar("Input")
M = TypeVar("M", bound=Model)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BulkRows(Generic[T]):
    """The rows that a bulk action changed or their ids, and the errors of the others."""

    rows: list[T]
    errors: tuple[UserError, ...]


async def load_changed_rows(model: type[M], action: Awaitable[BulkResult]) -> BulkRows[M]:
    """Await a bulk action and return the rows that it changed."""
    result = await action
    return BulkRows(await load_rows_in_order(model, result.keys), result.errors)


async def encode_deleted_ids(type_name: str, action: Awaitable[BulkResult]) -> BulkRows[str]:
    """Await a bulk action and return the global ids of the rows that it deleted."""
    result = await action
    return BulkRows([global_ids.encode(type_name, key) for key in result.keys], result.errors)


async def add_notices(
    context: Context, action: Awaitable[T], bodies: Iterable[tuple[InputPath, str]]
) -> tuple[T, list[BodyNotice]]:
    """Await an action and return its result with notices about the saved bodies.

    `bodies` are pairs of a path in the input and the text that was saved from there.
    """
    return await action, await context.ctx.inspector.notices(bodies)


async def record_engagements(
    context: Context, inputs: Sequence[Input], convert: Callable[[Input], NewEvent]
) -> EngagementRecordResult:
    """Record engagement events. `convert` turns an input into an event.

    Raises: UserErrors if the viewer's token lacks the scope for writing engagement.
    """
    _require_scope(context, ENGAGEMENT_WRITE)
    events: list[NewEvent] = []
    for start in range(0, len(inputs), INPUTS_PER_SLICE):
        events += map(convert, inputs[start : start + INPUTS_PER_SLICE])
        if start:
            await asyncio.sleep(0)
    try:
        return await context.services.recorder.record(events, context.viewer, context.claim)
    except UserErrors as exc:
        return EngagementRecordResult(errors=list(exc.errors))


async def reclassify_engagements(
    context: Context, ids: Sequence[str], verdict: EngagementVerdict
) -> BulkRows[Engagement]:
    """Set the verdict of engagement events, and return the changed events.

    Raises: UserErrors if the viewer's token lacks the scope for writing engagement.
    """
    _require_scope(context, ENGAGEMENT_WRITE)
    try:
        return await load_changed_rows(
            Engagement, verdict_revisions.reclassify(context.ctx, context.viewer, ids, verdict)
        )
    except UserErrors as exc:
        return BulkRows([], exc.errors)


async def record_deliveries(context: Context, reports: Sequence[NewReport]) -> DeliveryRecordResult:
    """Record delivery reports.

    Raises: UserErrors if the viewer's token lacks the scope for writing engagement.
    """
    _require_scope(context, ENGAGEMENT_WRITE)
    try:
        return await deliveries.record(context.ctx, context.viewer, reports)
    except UserErrors as exc:
        return DeliveryRecordResult(errors=list(exc.errors))


def _require_scope(context: Context, scope: str) -> None:
    if scope not in context.viewer.scopes:
        raise user_error(UserErrorCode.FORBIDDEN, (), f"This needs a token with the scope {scope}.")
