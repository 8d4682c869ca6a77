"""Resolves folders and folder groups, and streams their exact email counts.

The counts are stored, so that no scan is needed.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from command_center.changes.folder_counts import POLL_INTERVAL_SECONDS
from models.emails import Email
from models.enums import EmailAction, FolderGroupName, FolderName
from models.folders import ACTIONS, GROUPS, group_of
from models.users import User
from resolvers import emails, view_as
from resolvers.context import Context
from resolvers.pagination import Arguments, Order, Page


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of one sender."""

    sender_id: int
    name: FolderName

    @property
    def id(self) -> str:
        """The folder's key, from which its global id is made."""
        return f"{self.sender_id}.{self.name.name}"

    @property
    def group(self) -> FolderGroupName:
        return group_of(self.name)

    async def count_emails(self, context: Context) -> int:
        return (await context.loaders.load_folder_counts(self.sender_id)).get(self.name, 0)

    def list_actions(self, context: Context) -> list[EmailAction]:
        """Return the viewer's actions in this folder; none in another user's mail."""
        return list(ACTIONS[self.name]) if self.sender_id == context.viewer.user_id else []

    async def load_emails(
        self, context: Context, raw: Mapping[str, object] | None, order: Order, arguments: Arguments
    ) -> Page[Email]:
        return await emails.load_emails(context, raw, order, arguments, emails.folder_clause(self.name), self.sender_id)


@dataclass(frozen=True, slots=True)
class FolderGroup:
    """One group of folders of one sender."""

    sender_id: int
    name: FolderGroupName

    @property
    def id(self) -> str:
        """The group's key, from which its global id is made."""
        return f"{self.sender_id}.{self.name.name}"

    @property
    def folders(self) -> list[Folder]:
        return [Folder(self.sender_id, name) for name in GROUPS[self.name]]

    async def count_emails(self, context: Context) -> int:
        counts = await context.loaders.load_folder_counts(self.sender_id)
        return sum(counts.get(name, 0) for name in GROUPS[self.name])


@dataclass(frozen=True, slots=True)
class FolderCounts:
    """One message of a stream of counts: all folders and groups of one sender."""

    sender_id: int

    @property
    def folders(self) -> list[Folder]:
        return [Folder(self.sender_id, name) for name in FolderName]

    @property
    def groups(self) -> list[FolderGroup]:
        return [FolderGroup(self.sender_id, name) for name in FolderGroupName]


async def make_groups(context: Context, view_as_id: str | None) -> list[FolderGroup]:
    """Return the folder groups of the viewer or, with `view_as_id`, another sender.

    They are Sent, Pending and Undelivered, in that order.

    Raises: UserErrors if the viewer may not see the sender's mail.
    """
    return FolderCounts(await view_as.resolve_sender(context, view_as_id)).groups


async def make_folder(context: Context, name: FolderName, view_as_id: str | None) -> Folder:
    """Return one folder of the viewer or, with `view_as_id`, of another sender.

    Raises: UserErrors if the viewer may not see the sender's mail.
    """
    return Folder(await view_as.resolve_sender(context, view_as_id), name)


async def stream_counts(context: Context, view_as_id: str | None) -> AsyncGenerator[FolderCounts, None]:
    """Stream the email counts of a sender's folders: now, and after each change.

    The sender is the viewer or, with `view_as_id`, another user.

    Raises: UserErrors before the first message if the viewer may not see the sender's mail. The stream raises
    CountsLost if it can no longer be kept up to date.
    """
    return _messages(context, await view_as.resolve_sender(context, view_as_id))


async def _messages(context: Context, sender_id: int) -> AsyncGenerator[FolderCounts, None]:
    # A viewer can always see their own mail. The right to see a colleague's may end while no count changes, so it is
    # checked regularly.
    timeout = None if sender_id == context.viewer.user_id else POLL_INTERVAL_SECONDS
    subscription = await context.services.folder_counts.subscribe(sender_id)
    try:
        while await subscription.wait(timeout) and await context.refresh():
            if not context.viewer.sees_mail_of(context.viewer.team_id, sender_id):
                return
            if (counts := subscription.take_changed()) is not None:
                context.loaders.prime_folder_counts(sender_id, counts)
                yield FolderCounts(sender_id)
    finally:
        subscription.close()


async def load_by_key(context: Context, type_name: str, key: str) -> Folder | FolderGroup | None:
    """Return the folder or group that a key names, or None.

    The result is None if the key is malformed or the viewer may not see the sender's emails.
    """
    digits, _, name = key.partition(".")
    sender = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
    viewer = context.viewer
    if sender != viewer.user_id and not (viewer.admin and await User.filter(User.visible(viewer), id=sender).exists()):
        return None
    if type_name == "Folder":
        return Folder(sender, FolderName[name]) if name in FolderName.__members__ else None
    return FolderGroup(sender, FolderGroupName[name]) if name in FolderGroupName.__members__ else None
