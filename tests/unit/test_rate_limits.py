"""A bucket holds a minute's worth, fills steadily, and is forgotten when it is full."""

import math

from hypothesis import given
from hypothesis import strategies as st

from command_center.web.rate_limits import RateLimiter


class Hand:
    """A clock's, moved by the test."""

    def __init__(self) -> None:
        self.now = 5_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_of_one_minutes_worth_passes_and_no_more() -> None:
    hand = Hand()
    for per_minute in (1, 7, 60, 30_000, 60_000):
        rates = RateLimiter(per_minute, hand)
        assert [rates.take("ann") for _ in range(per_minute)] == [0.0] * per_minute
        assert 0 < rates.take("ann") <= 60 / per_minute + 1e-9


def test_a_client_that_waits_as_long_as_told_is_admitted() -> None:
    hand = Hand()
    rates = RateLimiter(6, hand)
    while (wait := rates.take("ann")) == 0.0:
        pass
    hand.now += wait - 0.001
    assert rates.take("ann") > 0
    hand.now += 0.001
    assert rates.take("ann") == 0.0


def test_a_refusal_takes_nothing() -> None:
    hand = Hand()
    rates = RateLimiter(2, hand)
    assert [rates.take("ann") for _ in range(2)] == [0.0, 0.0]
    assert {rates.take("ann") for _ in range(100)} == {30.0}


def test_one_does_not_take_from_another() -> None:
    rates = RateLimiter(1, Hand())
    assert [rates.take(key) for key in ("ann", 1, None, ("a", 1))] == [0.0] * 4
    assert rates.take("ann") > 0


def test_several_at_once_count_as_several_up_to_the_capacity() -> None:
    hand = Hand()
    rates = RateLimiter(10, hand)
    assert rates.take("ann", 9) == 0.0
    assert math.isclose(rates.take("ann", 3), 12.0)
    assert rates.take("ann", 1) == 0.0
    assert rates.take("bob", 1000) == 0.0
    assert math.isclose(rates.take("bob", 1000), 60.0)


def test_clients_are_forgotten_after_a_minute() -> None:
    hand = Hand()
    rates = RateLimiter(10, hand)
    for key in range(1000):
        rates.take(key)
    hand.now += 61
    rates.take("ann")
    hand.now += 61
    rates.take("ann")
    assert len(rates) <= 2


def test_a_million_addresses_are_no_more_than_are_remembered() -> None:
    rates = RateLimiter(10, Hand(), max_keys=100)
    for key in range(10_000):
        assert rates.take(key) == 0.0
        assert len(rates) <= 200


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.floats(0, 90)), max_size=60),
)
def test_it_decides_as_a_plain_bucket_does(per_minute: int, steps: list[tuple[str, int, float]]) -> None:
    hand = Hand()
    rates = RateLimiter(per_minute, hand)
    held = dict.fromkeys("abc", float(per_minute))
    for key, amount, pause in steps:
        hand.now += pause
        held = {each: min(per_minute, had + pause * per_minute / 60) for each, had in held.items()}
        wanted = min(amount, per_minute)
        wait = rates.take(key, amount)
        if abs(held[key] - wanted) < 1e-6:
            # As near as sums of floats come: either verdict is right.
            held[key] = held[key] - wanted if wait == 0.0 else held[key]
        elif held[key] > wanted:
            assert wait == 0.0
            held[key] -= wanted
        else:
            assert math.isclose(wait, (wanted - held[key]) * 60 / per_minute, abs_tol=1e-4)
