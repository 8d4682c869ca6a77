"""Stores whether timed work is paused because the clock has jumped, and what an operator decided about the jump.

It is one row, which all processes of a database follow.
"""

from dataclasses import dataclass

from command_center.database.clock_guard import Jump, JumpKind
from command_center.database.connections import Connection
from command_center.database.fields import from_micros

STORE_INTERVAL_MICROS = 10_000_000
"""The least interval, in microseconds, between two trusted times that are stored during a pause."""
_LOAD = (
    "SELECT (SELECT transitions_until FROM matcher_state WHERE id = 1) AS transitions_until, s.decision,"
    " s.paused, s.kind, s.jumped_to, s.good_at, s.accepted_at"
    " FROM (SELECT 1) AS one_row LEFT JOIN clock_state s ON s.id = 1"
)
_PAUSE = (
    "INSERT INTO clock_state (id, decision, paused, kind, jumped_to, good_at) VALUES (1, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET paused = excluded.paused, kind = excluded.kind, jumped_to = excluded.jumped_to,"
    " good_at = excluded.good_at WHERE clock_state.decision = excluded.decision"
)
_DECIDE = (
    "INSERT INTO clock_state (id, decision, paused, accepted_at) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
    " decision = excluded.decision, paused = excluded.paused, kind = NULL, jumped_to = NULL, good_at = NULL,"
    " accepted_at = COALESCE(excluded.accepted_at, clock_state.accepted_at)"
    " WHERE clock_state.decision < excluded.decision"
)


@dataclass(frozen=True, slots=True)
class StoredClockState:
    """The stored decision on jumps of the clock, and the times that it refers to.

    Times are in microseconds. `good_at` is the last trusted time that was stored during a pause.
    """

    transitions_until: int | None
    decision: int = 0
    paused: bool = False
    kind: JumpKind | None = None
    jumped_to: int | None = None
    good_at: int | None = None
    accepted_at: int | None = None

    @property
    def reference(self) -> int:
        """The last time that was certainly right; 0 in a new database."""
        return max(self.transitions_until or 0, self.accepted_at or 0)


async def load_clock_state(connection: Connection) -> StoredClockState:
    """Return the stored state of the clock, or an initial one if there is none yet."""
    row = await connection.fetch_one(_LOAD)
    if row is None or row["decision"] is None:
        return StoredClockState(None if row is None else row["transitions_until"])
    kind = None if row["kind"] is None else JumpKind(row["kind"])
    return StoredClockState(**{**row, "kind": kind, "paused": bool(row["paused"])})


async def store_pause(connection: Connection, state: StoredClockState, jump: Jump, good_at: int) -> None:
    """Store that the clock is paused because of a jump, unless that is stored already.

    `good_at` is the last trusted time. If the pause is stored already, this time is updated at intervals. Nothing is
    stored if a decision was stored after `state` was loaded.
    """
    if state.paused and state.kind is jump.kind and good_at - (state.good_at or 0) < STORE_INTERVAL_MICROS:
        return
    await connection.execute(_PAUSE, state.decision, True, jump.kind.value, jump.reading, good_at)


async def store_acceptance(connection: Connection, reading: int, decision: int) -> int:
    """Store the decision to trust a reading of the clock, and return its number.

    `decision` is the number of the previous decision.
    """
    await connection.execute(_DECIDE, decision + 1, False, reading)
    return decision + 1


async def store_recovery(connection: Connection, decision: int) -> int:
    """Store the decision that the clock is right again, and return its number.

    `decision` is the number of the previous decision.
    """
    await connection.execute(_DECIDE, decision + 1, False, None)
    return decision + 1


def describe_jump(jump: Jump) -> str:
    """Describe a jump of the clock for people, in a clause without a full stop."""
    moment = from_micros(jump.reading).isoformat(timespec="seconds")
    if jump.kind is JumpKind.AHEAD:
        return f"the clock is paused: it jumped ahead to {moment}"
    return f"the clock is paused: it shows {moment}, which is before times that are stored"
