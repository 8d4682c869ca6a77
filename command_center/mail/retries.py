"""When a message that was put off is tried again: after growing waits, and for a day at most. Pure."""

MINUTE = 60 * 1_000_000
LONGEST = 24 * 60 * MINUTE
WAITS = (1, 2, 5, 10, 20, 40, 60)
"""Minutes before the second, third, … attempt; the last one repeats."""


def next_attempt(attempts: int, first_attempt_at: int, now: int) -> int | None:
    """The moment (microseconds) of the next attempt after so many; None once the day is over.

    The last attempt is made when the day ends, however little is left of the wait.
    """
    ends = first_attempt_at + LONGEST
    if now >= ends:
        return None
    wait = WAITS[min(max(attempts, 1), len(WAITS)) - 1] * MINUTE
    return min(now + wait, ends)
