"""A queue of requests for group commit that is fair among teams.

If requests of only one team wait, a batch holds whole requests. If several teams record events, batches are small and
hold a part of each team's requests.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

BATCH = 5_000
"""The most events in one commit if only one team records events, unless a single request has more."""
SHARED_BATCH = 25
"""The most events in one commit while several teams record events, so that no team waits long for the others."""
SMALL_BACKLOG_EVENTS = 10
"""Teams with at most this number of waiting events have every other commit for themselves."""
SHARED_SECONDS = 1.0
"""The time after a team's last request during which the other teams leave room for it."""


class Request(Protocol):
    """A request of a team, or of no team if it comes from a tracking link.

    The first `dequeued_count` of its events are no longer in the queue.
    """

    dequeued_count: int

    @property
    def team_id(self) -> int | None: ...
    @property
    def events(self) -> Sequence[Any]: ...


R = TypeVar("R", bound=Request)


@dataclass(frozen=True, slots=True)
class BatchPart(Generic[R]):
    """The events of a request in one commit.

    `last` means that they complete the request.
    """

    request: R
    events: Sequence[Any]
    last: bool


class FairQueue(Generic[R]):
    """A queue of requests that keeps the order within each team."""

    def __init__(self) -> None:
        self._by_team: dict[int | None, deque[R]] = {}
        # The time of each team's last request, by the monotonic clock.
        self._last_request: dict[int, float] = {}
        self._served_small_last = False

    def __bool__(self) -> bool:
        return bool(self._by_team)

    def __iter__(self) -> Iterator[R]:
        for requests in self._by_team.values():
            yield from requests

    def add(self, request: R) -> None:
        """Append a request to those of its team."""
        self._by_team.setdefault(request.team_id, deque()).append(request)
        if request.team_id is not None:
            self._last_request[request.team_id] = time.monotonic()

    def add_first(self, requests: Sequence[R]) -> None:
        """Put requests back in front of the others of their teams."""
        for request in reversed(requests):
            self._by_team.setdefault(request.team_id, deque()).appendleft(request)

    def discard(self, request: R) -> None:
        """Remove a request with its remaining events."""
        requests = self._by_team.get(request.team_id, deque())
        if request in requests:
            requests.remove(request)
            self._remove_if_empty(request.team_id)

    def clear(self) -> list[R]:
        """Remove and return all requests."""
        requests = list(self)
        self._by_team.clear()
        return requests

    def take_batch(self) -> list[BatchPart[R]]:
        """Remove and return the next batch.

        It has whole requests if only one team is active, otherwise equal shares.
        """
        return self._take_parts() if self._is_shared() else self._take_requests()

    def _is_shared(self) -> bool:
        """Return whether several teams have waiting or recent requests."""
        if len(self._last_request) > 1:
            since = time.monotonic() - SHARED_SECONDS
            self._last_request = {
                team: at for team, at in self._last_request.items() if at >= since or team in self._by_team
            }
        return len(self._last_request) > 1

    def _take_requests(self) -> list[BatchPart[R]]:
        """Take whole requests until a batch is full; the first request may exceed it."""
        parts: list[BatchPart[R]] = []
        room = BATCH
        for team, requests in list(self._by_team.items()):
            while requests and (not parts or len(requests[0].events) - requests[0].dequeued_count <= room):
                room -= self._take(requests, BATCH, parts)
            self._remove_if_empty(team)
        return parts

    def _take_parts(self) -> list[BatchPart[R]]:
        """Take equal shares of the waiting teams' requests for a small batch."""
        parts: list[BatchPart[R]] = []
        room = SHARED_BATCH
        # Teams with the fewest events come first, so that the others get the unused rest of their shares.
        sizes = {
            team: sum(len(request.events) - request.dequeued_count for request in requests)
            for team, requests in self._by_team.items()
        }
        waiting = sorted(self._by_team.items(), key=lambda item: sizes[item[0]])
        small = [item for item in waiting if sizes[item[0]] <= SMALL_BACKLOG_EVENTS]
        self._served_small_last = bool(small) and len(small) < len(waiting) and not self._served_small_last
        if self._served_small_last:
            waiting = small
        for index, (team, requests) in enumerate(waiting):
            share = max(1, room // (len(waiting) - index))
            while requests and share > 0:
                count = self._take(requests, share, parts)
                share -= count
                room -= count
            self._remove_if_empty(team)
        return parts

    @staticmethod
    def _take(requests: deque[R], limit: int, parts: list[BatchPart[R]]) -> int:
        """Move up to `limit` events of the first request to `parts`.

        Returns the number of moved events.
        """
        request = requests[0]
        events = request.events[request.dequeued_count : request.dequeued_count + limit]
        request.dequeued_count += len(events)
        last = request.dequeued_count >= len(request.events)
        if last:
            requests.popleft()
        parts.append(BatchPart(request, events, last))
        return len(events)

    def _remove_if_empty(self, team_id: int | None) -> None:
        if not self._by_team.get(team_id, True):
            del self._by_team[team_id]
