"""The actions on campaigns: create and end. A campaign belongs to the whole team."""

from command_center.actions.access import visible_key
from command_center.actions.context import ActionContext
from command_center.actions.inputs import check_line
from command_center.actions.people import fail_scheduled
from command_center.changes.unit_of_work import UnitOfWork
from command_center.errors import ErrorCollector
from models.campaigns import Campaign
from models.enums import FailureCode, UserErrorCode
from models.viewers import Viewer


async def create(ctx: ActionContext, viewer: Viewer, name: str) -> Campaign:
    """Create a campaign. Raises: UserErrors if the name is invalid."""
    errors = ErrorCollector()
    name = check_line(errors, name, ("name",), "A name")
    errors.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        row = await uow.connection.fetch_one(
            "INSERT INTO campaigns (team_id, owner_id, name, created_at) VALUES (?, ?, ?, ?) RETURNING id",
            *(viewer.team_id, viewer.user_id, name, uow.now),
        )
    return await Campaign.get(id=row["id"] if row else 0)


async def end(ctx: ActionContext, viewer: Viewer, campaign_id: str) -> Campaign:
    """End a campaign.

    Its scheduled emails become FAILED; none is deleted. Ending it again changes nothing.

    Raises: UserErrors (NOT_FOUND) if the viewer cannot see such a campaign.
    """
    errors = ErrorCollector()
    key = await visible_key(viewer, "Campaign", campaign_id, ("id",), errors)
    errors.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        await uow.connection.execute(
            "UPDATE campaigns SET ended_at = ? WHERE id = ? AND ended_at IS NULL", uow.now, key
        )
        await fail_scheduled(uow, "campaign_id", key, FailureCode.CAMPAIGN_ENDED, "The campaign has ended.")
    return await Campaign.get(id=key)


async def check_campaign_active(uow: UnitOfWork, campaign: int | None, errors: ErrorCollector) -> None:
    """Add an error if the campaign with this key has ended.

    None means that there is no campaign. Locks the campaign, so that it cannot end before the unit of work is
    committed.
    """
    if campaign is None:
        return
    tx = uow.connection
    row = await tx.fetch_one("SELECT ended_at FROM campaigns WHERE id = ?" + tx.for_update("SHARE"), campaign)
    if row is not None and row["ended_at"] is not None:
        errors.add(UserErrorCode.WRONG_STATE, ("input", "campaignId"), "The campaign has ended.")
