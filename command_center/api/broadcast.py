"""Renders each change message once for all subscribers of a broadcast group.

Subscribers with the same document, variables and permissions form a group and receive the same bytes. Each change
message is executed and encoded once per group. This happens in a task of its own, with the viewer that the subscribers
have in common, their current permissions, and new loaders. It does not depend on the subscriber that needed the message
first, which may leave. Each subscriber tracks its own position in the log.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from graphql import ExecutionResult
from graphql.pyutils import gather_with_cancel

from command_center.api.parameters import Parameters
from command_center.changes.cursors import LogIdentity
from command_center.changes.entries import LogEntry
from command_center.changes.subscribers import MAX_BATCH_ENTRIES, Subscriber
from command_center.graphql_engine.documents import PreparedOperation
from command_center.graphql_engine.executor import OperationExecutor
from models.enums import ChangeKind
from models.viewers import Viewer
from resolvers.change_messages import ChangeMessage, EntryBatch, MessageKey
from resolvers.context import Context, Services

CACHE_SECONDS: Final = 1.0
"""How long a payload is reused for subscribers that need it later. Revoked permissions take effect within this time."""

CACHE_BYTES: Final = 2 * 2**20
"""The memory of a group's cached payloads. For a subscriber that is further behind, messages are rendered again."""


class EncodedPayload(NamedTuple):
    """One change message of a broadcast group as the bytes that are sent.

    `body` is None if the viewer no longer exists. `last` means that the stream ends after it.
    """

    body: bytes | None
    last: bool = False


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What the subscribers of a broadcast group have in common.

    While a document is cached, `prepared` is the same object.
    """

    prepared: PreparedOperation
    variables: bytes
    viewer: Viewer


class BroadcastGroup:
    """Renders change messages for its members.

    `members` is the number of open streams. `executor` is that of the member who came first.
    """

    def __init__(
        self, registry: "BroadcastGroups", executor: OperationExecutor, services: Services, viewer: Viewer
    ) -> None:
        self.members = 0
        self._registry = registry
        self._executor = executor
        self._services = services
        self._viewer = viewer
        self._running: dict[MessageKey, _Rendering] = {}
        self._cached: dict[MessageKey, EncodedPayload] = {}
        self._cached_bytes = 0
        self._may_wait = False
        """Whether rendering a change message has ever had to wait for rows."""

    def find_cached_payloads(self, batch: EntryBatch) -> Sequence[EncodedPayload] | None:
        """Return the payloads of the entries if all are cached, otherwise None."""
        payloads = [each for key in batch.message_keys() if (each := self._cached.get(key))]
        return payloads if len(payloads) == len(batch.entries or (None,)) else None

    async def render(self, batch: EntryBatch) -> Sequence[EncodedPayload]:
        """Return the encoded change messages of the entries, rendered if not cached."""
        if self.members == 1:
            return [*(await self._execute(batch.messages())).values()]
        keys = batch.message_keys()
        self._start(batch)
        # Collected before anything is awaited, because cached payloads may expire meanwhile.
        sources = [(key, self._cached.get(key) or self._running[key]) for key in keys]
        return [
            each if isinstance(each, EncodedPayload) else (await each.wait_for_payloads())[key] for key, each in sources
        ]

    def notify(self, identity: LogIdentity, entries: Sequence[LogEntry], subscribers: Collection[Subscriber]) -> None:
        """Render new entries, which are already in the queues of these subscribers.

        The payloads are delivered to subscribers that are up to date. The others are woken.
        """
        batch = EntryBatch(identity, entries[:MAX_BATCH_ENTRIES])
        task = self._start(batch) if self.members > 1 else None
        if task is None:
            self._serve(batch, subscribers)
        else:
            task.add_done_callback(lambda _: self._serve(batch, subscribers))

    def _serve(self, batch: EntryBatch, subscribers: Collection[Subscriber]) -> None:
        # If the payload may end a stream, the stream itself has to handle it.
        ends = any(entry.kind is ChangeKind.SEARCH_DELETED for entry in batch.entries)
        payloads = () if ends else self.find_cached_payloads(batch) or ()
        bodies = [each.body for each in payloads if each.body is not None]
        for subscriber in subscribers:
            if not bodies or not subscriber.try_deliver(batch.entries, bodies):
                subscriber.wake()

    def _start(self, batch: EntryBatch) -> "asyncio.Task[Mapping[MessageKey, EncodedPayload]] | None":
        """Start rendering the messages that are neither cached nor being rendered.

        Returns None if there is nothing to start.
        """
        messages = batch.messages().items()
        new = {key: each for key, each in messages if key not in self._cached and key not in self._running}
        if not new:
            return None
        rendering = _Rendering(asyncio.create_task(self._execute(new), name="broadcast group"))
        self._running.update(dict.fromkeys(new, rendering))
        rendering.task.add_done_callback(lambda _: self._store(new, rendering))
        return rendering.task

    def _store(self, keys: Mapping[MessageKey, ChangeMessage], rendering: "_Rendering") -> None:
        for key in keys:
            del self._running[key]
        payloads = rendering.end()
        for key in keys:
            each = payloads.get(key)
            if each is not None and not each.last:
                self._cached[key] = each
                self._cached_bytes += len(each.body or b"")
        while self._cached_bytes > CACHE_BYTES and len(self._cached) > 1:
            self._drop(next(iter(self._cached)))
        asyncio.get_running_loop().call_later(CACHE_SECONDS, self._forget, keys)

    async def _execute(self, messages: Mapping[MessageKey, ChangeMessage]) -> Mapping[MessageKey, EncodedPayload]:
        """Render the messages together, so that they share the rows that they load."""
        self._registry.rendered_count += len(messages)
        context = Context(self._services, self._viewer)
        try:
            if not await context.refresh():
                return dict.fromkeys(messages, EncodedPayload(None, last=True))
            if context.viewer != self._viewer:
                # Payloads rendered with other permissions must not be reused.
                self._viewer = context.viewer
                self._forget(list(self._cached))
            payloads = await self._render_all([*messages.values()], context)
        except Exception as exc:
            # The error belongs to no field, so it ends the stream.
            return dict.fromkeys(messages, EncodedPayload(self._registry.excuse(exc), last=True))
        return dict(zip(messages, payloads, strict=True))

    async def _render_all(self, messages: Sequence[ChangeMessage], context: Context) -> list[EncodedPayload]:
        """Execute the messages, concurrently once one of them has had to wait for rows.

        Most never wait, and executing those in sequence saves a task for each.
        """
        payloads: list[EncodedPayload] = []
        for index, message in enumerate(messages):
            if self._may_wait and index + 1 < len(messages):
                return payloads + await gather_with_cancel(
                    *(self._render_message(each, context) for each in messages[index:])
                )
            payloads.append(await self._render_message(message, context))
        return payloads

    async def _render_message(self, message: ChangeMessage, context: Context) -> EncodedPayload:
        result = self._executor.execute_event(message, context)
        if not isinstance(result, ExecutionResult):
            self._may_wait = True
            result = await result
        return EncodedPayload(self._registry.encode(result))

    def _forget(self, keys: Iterable[MessageKey]) -> None:
        for key in keys:
            self._drop(key)

    def _drop(self, key: MessageKey) -> None:
        payload = self._cached.pop(key, None)
        self._cached_bytes -= len(payload.body or b"") if payload else 0

    async def settle(self) -> None:
        """Wait for renderings in progress."""
        await asyncio.gather(*{rendering.task for rendering in self._running.values()}, return_exceptions=True)


class _Rendering:
    """A task that renders change messages, and the futures of its waiters.

    Each waiter has its own future, because cancelling a waiter would otherwise cancel the task for all.
    """

    __slots__ = ("_waiters", "task")

    def __init__(self, task: "asyncio.Task[Mapping[MessageKey, EncodedPayload]]") -> None:
        self.task = task
        self._waiters: list[asyncio.Future[None]] = []

    async def wait_for_payloads(self) -> Mapping[MessageKey, EncodedPayload]:
        """Wait for the rendering, and return its payloads."""
        if not self.task.done():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return self.task.result()

    def end(self) -> Mapping[MessageKey, EncodedPayload]:
        """Complete the futures of all waiters, and return the rendered payloads.

        If the task was cancelled, there are none.
        """
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        return {} if self.task.cancelled() else self.task.result()


class BroadcastGroups:
    """All broadcast groups of this process.

    `rendered_count` counts the rendered messages.
    """

    def __init__(self, encode: Callable[[ExecutionResult], bytes], excuse: Callable[[Exception], bytes]) -> None:
        self.encode = encode
        self.excuse = excuse
        self.rendered_count = 0
        self._groups: dict[GroupKey, BroadcastGroup] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def join(self, key: GroupKey, executor: OperationExecutor, services: Services) -> BroadcastGroup:
        """Join the broadcast group with a key, which is created if necessary.

        The caller must call `leave` at the end.
        """
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = BroadcastGroup(self, executor, services, key.viewer)
        group.members += 1
        return group

    def leave(self, key: GroupKey) -> None:
        """Leave a group, which is removed with its last member."""
        group = self._groups[key]
        group.members -= 1
        if not group.members:
            del self._groups[key]

    async def settle(self) -> None:
        """Wait for renderings in progress."""
        for group in list(self._groups.values()):
            await group.settle()


def create_group_key(prepared: PreparedOperation, parameters: Parameters, viewer: Viewer) -> GroupKey:
    """Return the key of the broadcast group that a subscriber belongs to.

    Variables that only select what is subscribed, and from which position, are not part of it: the change message
    contains them.
    """
    shaping_variables = {
        name: value for name, value in parameters.variables.items() if name in prepared.shaping_variables
    }
    text = json.dumps(shaping_variables, sort_keys=True).encode() if shaping_variables else b""
    return GroupKey(prepared, hashlib.sha256(text).digest() if len(text) > 32 else text, viewer)
