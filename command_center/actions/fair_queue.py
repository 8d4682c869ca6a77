"""Requests that wait to be committed together: fairly by team, and in small parts while several teams have some."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

BATCH = 5_000
"""Events of one commit, if only one team records some."""
SHARED_BATCH = 25
"""The same while several teams do, so that none waits long for the others."""
FEW = 10
"""Events of a team that are committed without those of teams with more, every other time."""
SHARED_SECONDS = 1.0
"""How long after a team's last request the others leave room for it."""


class Request(Protocol):
    """A request of a team; of no team if readers caused it. `taken` of its events are not in the queue any more."""

    taken: int

    @property
    def team_id(self) -> int | None: ...
    @property
    def events(self) -> Sequence[Any]: ...


R = TypeVar("R", bound=Request)


@dataclass(frozen=True, slots=True)
class Part(Generic[R]):
    """Some events of a request, in one commit. `last`: nothing of it follows."""

    request: R
    events: Sequence[Any]
    last: bool


class FairQueue(Generic[R]):
    """Each team's requests are taken in their order."""

    def __init__(self) -> None:
        self._by_team: dict[int | None, deque[R]] = {}
        # When each team came last, by the monotonic clock.
        self._seen: dict[int, float] = {}
        self._took_few = False

    def __bool__(self) -> bool:
        return bool(self._by_team)

    def __iter__(self) -> Iterator[R]:
        for requests in self._by_team.values():
            yield from requests

    def add(self, request: R) -> None:
        """Adds a request behind those of its team."""
        self._by_team.setdefault(request.team_id, deque()).append(request)
        if request.team_id is not None:
            self._seen[request.team_id] = time.monotonic()

    def add_first(self, requests: Sequence[R]) -> None:
        """Puts requests back before those of their teams."""
        for request in reversed(requests):
            self._by_team.setdefault(request.team_id, deque()).appendleft(request)

    def discard(self, request: R) -> None:
        """Removes what is left of a request."""
        requests = self._by_team.get(request.team_id, deque())
        if request in requests:
            requests.remove(request)
            self._tidy(request.team_id)

    def clear(self) -> list[R]:
        """Removes all requests, and returns them."""
        requests = list(self)
        self._by_team.clear()
        return requests

    def take(self) -> list[Part[R]]:
        """Takes the next batch: whole requests if only one team has some, or else parts of equal size."""
        return self._take_parts() if self._shared() else self._take_requests()

    def _shared(self) -> bool:
        if len(self._seen) > 1:
            since = time.monotonic() - SHARED_SECONDS
            self._seen = {team: at for team, at in self._seen.items() if at >= since or team in self._by_team}
        return len(self._seen) > 1

    def _take_requests(self) -> list[Part[R]]:
        parts: list[Part[R]] = []
        room = BATCH
        for team, requests in list(self._by_team.items()):
            while requests and (not parts or len(requests[0].events) - requests[0].taken <= room):
                room -= self._take(requests, BATCH, parts)
            self._tidy(team)
        return parts

    def _take_parts(self) -> list[Part[R]]:
        parts: list[Part[R]] = []
        room = SHARED_BATCH
        # Those with the fewest come first, so that what they leave of their share is left to the others.
        sizes = {team: sum(len(one.events) - one.taken for one in each) for team, each in self._by_team.items()}
        waiting = sorted(self._by_team.items(), key=lambda each: sizes[each[0]])
        few = [each for each in waiting if sizes[each[0]] <= FEW]
        self._took_few = bool(few) and len(few) < len(waiting) and not self._took_few
        if self._took_few:
            waiting = few
        for index, (team, requests) in enumerate(waiting):
            share = max(1, room // (len(waiting) - index))
            while requests and share > 0:
                taken = self._take(requests, share, parts)
                share -= taken
                room -= taken
            self._tidy(team)
        return parts

    @staticmethod
    def _take(requests: deque[R], most: int, parts: list[Part[R]]) -> int:
        request = requests[0]
        events = request.events[request.taken : request.taken + most]
        request.taken += len(events)
        last = request.taken >= len(request.events)
        if last:
            requests.popleft()
        parts.append(Part(request, events, last))
        return len(events)

    def _tidy(self, team_id: int | None) -> None:
        if not self._by_team.get(team_id, True):
            del self._by_team[team_id]
