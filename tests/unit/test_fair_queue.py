"""Which events are committed next: all that wait of one team, or a fair part of several teams' events."""

from dataclasses import dataclass, field

import pytest

from command_center.actions import fair_queue
from command_center.actions.fair_queue import FairQueue


@dataclass(eq=False)
class Waiting:
    team_id: int | None
    size: int
    dequeued_count: int = 0
    events: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.events = [*range(self.size)]


def taken(queue: FairQueue[Waiting]) -> list[tuple[int | None, int, bool]]:
    return [(part.request.team_id, len(part.events), part.last) for part in queue.take_batch()]


def test_requests_of_one_team_share_a_commit_whole() -> None:
    queue = FairQueue[Waiting]()
    for size in (1_000, 3_000, 2_000):
        queue.add(Waiting(1, size))
    queue.add(Waiting(None, 1))
    assert taken(queue) == [(1, 1_000, True), (1, 3_000, True), (None, 1, True)]
    assert taken(queue) == [(1, 2_000, True)]
    assert not queue


def test_a_request_larger_than_a_batch_is_taken_alone() -> None:
    queue = FairQueue[Waiting]()
    queue.add(Waiting(1, fair_queue.BATCH + 1))
    queue.add(Waiting(1, 1))
    assert len(queue.take_batch()[0].events) == fair_queue.BATCH
    assert [len(part.events) for part in queue.take_batch()] == [1, 1]


def test_several_teams_get_equal_parts_and_what_others_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_queue, "SHARED_BATCH", 250)
    queue = FairQueue[Waiting]()
    for team, size in ((1, 1_000), (1, 1_000), (2, 400), (3, 1)):
        queue.add(Waiting(team, size))
    assert taken(queue) == [(3, 1, True)]
    queue.add(Waiting(3, 2))
    assert taken(queue) == [(3, 2, True), (2, 124, False), (1, 124, False)]
    total = 1 + 250
    while queue:
        parts = taken(queue)
        assert sum(size for _, size, _ in parts) <= fair_queue.SHARED_BATCH
        total += sum(size for _, size, _ in parts)
    assert total == 2_403


def test_the_rest_of_a_request_may_be_discarded() -> None:
    queue = FairQueue[Waiting]()
    large = Waiting(1, 1_000)
    queue.add(large)
    queue.add(Waiting(2, 1))
    queue.take_batch()
    queue.discard(large)
    queue.discard(large)
    assert not queue
    queue.add_first([large])
    assert list(queue) == [large]
    assert queue.clear() == [large]
    assert not queue
