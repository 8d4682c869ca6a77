"""Audiences: whoever follows with the same document, variables and rights hears the same bytes.

One execution and one encoding for a frame, however many hear it. It is carried out for the person that the audience
stands for, with the rights of that moment and loaders of its own, in a task of its own: whoever asked first has no part
in it and may leave. Where each of them is in the log is the followers' own affair.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from graphql import ExecutionResult
from graphql.execution import Executor
from graphql.pyutils import gather_with_cancel

from command_center.api.parameters import Parameters
from command_center.changes.cursors import LogIdentity
from command_center.changes.entries import LogEntry
from command_center.changes.subscribers import BURST, Subscriber
from command_center.graphql_engine.documents import PreparedOperation
from models.enums import ChangeKind
from models.viewers import Viewer
from resolvers.change_messages import ChangeMessage, EntryBatch, Place
from resolvers.context import Context, Services

KEPT_SECONDS: Final = 1.0
"""How long what was said is said again to those who come to it later: rights that end meanwhile are noticed by then."""

KEPT_BYTES: Final = 2 * 2**20
"""What one audience keeps. A reader who falls behind that is told anew."""


class EncodedPayload(NamedTuple):
    """What is said of one frame: nothing where the viewer is gone. `last` ends the stream."""

    body: bytes | None
    last: bool = False


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What those of one audience have in common. The document is the same object while it is kept."""

    prepared: PreparedOperation
    variables: bytes
    viewer: Viewer


class BroadcastGroup:
    """`members` are the open streams. `template` is an executor of the operation, without a context."""

    def __init__(self, home: "BroadcastGroups", template: Executor[Any], services: Services, viewer: Viewer) -> None:
        self.members = 0
        self._home = home
        self._template = template
        self._services = services
        self._viewer = viewer
        self._running: dict[Place, _Rendering] = {}
        self._kept: dict[Place, EncodedPayload] = {}
        self._bytes = 0
        self._waits = False
        """Whether any frame had to wait so far."""

    def known(self, burst: EntryBatch) -> Sequence[EncodedPayload] | None:
        """What `hear` comes to, where that is known already."""
        said = [each for place in burst.places() if (each := self._kept.get(place))]
        return said if len(said) == len(burst.entries or (None,)) else None

    async def render(self, burst: EntryBatch) -> Sequence[EncodedPayload]:
        """What is said to each of the members."""
        if self.members == 1:
            return [*(await self._execute(burst.frames())).values()]
        places = burst.places()
        self._begin(burst)
        # Found before anything is waited for: what is kept may be gone by then.
        found = [(place, self._kept.get(place) or self._running[place]) for place in places]
        return [each if isinstance(each, EncodedPayload) else (await each.payload())[place] for place, each in found]

    def notify(self, identity: LogIdentity, entries: Sequence[LogEntry], followers: Collection[Subscriber]) -> None:
        """Executes what they will ask for first; then those who are up to date have it, and the others are woken."""
        burst = EntryBatch(identity, entries[:BURST])
        begun = self._begin(burst) if self.members > 1 else None
        if begun is None:
            self._serve(burst, followers)
        else:
            begun.add_done_callback(lambda _: self._serve(burst, followers))

    def _serve(self, burst: EntryBatch, followers: Collection[Subscriber]) -> None:
        # What a stream may end with is left to the stream.
        ends = any(entry.kind is ChangeKind.SEARCH_DELETED for entry in burst.entries)
        said = () if ends else self.known(burst) or ()
        bodies = [each.body for each in said if each.body is not None]
        for follower in followers:
            if not bodies or not follower.try_deliver(burst.entries, bodies):
                follower.wake()

    def _begin(self, burst: EntryBatch) -> "asyncio.Task[Mapping[Place, EncodedPayload]] | None":
        """Has executed what is neither there nor on its way."""
        frames = burst.frames().items()
        new = {place: each for place, each in frames if place not in self._kept and place not in self._running}
        if not new:
            return None
        work = _Rendering(asyncio.create_task(self._execute(new), name="audience"))
        self._running.update(dict.fromkeys(new, work))
        work.task.add_done_callback(lambda _: self._done(new, work))
        return work.task

    def _done(self, places: Mapping[Place, ChangeMessage], work: "_Rendering") -> None:
        for place in places:
            del self._running[place]
        said = work.end()
        for place in places:
            each = said.get(place)
            if each is not None and not each.last:
                self._kept[place] = each
                self._bytes += len(each.body or b"")
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))
        asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget, places)

    async def _execute(self, frames: Mapping[Place, ChangeMessage]) -> Mapping[Place, EncodedPayload]:
        """The frames of one moment: they see the same rows, which are loaded together."""
        self._home.executions += len(frames)
        context = Context(self._services, self._viewer)
        try:
            if not await context.renew():
                return dict.fromkeys(frames, EncodedPayload(None, last=True))
            if context.viewer != self._viewer:
                # What was said under other rights is not said again.
                self._viewer = context.viewer
                self._forget(list(self._kept))
            said = await self._all_payloads([*frames.values()], context)
        except Exception as exc:
            # What cannot be attributed to a field: the stream itself broke.
            return dict.fromkeys(frames, EncodedPayload(self._home.excuse(exc), last=True))
        return dict(zip(frames, said, strict=True))

    async def _all_payloads(self, events: Sequence[ChangeMessage], context: Context) -> list[EncodedPayload]:
        """What is said of each. Where frames have to wait for rows, they wait together; most never do, and take no task
        each."""
        said: list[EncodedPayload] = []
        for place, event in enumerate(events):
            if self._waits and place + 1 < len(events):
                return said + await gather_with_cancel(*(self._payload(each, context) for each in events[place:]))
            said.append(await self._payload(event, context))
        return said

    async def _payload(self, event: ChangeMessage, context: Context) -> EncodedPayload:
        executor = self._template.build_per_event_executor(event)
        executor.context_value = context
        result: Any = executor.execute_operation(False)
        if executor.is_awaitable(result):
            self._waits = True
            result = await result
        return EncodedPayload(self._home.encode(result))

    def _forget(self, places: Iterable[Place]) -> None:
        for place in places:
            self._drop(place)

    def _drop(self, place: Place) -> None:
        said = self._kept.pop(place, None)
        self._bytes -= len(said.body or b"") if said else 0

    async def settle(self) -> None:
        """Waits for what is under way."""
        await asyncio.gather(*{work.task for work in self._running.values()}, return_exceptions=True)


class _Rendering:
    """One execution, and who waits for it: a future for each, as the task itself would be cancelled with the first."""

    __slots__ = ("_waiting", "task")

    def __init__(self, task: "asyncio.Task[Mapping[Place, EncodedPayload]]") -> None:
        self.task = task
        self._waiting: list[asyncio.Future[None]] = []

    async def payload(self) -> Mapping[Place, EncodedPayload]:
        if not self.task.done():
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
        return self.task.result()

    def end(self) -> Mapping[Place, EncodedPayload]:
        """Lets them go on; nothing was said where the task was cancelled."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        return {} if self.task.cancelled() else self.task.result()


class BroadcastGroups:
    """All of this process. `executions` counts what was executed for them."""

    def __init__(self, encode: Callable[[ExecutionResult], bytes], excuse: Callable[[Exception], bytes]) -> None:
        self.encode = encode
        self.excuse = excuse
        self.executions = 0
        self._audiences: dict[GroupKey, BroadcastGroup] = {}

    def __len__(self) -> int:
        return len(self._audiences)

    def join(self, likeness: GroupKey, executor: Executor[Any], services: Services) -> BroadcastGroup:
        """The audience of those who are alike; to be left by `leave`."""
        audience = self._audiences.get(likeness)
        if audience is None:
            template = copy(executor)
            template.context_value = None
            audience = self._audiences[likeness] = BroadcastGroup(self, template, services, likeness.viewer)
        audience.members += 1
        return audience

    def leave(self, likeness: GroupKey) -> None:
        audience = self._audiences[likeness]
        audience.members -= 1
        if not audience.members:
            del self._audiences[likeness]

    async def settle(self) -> None:
        """Waits for what is under way."""
        for audience in list(self._audiences.values()):
            await audience.settle()


def group_key(prepared: PreparedOperation, asked: Parameters, viewer: Viewer) -> GroupKey:
    """Whom else one hears the same as. Variables that only say what is followed, and from where, decide nothing: the
    frame says it."""
    chosen = {name: value for name, value in asked.variables.items() if name in prepared.shaping}
    text = json.dumps(chosen, sort_keys=True).encode() if chosen else b""
    return GroupKey(prepared, hashlib.sha256(text).digest() if len(text) > 32 else text, viewer)


async def executed(executor: Executor[Any], event: Any) -> ExecutionResult:
    """The answer to one event of a stream that is followed alone, in its own context."""
    running: Any = executor.build_per_event_executor(event).execute_operation(False)
    result: ExecutionResult = await running if executor.is_awaitable(running) else running
    return result
