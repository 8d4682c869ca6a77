"""Derives an email's folder from its status and archived flag.

It also lists the actions that each folder offers.

Resolvers, mutations and filters use the same table, so they cannot disagree. All functions are pure.
"""

from collections.abc import Mapping
from types import MappingProxyType

from models.enums import EmailAction, EmailStatus, FolderGroupName, FolderName

_STATES: Mapping[FolderName, tuple[EmailStatus, bool | None]] = MappingProxyType(
    {
        FolderName.DELIVERED: (EmailStatus.SENT, False),
        FolderName.ARCHIVED: (EmailStatus.SENT, True),
        FolderName.SCHEDULED: (EmailStatus.SCHEDULED, None),
        FolderName.DRAFT: (EmailStatus.DRAFT, None),
        FolderName.IN_PROGRESS: (EmailStatus.IN_PROGRESS, None),
        FolderName.FAILED: (EmailStatus.FAILED, None),
        FolderName.BOUNCED: (EmailStatus.BOUNCED, None),
        FolderName.SPAM: (EmailStatus.SPAM, None),
    }
)

_BY_STATUS: Mapping[EmailStatus, FolderName] = MappingProxyType(
    {status: folder for folder, (status, archived) in _STATES.items() if not archived}
)

GROUPS: Mapping[FolderGroupName, tuple[FolderName, ...]] = MappingProxyType(
    {
        FolderGroupName.SENT: (FolderName.DELIVERED, FolderName.ARCHIVED),
        FolderGroupName.PENDING: (FolderName.SCHEDULED, FolderName.DRAFT, FolderName.IN_PROGRESS),
        FolderGroupName.UNDELIVERED: (FolderName.FAILED, FolderName.BOUNCED, FolderName.SPAM),
    }
)

_GROUP_OF: Mapping[FolderName, FolderGroupName] = MappingProxyType(
    {folder: group for group, folders in GROUPS.items() for folder in folders}
)

ACTIONS: Mapping[FolderName, tuple[EmailAction, ...]] = MappingProxyType(
    {
        FolderName.DELIVERED: (EmailAction.ARCHIVE, EmailAction.MARK_SUCCESS),
        FolderName.ARCHIVED: (EmailAction.UNARCHIVE, EmailAction.DELETE),
        FolderName.SCHEDULED: (EmailAction.EDIT, EmailAction.DELETE),
        FolderName.DRAFT: (EmailAction.EDIT, EmailAction.DELETE),
        FolderName.IN_PROGRESS: (),
        FolderName.FAILED: (EmailAction.RETRY_SEND, EmailAction.DELETE),
        FolderName.BOUNCED: (EmailAction.RETRY_SEND, EmailAction.DELETE),
        FolderName.SPAM: (EmailAction.RETRY_SEND, EmailAction.DELETE),
    }
)


def folder_of(status: EmailStatus, archived: bool) -> FolderName:
    """Return the folder of an email. `archived` matters only if the status is SENT."""
    if archived and status is EmailStatus.SENT:
        return FolderName.ARCHIVED
    return _BY_STATUS[status]


def group_of(folder: FolderName) -> FolderGroupName:
    """Return the folder group to which a folder belongs."""
    return _GROUP_OF[folder]


def states_of(folder: FolderName) -> tuple[EmailStatus, bool | None]:
    """Return the status and the archived flag of a folder's emails.

    The flag is None if it does not matter.
    """
    return _STATES[folder]
