"""Waits grow, and a day after the first attempt it is over."""

from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.mail.retries import MAX_RETRY_MICROSECONDS, MINUTE_MICROSECONDS, next_attempt

CALM = settings(deadline=None)

MOMENTS = st.integers(min_value=1, max_value=2**52)


def test_the_waits_of_a_server_that_never_takes_the_message() -> None:
    now, waits = 1_000_000, []
    attempts, following = 1, next_attempt(1, 1_000_000, now)
    while following is not None:
        waits.append((following - now) // MINUTE_MICROSECONDS)
        now, attempts = following, attempts + 1
        following = next_attempt(attempts, 1_000_000, now)
    assert waits[:8] == [1, 2, 5, 10, 20, 40, 60, 60]
    assert sum(waits) == 24 * 60
    assert now == 1_000_000 + MAX_RETRY_MICROSECONDS


@CALM
@given(
    st.integers(min_value=0, max_value=10_000), MOMENTS, st.integers(min_value=0, max_value=2 * MAX_RETRY_MICROSECONDS)
)
def test_the_next_attempt_is_later_and_within_the_day(attempts: int, first: int, after: int) -> None:
    following = next_attempt(attempts, first, first + after)
    if after >= MAX_RETRY_MICROSECONDS:
        assert following is None
    else:
        assert following is not None
        assert first + after < following <= first + MAX_RETRY_MICROSECONDS
