"""Detects jumps of the database's clock by the time that passes on this machine. Knows no table and reads no clock."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

HOUR = 3_600_000_000
JUMP = HOUR
"""Microseconds that a reading may differ from what is expected. More is a jump."""
DOWNTIME = 30 * 24 * HOUR
"""Microseconds between the last stored tick and a reading that is believed without an operator."""
AGREEMENT = 600_000_000
"""Microseconds for which readings must agree before a jump is believed."""
TOLERANCE = 60_000_000
"""Microseconds by which readings that agree may differ."""
_BOOT_TIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class JumpKind(Enum):
    """Where the database's clock stands, compared with what is expected. The values are stored."""

    AHEAD = "AHEAD"
    BEHIND = "BEHIND"


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump that has not been decided on. `reading` and `elapsed` are those of the first reading that agrees."""

    kind: JumpKind
    reading: int
    elapsed: int


def elapsed_micros() -> int:
    """Microseconds since this machine started, suspended time included where the system counts it."""
    return time.clock_gettime_ns(_BOOT_TIME) // 1000


class ClockGuard:
    """Turns readings of a clock into times that never go back, and stops believing the clock after a jump.

    Then the time is the last good one plus what has passed on this machine since. Readings come from several threads.
    """

    def __init__(self, elapsed: Callable[[], int] = elapsed_micros) -> None:
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._latest = 0
        self._good: tuple[int, int] | None = None
        """The last reading that was believed, and when it was taken."""
        self.jump: Jump | None = None

    def start(self, reading: int, reference: int, good: int | None, jumped_to: int | None) -> None:
        """Judges the first reading. No time before `reference`, the last stored one, is returned from now on.

        `good` and `jumped_to` describe a jump that another process noticed and that has not been decided on.
        """
        with self._lock:
            at = self._elapsed()
            start = max(reference, good or 0)
            self._latest = max(self._latest, reference)
            kind: JumpKind | None = None
            if reference and reading > reference + DOWNTIME:
                kind = JumpKind.AHEAD
            elif reading < start - JUMP:
                kind = JumpKind.BEHIND
            elif jumped_to is not None and jumped_to - JUMP <= reading and reading > start + JUMP:
                kind = JumpKind.AHEAD
            self._good = (reading if kind is None else start, at)
            self.jump = None if kind is None else Jump(kind, reading, at)

    def read(self, reading: int) -> int:
        """The time, given what the clock says now."""
        with self._lock:
            if self._good is None:
                self._latest = max(self._latest, reading)
                return self._latest
            at = self._elapsed()
            expected = self._good[0] + at - self._good[1]
            if -JUMP <= reading - expected <= JUMP:
                self.jump = None
                self._good = (reading, at)
                self._latest = max(self._latest, reading)
                return self._latest
            kind = JumpKind.AHEAD if reading > expected else JumpKind.BEHIND
            jump = self.jump
            if jump is None or jump.kind is not kind or abs(reading - jump.reading - at + jump.elapsed) > TOLERANCE:
                self.jump = Jump(kind, reading, at)
            self._latest = max(self._latest, expected)
            return self._latest

    def is_confirmed(self, reading: int, reference: int) -> bool:
        """Whether a clock that is ahead may be believed without an operator. Call it after `read`."""
        with self._lock:
            jump = self.jump
            return (
                jump is not None
                and jump.kind is JumpKind.AHEAD
                and self._elapsed() - jump.elapsed >= AGREEMENT
                and reading <= reference + DOWNTIME
            )

    def believe(self, reading: int) -> None:
        """Continues from a reading, as decided. Goes back only if later times were wrong by more than a jump."""
        with self._lock:
            self.jump = None
            self._good = (reading, self._elapsed())
            self._latest = reading if reading < self._latest - JUMP else max(self._latest, reading)
