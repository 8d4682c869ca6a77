"""Decides which emails a viewer may act on.

These are the viewer's own emails; the folder of each determines which actions are allowed.
"""

from collections.abc import Sequence

from command_center.actions import transitions
from command_center.actions.access import lock_own_emails, paths_by_id
from command_center.actions.email_rows import LockedEmail
from command_center.changes.unit_of_work import UnitOfWork
from command_center.errors import ErrorCollector, InputPath, UserErrors, user_error
from models.emails import Email
from models.enums import EmailAction, UserErrorCode
from models.folders import ACTIONS
from models.viewers import Viewer

_PARTICIPLES = {
    EmailAction.EDIT: "changed",
    EmailAction.ARCHIVE: "archived",
    EmailAction.UNARCHIVE: "unarchived",
    EmailAction.MARK_SUCCESS: "marked",
    EmailAction.RETRY_SEND: "sent again",
    EmailAction.DELETE: "deleted",
}


async def lock_allowed_emails(
    uow: UnitOfWork, viewer: Viewer, ids: Sequence[str], action: EmailAction, errors: ErrorCollector
) -> list[LockedEmail]:
    """Lock the viewer's own emails, and return those whose folder allows the action.

    Adds an error for each of the other ids.
    """
    allowed: list[LockedEmail] = []
    for row, path in await lock_own_emails(uow.connection, viewer, paths_by_id(ids), errors):
        if action not in ACTIONS[transitions.folder_of_row(row)]:
            errors.extend(wrong_state(row, path, _PARTICIPLES[action]).errors)
        elif action is EmailAction.DELETE and row["campaign_id"] is not None:
            errors.add(UserErrorCode.WRONG_STATE, path, "An email of a campaign is never deleted.")
        else:
            allowed.append(row)
    return allowed


async def lock_own_email(
    uow: UnitOfWork, viewer: Viewer, email_id: str, action: EmailAction | None = None
) -> LockedEmail:
    """Lock and return one of the viewer's own emails.

    Raises: UserErrors if the viewer has no such email, or if its folder does not allow the action.
    """
    errors = ErrorCollector()
    rows = await lock_own_emails(uow.connection, viewer, {email_id: ("id",)}, errors)
    errors.raise_any()
    row, path = rows[0]
    if action is not None and action not in ACTIONS[transitions.folder_of_row(row)]:
        raise wrong_state(row, path, _PARTICIPLES[action])
    return row


def wrong_state(row: LockedEmail, path: InputPath, participle: str) -> UserErrors:
    """Return the error for an action that the email's folder does not allow.

    `participle` names the action in the message, for example `archived`.
    """
    message = f"An email in {transitions.folder_of_row(row).name} cannot be {participle}."
    return user_error(UserErrorCode.WRONG_STATE, path, message)


def allowed_actions(email: Email, viewer: Viewer) -> list[EmailAction]:
    """Return the actions that the viewer may apply to an email.

    Only the sender may act on an email, and an email of a campaign cannot be deleted.
    """
    if email.sender_id != viewer.user_id:
        return []
    return [action for action in ACTIONS[email.folder] if action is not EmailAction.DELETE or email.campaign_id is None]
