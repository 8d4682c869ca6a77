"""`command-center clock` shows whether the database's clock is trusted.

With options it decides on the clock's jumps.
"""

from command_center.database import clock_state
from command_center.database.clock import DatabaseClock
from command_center.database.clock_guard import MAX_DOWNTIME_MICROS, JumpKind
from command_center.database.clock_state import StoredClockState
from command_center.database.connections import database, transaction
from command_center.database.fields import from_micros
from command_center.lists.clock_reset import reset_future_times
from command_center.server.leases import LeaseHeld, hold_lease
from command_center.server.runtime import open_current_database
from command_center.server.settings import ConfigurationError, Settings

EXIT_RUNNING, EXIT_PAUSED = 0, 1


async def show(settings: Settings) -> int:
    """Print the state of the clock; return 1 if it is paused."""
    async with open_current_database(settings):
        clock, state, reading = await _read_clock()
        print(f"database time  {_iso(reading)}")
        print(f"last tick      {'none' if state.transitions_until is None else _iso(state.transitions_until)}")
        jump = clock.jump
        if jump is None:
            print("state          running")
            return EXIT_RUNNING
        print(f"state          {clock_state.describe_jump(jump)}")
        print(f"               {_remedy(jump.kind, reading, state)}")
        return EXIT_PAUSED


async def accept(settings: Settings) -> int:
    """Store the decision that the current database time is right although it is ahead.

    Raises: ConfigurationError if the clock is behind.
    """
    async with open_current_database(settings):
        clock, state, reading = await _read_clock()
        jump = clock.jump
        if jump is None:
            print("the clock is not paused: there is nothing to accept")
        elif jump.kind is JumpKind.BEHIND:
            raise ConfigurationError(
                f"the database time {_iso(reading)} is before times that are stored: if it is right, use --reset"
            )
        else:
            await clock_state.store_acceptance(database(), reading, state.decision)
            print(f"accepted       {_iso(reading)}")
        return EXIT_RUNNING


async def return_to_present(settings: Settings) -> int:
    """Correct stored times that are later than the current database time.

    Every list is evaluated again.

    Raises: ConfigurationError if a `serve` or `worker` runs, or if the clock is ahead.
    """
    async with open_current_database(settings):
        try:
            async with hold_lease(settings.database_url, wait=False):
                return await _reset()
        except LeaseHeld:
            raise ConfigurationError(
                "stop every `serve` and `worker` first: --reset corrects what they work with"
            ) from None


async def _reset() -> int:
    clock, state, reading = await _read_clock()
    if clock.jump is not None and clock.jump.kind is JumpKind.AHEAD:
        raise ConfigurationError(
            f"the database time {_iso(reading)} is ahead of the stored times: correct the clock, or use --accept if"
            " it is right"
        )
    async with transaction() as tx:
        corrected = await reset_future_times(tx, reading, state.decision)
    for column, count in sorted(corrected.items()):
        print(f"{column}: {count}")
    print(f"no stored time lies after {_iso(reading)} now; every list will be evaluated again")
    return EXIT_RUNNING


async def _read_clock() -> tuple[DatabaseClock, StoredClockState, int]:
    clock = DatabaseClock()
    await clock.start()
    return clock, await clock_state.load_clock_state(database()), await clock.reading(database())


def _remedy(kind: JumpKind, reading: int, state: StoredClockState) -> str:
    if kind is JumpKind.BEHIND:
        return "correct the clock, or use --reset if the database time is right"
    if reading <= state.reference + MAX_DOWNTIME_MICROS:
        return "correct the clock, or use --accept if it is right; a server believes it after 10 minutes"
    return "correct the clock, or use --accept if it is right"


def _iso(moment: int) -> str:
    return from_micros(moment).isoformat(timespec="seconds").replace("+00:00", "Z")
