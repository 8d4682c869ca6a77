"""Runs awaitables whose results nobody needs any more.

They are not cancelled, because a resolver may be in the middle of something. Their errors are ignored.
"""

import asyncio
from asyncio import iscoroutine
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, TypeGuard

from graphql import GraphQLResolveInfoHelpers
from graphql.pyutils import gather_with_cancel

IsAwaitable: TypeAlias = Callable[[object], TypeGuard[Awaitable[object]]]
"""Tells whether a value must be awaited."""


class BackgroundWork:
    """The abandoned awaitables of one execution. It refers to them until they end."""

    __slots__ = ("_futures", "_is_awaitable")

    def __init__(self, is_awaitable: IsAwaitable) -> None:
        self._is_awaitable = is_awaitable
        self._futures: set[asyncio.Future[list[object]]] = set()

    def settle(self, awaitables: Sequence[Awaitable[object]]) -> None:
        """Let the awaitables end in the background, ignoring their results.

        Coroutines are closed if no event loop runs.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            for awaitable in awaitables:
                if iscoroutine(awaitable):
                    awaitable.close()
            return
        future: asyncio.Future[list[object]] = asyncio.gather(*awaitables, return_exceptions=True)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)

    def track(self, values: Sequence[object]) -> None:
        """Let those of the values that are awaitable end in the background."""
        awaitables = [value for value in values if self._is_awaitable(value)]
        if awaitables:
            self.settle(awaitables)

    def create_helpers(self) -> GraphQLResolveInfoHelpers:
        """Return the helpers that resolvers receive with their info."""
        return GraphQLResolveInfoHelpers(gather=_gather, track=self.track)


def _gather(awaitables: Sequence[Awaitable[object]]) -> Awaitable[list[object]]:
    return gather_with_cancel(*awaitables)
