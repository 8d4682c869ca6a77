"""Campaigns: begun and ended. They belong to the whole team."""

from command_center.actions.access import seen
from command_center.actions.context import ActionContext
from command_center.actions.inputs import ErrorCollector
from command_center.actions.people import fail_scheduled
from command_center.changes.unit_of_work import UnitOfWork
from models.campaigns import Campaign
from models.enums import FailureCode, UserErrorCode
from models.viewers import Viewer


async def create(ctx: ActionContext, viewer: Viewer, name: str) -> Campaign:
    findings = ErrorCollector()
    name = findings.line(name, ("name",), "A name")
    findings.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        row = await uow.connection.fetch_one(
            "INSERT INTO campaigns (team_id, owner_id, name, created_at) VALUES (?, ?, ?, ?) RETURNING id",
            *(viewer.team_id, viewer.user_id, name, uow.now),
        )
    return await Campaign.get(id=row["id"] if row else 0)


async def end(ctx: ActionContext, viewer: Viewer, campaign_id: str) -> Campaign:
    """Its scheduled emails become FAILED, none is deleted. Ending it again changes nothing."""
    findings = ErrorCollector()
    key = await seen(viewer, "Campaign", campaign_id, ("id",), findings)
    findings.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        await uow.connection.execute(
            "UPDATE campaigns SET ended_at = ? WHERE id = ? AND ended_at IS NULL", uow.now, key
        )
        await fail_scheduled(uow, "campaign_id", key, FailureCode.CAMPAIGN_ENDED, "The campaign has ended.")
    return await Campaign.get(id=key)


async def going_on(uow: UnitOfWork, campaign: int | None, findings: ErrorCollector) -> None:
    """Finds fault with mail for a campaign that has ended. One that goes on does not end before the deed is done."""
    if campaign is None:
        return
    tx = uow.connection
    row = await tx.fetch_one("SELECT ended_at FROM campaigns WHERE id = ?" + tx.for_update("SHARE"), campaign)
    if row is not None and row["ended_at"] is not None:
        findings.add(UserErrorCode.WRONG_STATE, ("input", "campaignId"), "The campaign has ended.")
