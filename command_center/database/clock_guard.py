"""Detects jumps of the database's clock by comparison with this machine's clock.

It accesses neither the database nor its clock.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

HOUR_MICROS = 3_600_000_000
MAX_DEVIATION_MICROS = HOUR_MICROS
"""The deviation from the expected reading, in microseconds, above which a reading is a jump."""
MAX_DOWNTIME_MICROS = 30 * 24 * HOUR_MICROS
"""The longest time since the last stored tick, in microseconds, that is accepted without an operator."""
CONFIRMATION_MICROS = 600_000_000
"""How long readings must agree, in microseconds, before a jump is accepted."""
MAX_DISAGREEMENT_MICROS = 60_000_000
"""How much agreeing readings may differ, in microseconds."""
_BOOT_TIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class JumpKind(Enum):
    """Whether the database's clock is ahead of or behind the expected time.

    The values are stored.
    """

    AHEAD = "AHEAD"
    BEHIND = "BEHIND"


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump of the clock about which nothing has been decided yet.

    `reading` is what the clock showed after the jump, and `elapsed` the time since this machine started. Both are in
    microseconds, and belong to the first of the readings that agree with each other.
    """

    kind: JumpKind
    reading: int
    elapsed: int


def elapsed_micros() -> int:
    """Return the microseconds since this machine started.

    They include suspended time if the system counts it.
    """
    return time.clock_gettime_ns(_BOOT_TIME) // 1000


class ClockGuard:
    """Turns readings of a clock into times that never go back.

    After a jump, it no longer trusts the clock.

    During a jump the time is the last trusted one plus the time that has passed on this machine since. Readings come
    from several threads.
    """

    def __init__(self, elapsed: Callable[[], int] = elapsed_micros) -> None:
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._latest = 0
        self._good: tuple[int, int] | None = None
        """The last trusted reading, and this machine's elapsed time when it was taken."""
        self.jump: Jump | None = None

    def start(self, reading: int, reference: int, good: int | None, jumped_to: int | None) -> None:
        """Decide whether to trust the first reading, by comparison with stored times.

        `reference` is the last stored time; no earlier time is returned from now on. If another process detected a
        jump about which nothing has been decided, `good` is the last time before it and `jumped_to` the time after it.
        """
        with self._lock:
            at = self._elapsed()
            start = max(reference, good or 0)
            self._latest = max(self._latest, reference)
            kind: JumpKind | None = None
            if reference and reading > reference + MAX_DOWNTIME_MICROS:
                kind = JumpKind.AHEAD
            elif reading < start - MAX_DEVIATION_MICROS:
                kind = JumpKind.BEHIND
            elif (
                jumped_to is not None
                and jumped_to - MAX_DEVIATION_MICROS <= reading
                and reading > start + MAX_DEVIATION_MICROS
            ):
                kind = JumpKind.AHEAD
            self._good = (reading if kind is None else start, at)
            self.jump = None if kind is None else Jump(kind, reading, at)

    def read(self, reading: int) -> int:
        """Return the time to use, given what the clock shows now.

        Both are in microseconds. If the reading reveals a jump, `jump` is set.
        """
        with self._lock:
            if self._good is None:
                self._latest = max(self._latest, reading)
                return self._latest
            at = self._elapsed()
            expected = self._good[0] + at - self._good[1]
            if -MAX_DEVIATION_MICROS <= reading - expected <= MAX_DEVIATION_MICROS:
                self.jump = None
                self._good = (reading, at)
                self._latest = max(self._latest, reading)
                return self._latest
            kind = JumpKind.AHEAD if reading > expected else JumpKind.BEHIND
            jump = self.jump
            if (
                jump is None
                or jump.kind is not kind
                or abs(reading - jump.reading - at + jump.elapsed) > MAX_DISAGREEMENT_MICROS
            ):
                self.jump = Jump(kind, reading, at)
            self._latest = max(self._latest, expected)
            return self._latest

    def is_confirmed(self, reading: int, reference: int) -> bool:
        """Return whether a clock that is ahead may be trusted without an operator.

        Its readings must have agreed for long enough, and `reference`, the last stored time, must not be too far back.
        Call it after `read`.
        """
        with self._lock:
            jump = self.jump
            return (
                jump is not None
                and jump.kind is JumpKind.AHEAD
                and self._elapsed() - jump.elapsed >= CONFIRMATION_MICROS
                and reading <= reference + MAX_DOWNTIME_MICROS
            )

    def believe(self, reading: int) -> None:
        """Trust the clock again, which shows `reading`, after a decision on its jump.

        The time goes back only if later times were wrong by more than a jump.
        """
        with self._lock:
            self.jump = None
            self._good = (reading, self._elapsed())
            self._latest = reading if reading < self._latest - MAX_DEVIATION_MICROS else max(self._latest, reading)
