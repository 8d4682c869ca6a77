"""The guard of the clock: what it believes, what it returns while it does not, and when it believes again."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.database.clock_guard import ClockGuard, JumpKind

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
START = 1_800_000_000 * SECOND


@dataclass
class Machine:
    """A machine whose time passes as the test says, and a guard that reads a clock on it."""

    elapsed: int = 7 * DAY
    error: int = 0
    """How far the clock is ahead of the true time."""
    guard: ClockGuard = field(init=False)

    def __post_init__(self) -> None:
        self.booted = START - self.elapsed
        self.guard = ClockGuard(lambda: self.elapsed)
        self.guard.start(self.reading, START - DAY, None, None)

    @property
    def true(self) -> int:
        return self.booted + self.elapsed

    @property
    def reading(self) -> int:
        return self.true + self.error

    def read(self, after: int = 0) -> int:
        self.elapsed += after
        return self.guard.read(self.reading)

    def confirmed(self) -> bool:
        return self.guard.is_confirmed(self.reading, START)


@pytest.mark.parametrize("error", [400 * DAY, 2 * HOUR, HOUR + SECOND, -400 * DAY, -2 * HOUR])
def test_a_wrong_clock_is_ignored_until_it_is_right(error: int) -> None:
    machine = Machine()
    machine.read(SECOND)
    for machine.error in (error, error, 0):
        assert machine.read(2 * SECOND) == machine.true
        assert (machine.guard.jump is None) is (machine.error == 0)


@pytest.mark.parametrize("hours", [1, 30, 24 * 400])
def test_a_machine_that_was_suspended_has_not_jumped(hours: int) -> None:
    machine = Machine()
    assert machine.read(hours * HOUR) == machine.true
    assert machine.guard.jump is None


def test_ten_minutes_of_consistent_readings_confirm_a_jump() -> None:
    machine = Machine(error=0)
    machine.error = 2 * DAY
    for _ in range(600):
        machine.read(SECOND)
        assert not machine.confirmed()
    machine.read(SECOND)
    assert machine.confirmed()
    machine.guard.believe(machine.reading)
    assert machine.read(SECOND) == machine.true + 2 * DAY


def test_inconsistent_readings_restart_the_ten_minutes() -> None:
    machine = Machine()
    machine.error = 2 * DAY
    machine.read(0)
    machine.error = 3 * DAY
    machine.read(599 * SECOND)
    machine.read(2 * SECOND)
    assert not machine.confirmed()
    machine.read(600 * SECOND)
    assert machine.confirmed()


def test_thirty_days_after_the_last_tick_nothing_is_confirmed() -> None:
    machine = Machine()
    machine.error = 31 * DAY
    machine.read(0)
    machine.read(DAY)
    assert not machine.confirmed()
    machine.error = -DAY
    machine.read(0)
    machine.read(DAY)
    assert not machine.confirmed()


@pytest.mark.parametrize(
    "down, kind",
    [
        (0, None),
        (29 * DAY, None),
        (30 * DAY, None),
        (30 * DAY + SECOND, JumpKind.AHEAD),
        (-SECOND, None),
        (-HOUR, None),
        (-HOUR - SECOND, JumpKind.BEHIND),
    ],
)
def test_downtime_of_up_to_thirty_days_is_no_jump(down: int, kind: JumpKind | None) -> None:
    guard = ClockGuard(lambda: 0)
    guard.start(START + down, START, None, None)
    assert (guard.jump and guard.jump.kind) == kind
    assert guard.read(START + down) == (START if kind else max(START, START + down))


def test_a_new_database_has_no_time_to_compare_with() -> None:
    guard = ClockGuard(lambda: 0)
    guard.start(START, 0, None, None)
    assert (guard.jump, guard.read(START)) == (None, START)


@pytest.mark.parametrize("reading, paused", [(DAY, True), (2 * DAY, True), (SECOND, False), (12 * HOUR, False)])
def test_a_process_started_in_a_pause_distrusts_a_wrong_clock(reading: int, paused: bool) -> None:
    guard = ClockGuard(lambda: 0)
    guard.start(START + reading, START - SECOND, START, START + DAY)
    assert (guard.jump is not None) is paused
    assert guard.read(START + reading) == START + (0 if paused else reading)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10 * DAY),
            st.sampled_from([0, 0, 0, SECOND, -SECOND, 59 * 60 * SECOND, 2 * HOUR, -2 * HOUR, 400 * DAY, -400 * DAY]),
        ),
        max_size=30,
    )
)
def test_time_never_goes_back_and_is_never_far_from_the_truth(steps: list[tuple[int, int]]) -> None:
    """Errors up to an hour follow each other at most once a step, so each can add one hour."""
    machine, last, wrong = Machine(), 0, 0
    for passed, machine.error in steps:
        wrong += HOUR if machine.error else 0
        now = machine.read(passed)
        assert now >= last
        assert abs(now - machine.true) <= wrong
        last = now
