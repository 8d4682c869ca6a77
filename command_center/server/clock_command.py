"""`command-center clock`: shows what the product makes of the database's clock, and decides on its jumps."""

from command_center.database import clock_state
from command_center.database.clock import DatabaseClock
from command_center.database.clock_guard import DOWNTIME, JumpKind
from command_center.database.clock_state import ClockState
from command_center.database.connections import database, transaction
from command_center.database.fields import from_micros
from command_center.lists.clock_reset import reset
from command_center.server.leases import Taken, hold_lease
from command_center.server.runtime import connected
from command_center.server.settings import Misconfigured, Settings

RUNNING, PAUSED = 0, 1


async def show(settings: Settings) -> int:
    """Prints the state. Returns 1 if the clock is paused."""
    async with connected(settings):
        clock, state, reading = await _read()
        print(f"database time  {_shown(reading)}")
        print(f"last tick      {'none' if state.ticked_at is None else _shown(state.ticked_at)}")
        jump = clock.jump
        if jump is None:
            print("state          running")
            return RUNNING
        print(f"state          {clock_state.describe(jump)}")
        print(f"               {_way_back(jump.kind, reading, state)}")
        return PAUSED


async def accept(settings: Settings) -> int:
    """Stores that the present database time is right although it is ahead. Raises Misconfigured."""
    async with connected(settings):
        clock, state, reading = await _read()
        jump = clock.jump
        if jump is None:
            print("the clock is not paused: there is nothing to accept")
        elif jump.kind is JumpKind.BEHIND:
            raise Misconfigured(
                f"the database time {_shown(reading)} is before times that are stored: if it is right, use --reset"
            )
        else:
            await clock_state.accept(database(), reading, state.decision)
            print(f"accepted       {_shown(reading)}")
        return RUNNING


async def return_to_present(settings: Settings) -> int:
    """Corrects stored times that lie after the present database time. Raises Misconfigured."""
    async with connected(settings):
        try:
            async with hold_lease(settings.database_url, patient=False):
                return await _reset()
        except Taken:
            raise Misconfigured("stop every `serve` and `worker` first: --reset corrects what they work with") from None


async def _reset() -> int:
    clock, state, reading = await _read()
    if clock.jump is not None and clock.jump.kind is JumpKind.AHEAD:
        raise Misconfigured(
            f"the database time {_shown(reading)} is ahead of the stored times: correct the clock, or use --accept if"
            " it is right"
        )
    async with transaction() as tx:
        corrected = await reset(tx, reading, state.decision)
    for column, count in sorted(corrected.items()):
        print(f"{column}: {count}")
    print(f"no stored time lies after {_shown(reading)} now; every list will be evaluated again")
    return RUNNING


async def _read() -> tuple[DatabaseClock, ClockState, int]:
    clock = DatabaseClock()
    await clock.start()
    return clock, await clock_state.load(database()), await clock.reading(database())


def _way_back(kind: JumpKind, reading: int, state: ClockState) -> str:
    if kind is JumpKind.BEHIND:
        return "correct the clock, or use --reset if the database time is right"
    if reading <= state.reference + DOWNTIME:
        return "correct the clock, or use --accept if it is right; a server believes it after 10 minutes"
    return "correct the clock, or use --accept if it is right"


def _shown(moment: int) -> str:
    return from_micros(moment).isoformat(timespec="seconds").replace("+00:00", "Z")
