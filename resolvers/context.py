"""What a resolver is given: who asks, the way to write, the streams, and loaders that live for one answer only."""

from dataclasses import dataclass, field, replace
from datetime import date

from command_center.actions.context import ActionContext
from command_center.actions.engagements import Recorder
from command_center.changes.folder_counts import FolderCountBroadcaster
from command_center.changes.hub import Hub
from command_center.changes.idempotency import IdempotencyClaim
from command_center.changes.subscribers import GroupNotifier, Sink
from command_center.database.connections import database
from models.users import User, load_viewer
from models.viewers import Viewer
from models.zones import day
from resolvers.loaders import Loaders


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the running server that resolvers use."""

    ctx: ActionContext
    hub: Hub
    board: FolderCountBroadcaster
    recorder: Recorder


@dataclass
class Context:
    """One operation's, and on a stream one frame's: a loader kept longer would serve rows of yesterday."""

    services: Services
    viewer: Viewer
    loaders: Loaders = field(default_factory=Loaders)
    claim: IdempotencyClaim | None = None
    """Of a request with an Idempotency-Key."""
    bell: GroupNotifier | None = None
    """Of a stream that others follow too: what wakes it, and where it goes."""
    sink: Sink | None = None

    async def renew(self) -> bool:
        """Forgets what was loaded and looks at the rights anew, for the next frame of a stream. Whether the viewer is
        still there."""
        self.loaders = Loaders()
        viewer = await load_viewer(self.viewer.user_id, self.viewer.team_id, self.viewer.scopes)
        self.viewer = viewer or self.viewer
        return viewer is not None

    @property
    def ctx(self) -> ActionContext:
        ctx = self.services.ctx
        return ctx if self.claim is None else replace(ctx, writer=ctx.writer.with_claim(self.claim))

    async def now(self) -> int:
        """The moment by the clock that decides membership, in microseconds."""
        return await self.ctx.writer.clock.now(database())

    async def today(self) -> date:
        """The viewer's own day, the same all through one answer."""
        return await self.loaders.once("today", self._today)

    async def _today(self) -> date:
        user = await self.loaders.row(User, self.viewer.user_id)
        return day(await self.now(), "UTC" if user is None else user.time_zone)


async def find_viewer(user_id: int, team_id: int, scopes: frozenset[str]) -> Viewer | None:
    """Returns a user of a team as a viewer, with their present role; None if there is no such user."""
    return await load_viewer(user_id, team_id, scopes)
