"""The one clock that decides membership: the database's. It never goes back while the process lives, and not behind
the last look that is stored. After a jump it is paused until it is right again or the jump is decided on."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from command_center.database import clock_state
from command_center.database.clock_guard import ClockGuard, Jump, JumpKind, elapsed_micros
from command_center.database.connections import Connection, database
from command_center.database.errors import FailureLog
from command_center.database.fields import from_micros

CHECK_SECONDS = 5.0
"""Between two readings of a process that reads the clock for nothing else."""
PAUSED_CHECK_SECONDS = 1.0
REPORT_SECONDS = 60.0
_logger = logging.getLogger("command_center.clock")


class Clock(Protocol):
    """Tells the moment, in microseconds since 1970."""

    decision: int = 0
    """The number of decisions on jumps so far. After another one, times that are remembered may lie in the future."""

    async def now(self, connection: Connection) -> int: ...

    async def beside(
        self, connection: Connection, columns: Sequence[str], sql: str, *values: Any
    ) -> tuple[int, list[Sequence[Any]]]:
        """The moment, and what `Connection.tuples` says: whoever asks for both asks for them together."""
        return await self.now(connection), await connection.fetch_tuples(columns, sql, *values)

    def pause(self) -> str | None:
        """Why nothing timed may happen now; None while the clock is believed."""
        return None

    async def start(self) -> None:
        """Continues from the last stored time. Call it before anything is written by this clock."""
        return

    async def watch(self) -> None:
        """Detects jumps also while nobody asks for the moment, and follows decisions, until cancelled."""
        return


_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now"


def _as_read(reading: int) -> int:
    return reading


class DatabaseClock(Clock):
    """PostgreSQL's clock; with SQLite, this machine's, since the database is a file on it.

    `distort` changes each reading, and `elapsed` counts the microseconds that pass on this machine: tests give both.
    """

    def __init__(
        self,
        distort: Callable[[int], int] = _as_read,
        elapsed: Callable[[], int] = elapsed_micros,
        check: float = CHECK_SECONDS,
        paused_check: float = PAUSED_CHECK_SECONDS,
    ) -> None:
        self._distort = distort
        self._guard = ClockGuard(elapsed)
        self._check, self._paused_check = check, paused_check
        self._reported = float("-inf")
        self._outage = FailureLog(_logger, "the clock cannot be read")
        self.decision = 0

    async def now(self, connection: Connection) -> int:
        return self._guard.read(await self.reading(connection))

    async def reading(self, connection: Connection) -> int:
        """What the database's clock says, believed or not."""
        if connection.postgres:
            row = await connection.fetch_one(_NOW)
            return self._distort(int(row["now"]) if row else 0)
        return self._distort(time.time_ns() // 1000)

    async def beside(
        self, connection: Connection, columns: Sequence[str], sql: str, *values: Any
    ) -> tuple[int, list[Sequence[Any]]]:
        if not connection.postgres:
            return await super().beside(connection, columns, sql, *values)
        # In one way there and back. Of rows that there are the first column is one, so without it there was none.
        both = f"WITH found AS MATERIALIZED ({sql}) SELECT found.*, clock.now FROM ({_NOW}) AS clock"
        rows = await connection.fetch_tuples((*columns, "now"), f"{both} LEFT JOIN found ON true", *values)
        return self._guard.read(self._distort(rows[0][-1])), [row[:-1] for row in rows if row[0] is not None]

    @property
    def jump(self) -> Jump | None:
        """The jump for which the clock is paused."""
        return self._guard.jump

    def pause(self) -> str | None:
        return None if self.jump is None else clock_state.describe(self.jump)

    async def start(self) -> None:
        """Continues from the last stored time. Pauses if the clock is far from it, or another process paused it."""
        db = database()
        state = await clock_state.load(db)
        self.decision = state.decision
        jumped_to = state.jumped_to if state.paused and state.kind is JumpKind.AHEAD else None
        self._guard.start(await self.reading(db), state.reference, state.good_at if state.paused else None, jumped_to)

    async def watch(self) -> None:
        while True:
            try:
                await self.check()
            except Exception as exc:
                self._outage.warn(exc)
            self._report()
            await asyncio.sleep(self._check if self._guard.jump is None else self._paused_check)

    async def check(self) -> None:
        """Takes a reading, and brings this process and the stored decision into line."""
        db = database()
        reading = await self.reading(db)
        now = self._guard.read(reading)
        state = await clock_state.load(db)
        if state.decision != self.decision:
            # Another process or an operator decided, perhaps to go back.
            self.decision = state.decision
            self._guard.believe(reading)
            return
        jump = self._guard.jump
        if jump is not None and self._guard.is_confirmed(reading, state.reference):
            self.decision = await clock_state.accept(db, reading, state.decision)
            self._guard.believe(reading)
            _logger.warning("the clock is believed: its readings agreed for 10 minutes")
        elif jump is not None:
            await clock_state.pause(db, state, jump, now)
        elif state.paused:
            # This process knows better than the one that paused: its reading is as expected.
            self.decision = await clock_state.resume(db, state.decision)

    def _report(self) -> None:
        reason, now = self.pause(), time.monotonic()
        if reason is None:
            if self._reported != float("-inf"):
                _logger.warning("the clock is right again: timed work continues")
            self._reported = float("-inf")
        elif now - self._reported >= REPORT_SECONDS:
            self._reported = now
            _logger.error(
                "%s. Lists do not follow time, nothing is sent or trimmed: see `command-center clock`", reason
            )


async def moment(clock: Clock) -> datetime:
    """Now, as an aware datetime."""
    return from_micros(await clock.now(database()))
