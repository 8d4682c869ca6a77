"""Reads the database's clock, on which everything that depends on time is based.

Its time never goes back while the process lives, and starts no earlier than the last stored tick. After a jump the
clock is paused until it is right again, or until an operator or ten minutes of agreeing readings confirm the jump.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from command_center.database import clock_state
from command_center.database.clock_guard import ClockGuard, Jump, JumpKind, elapsed_micros
from command_center.database.connections import Connection, RowValues, database
from command_center.database.errors import FailureLog
from command_center.database.fields import from_micros

CHECK_INTERVAL_SECONDS = 5.0
"""The interval of readings in a process that reads the clock for no other purpose."""
PAUSED_CHECK_INTERVAL_SECONDS = 1.0
"""The interval of readings while the clock is paused."""
REPORT_INTERVAL_SECONDS = 60.0
_logger = logging.getLogger("command_center.clock")


class Clock(Protocol):
    """Returns the current time in microseconds since 1970."""

    decision: int = 0
    """The number of decisions on jumps so far.

    A later decision may go back, so times remembered before it may be in the future.
    """

    async def now(self, connection: Connection) -> int: ...

    async def now_and_rows(
        self, connection: Connection, columns: Sequence[str], sql: str, *values: object
    ) -> tuple[int, list[RowValues]]:
        """Return the current time and the rows of a SELECT.

        The time is in microseconds, and the rows are those of `Connection.fetch_tuples`. If possible, this needs only
        one round trip.
        """
        return await self.now(connection), await connection.fetch_tuples(columns, sql, *values)

    def pause_reason(self) -> str | None:
        """Return why the clock is paused, or None while it is trusted.

        During a pause, nothing that depends on time may happen.
        """
        return None

    async def start(self) -> None:
        """Load the last stored time, before which no time is returned from now on.

        Call it before anything is written with this clock's time.
        """
        return

    async def watch(self) -> None:
        """Check the clock regularly until cancelled.

        This detects jumps even if no other task reads the clock, and follows stored decisions about jumps.
        """
        return


_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now"


def _keep_reading(reading: int) -> int:
    return reading


class DatabaseClock(Clock):
    """Reads the clock of the PostgreSQL server, or with SQLite that of this machine.

    `distort` changes each reading, and `elapsed` returns the microseconds that passed on this machine: both are for
    tests.
    """

    def __init__(
        self,
        distort: Callable[[int], int] = _keep_reading,
        elapsed: Callable[[], int] = elapsed_micros,
        check: float = CHECK_INTERVAL_SECONDS,
        paused_check: float = PAUSED_CHECK_INTERVAL_SECONDS,
    ) -> None:
        self._distort = distort
        self._guard = ClockGuard(elapsed)
        self._check, self._paused_check = check, paused_check
        self._reported = float("-inf")
        self._failures = FailureLog(_logger, "the clock cannot be read")
        self.decision = 0

    async def now(self, connection: Connection) -> int:
        return self._guard.read(await self.reading(connection))

    async def reading(self, connection: Connection) -> int:
        """Return what the database's clock shows, whether or not it is trusted."""
        if connection.postgres:
            row = await connection.fetch_one(_NOW)
            return self._distort(int(row["now"]) if row else 0)
        return self._distort(time.time_ns() // 1000)

    async def now_and_rows(
        self, connection: Connection, columns: Sequence[str], sql: str, *values: object
    ) -> tuple[int, list[RowValues]]:
        if not connection.postgres:
            return await super().now_and_rows(connection, columns, sql, *values)
        # In one round trip. The first column of a row is never NULL, so a NULL there means that no row was found.
        combined = f"WITH query_rows AS MATERIALIZED ({sql}) SELECT query_rows.*, clock.now FROM ({_NOW}) AS clock"
        rows = await connection.fetch_tuples((*columns, "now"), f"{combined} LEFT JOIN query_rows ON true", *values)
        return self._guard.read(self._distort(rows[0][-1])), [row[:-1] for row in rows if row[0] is not None]

    @property
    def jump(self) -> Jump | None:
        """The jump because of which the clock is paused, or None."""
        return self._guard.jump

    def pause_reason(self) -> str | None:
        return None if self.jump is None else clock_state.describe_jump(self.jump)

    async def start(self) -> None:
        """Load the last stored time, before which no time is returned from now on.

        The clock is paused if it is far from that time, or if another process has paused it.
        """
        db = database()
        state = await clock_state.load_clock_state(db)
        self.decision = state.decision
        jumped_to = state.jumped_to if state.paused and state.kind is JumpKind.AHEAD else None
        self._guard.start(await self.reading(db), state.reference, state.good_at if state.paused else None, jumped_to)

    async def watch(self) -> None:
        while True:
            try:
                await self.check()
            except Exception as exc:
                self._failures.warn(exc)
            self._report()
            await asyncio.sleep(self._check if self._guard.jump is None else self._paused_check)

    async def check(self) -> None:
        """Read the clock, and follow or store a decision on whether to trust it."""
        db = database()
        reading = await self.reading(db)
        now = self._guard.read(reading)
        state = await clock_state.load_clock_state(db)
        if state.decision != self.decision:
            # Another process or an operator has decided, perhaps that the time goes back.
            self.decision = state.decision
            self._guard.believe(reading)
            return
        jump = self._guard.jump
        if jump is not None and self._guard.is_confirmed(reading, state.reference):
            self.decision = await clock_state.store_acceptance(db, reading, state.decision)
            self._guard.believe(reading)
            _logger.warning("the clock is believed: its readings agreed for 10 minutes")
        elif jump is not None:
            await clock_state.store_pause(db, state, jump, now)
        elif state.paused:
            # The reading is as expected here, so the pause that another process stored ends.
            self.decision = await clock_state.store_recovery(db, state.decision)

    def _report(self) -> None:
        """Log a pause once a minute, and its end."""
        reason, now = self.pause_reason(), time.monotonic()
        if reason is None:
            if self._reported != float("-inf"):
                _logger.warning("the clock is right again: timed work continues")
            self._reported = float("-inf")
        elif now - self._reported >= REPORT_INTERVAL_SECONDS:
            self._reported = now
            _logger.error(
                "%s. Lists do not follow time, nothing is sent or trimmed: see `command-center clock`", reason
            )


async def current_time(clock: Clock) -> datetime:
    """Return the current time as an aware datetime."""
    return from_micros(await clock.now(database()))
