"""Defines the context of resolvers: the viewer, services and loaders."""

from dataclasses import dataclass, field, replace
from datetime import date

from command_center.actions.context import ActionContext
from command_center.actions.engagements import Recorder
from command_center.changes.folder_counts import FolderCountBroadcaster
from command_center.changes.hub import Hub
from command_center.changes.idempotency import IdempotencyClaim
from command_center.changes.subscribers import GroupNotifier, PayloadSender
from command_center.database.connections import database
from command_center.time_zones import local_day
from models.users import User
from models.users import load_viewer as load_viewer
from models.viewers import Viewer
from resolvers.loaders import Loaders


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the running server that resolvers use."""

    ctx: ActionContext
    hub: Hub
    folder_counts: FolderCountBroadcaster
    recorder: Recorder


@dataclass
class Context:
    """The context of one operation or, on a stream, of one change message.

    Loaders live no longer than that, because they would return stale rows.
    """

    services: Services
    viewer: Viewer
    loaders: Loaders = field(default_factory=Loaders)
    claim: IdempotencyClaim | None = None
    """The claim on its key, if the request has an Idempotency-Key."""
    notifier: GroupNotifier | None = None
    """The notifier of the broadcast group to which a stream belongs."""
    sink: PayloadSender | None = None
    """A direct way to the socket of a stream. It delivers rendered payloads without waking the subscriber."""

    async def refresh(self) -> bool:
        """Discard all loaded rows and load the viewer again.

        Streams call it before each message, so that no message shows stale rows or uses former rights.

        Returns False if the user no longer exists.
        """
        self.loaders = Loaders()
        viewer = await load_viewer(self.viewer.user_id, self.viewer.team_id, self.viewer.scopes)
        self.viewer = viewer or self.viewer
        return viewer is not None

    @property
    def ctx(self) -> ActionContext:
        """The context that mutations pass to the functions of `actions`.

        If the request has an idempotency key, its writer records with every change that the key has been used.
        """
        ctx = self.services.ctx
        return ctx if self.claim is None else replace(ctx, writer=ctx.writer.with_claim(self.claim))

    async def now(self) -> int:
        """Return the current time in microseconds, by the clock that decides membership."""
        return await self.ctx.writer.clock.now(database())

    async def today(self) -> date:
        """Return the current day in the viewer's time zone.

        It does not change within one response.
        """
        return await self.loaders.compute_once("today", self._today)

    async def _today(self) -> date:
        user = await self.loaders.load_row(User, self.viewer.user_id)
        return local_day(await self.now(), "UTC" if user is None else user.time_zone)
