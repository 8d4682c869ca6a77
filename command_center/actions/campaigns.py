"""Campaigns: begun and ended. They belong to the whole team."""

from command_center.actions.access import seen
from command_center.actions.context import Desk
from command_center.actions.inputs import Findings
from command_center.actions.people import fail_scheduled
from command_center.changes.unit_of_work import Deed
from models.campaigns import Campaign
from models.enums import FailureCode, UserErrorCode
from models.viewers import Viewer


async def create(desk: Desk, viewer: Viewer, name: str) -> Campaign:
    findings = Findings()
    name = findings.line(name, ("name",), "A name")
    findings.raise_any()
    async with desk.writer.deed() as deed:
        row = await deed.connection.row(
            "INSERT INTO campaigns (team_id, owner_id, name, created_at) VALUES (?, ?, ?, ?) RETURNING id",
            *(viewer.team_id, viewer.user_id, name, deed.now),
        )
    return await Campaign.get(id=row["id"] if row else 0)


async def end(desk: Desk, viewer: Viewer, campaign_id: str) -> Campaign:
    """Its scheduled emails become FAILED, none is deleted. Ending it again changes nothing."""
    findings = Findings()
    key = await seen(viewer, "Campaign", campaign_id, ("id",), findings)
    findings.raise_any()
    async with desk.writer.deed() as deed:
        await deed.connection.run("UPDATE campaigns SET ended_at = ? WHERE id = ? AND ended_at IS NULL", deed.now, key)
        await fail_scheduled(deed, "campaign_id", key, FailureCode.CAMPAIGN_ENDED, "The campaign has ended.")
    return await Campaign.get(id=key)


async def going_on(deed: Deed, campaign: int | None, findings: Findings) -> None:
    """Finds fault with mail for a campaign that has ended. One that goes on does not end before the deed is done."""
    if campaign is None:
        return
    tx = deed.connection
    row = await tx.row("SELECT ended_at FROM campaigns WHERE id = ?" + tx.locked("SHARE"), campaign)
    if row is not None and row["ended_at"] is not None:
        findings.add(UserErrorCode.WRONG_STATE, ("input", "campaignId"), "The campaign has ended.")
