"""Schedules further attempts for a message that was deferred. Pure.

The waits grow, and end after one day.
"""

MINUTE_MICROSECONDS = 60 * 1_000_000
"""This is one minute in microseconds."""
MAX_RETRY_MICROSECONDS = 24 * 60 * MINUTE_MICROSECONDS
"""The last attempt is made this many microseconds after the first."""
WAIT_MINUTES = (1, 2, 5, 10, 20, 40, 60)
"""These are the minutes before the second, third, … attempt. The last value repeats."""


def next_attempt(attempts: int, first_attempt_at: int, now: int) -> int | None:
    """Return when to make the next attempt, in microseconds.

    The result is None if a day has passed since the first attempt. `attempts` is the number of attempts so far. The
    last attempt is made when the day ends, even if the wait is shorter then. All times are in microseconds.
    """
    deadline = first_attempt_at + MAX_RETRY_MICROSECONDS
    if now >= deadline:
        return None
    wait = WAIT_MINUTES[min(max(attempts, 1), len(WAIT_MINUTES)) - 1] * MINUTE_MICROSECONDS
    return min(now + wait, deadline)
