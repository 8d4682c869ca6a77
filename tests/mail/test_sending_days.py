"""A day is the sender's own, and has 23 or 25 hours when the clocks change."""

from datetime import UTC, datetime

import pytest

from command_center.database.fields import to_micros
from command_center.mail import sending_days

HOUR = 3600 * 1_000_000


@pytest.mark.parametrize(
    "moment, zone, start, hours",
    [
        (datetime(2026, 5, 4, 13, 0, tzinfo=UTC), "UTC", datetime(2026, 5, 4, tzinfo=UTC), 24),
        (datetime(2026, 5, 4, 23, 0, tzinfo=UTC), "Europe/Berlin", datetime(2026, 5, 4, 22, tzinfo=UTC), 24),
        (datetime(2026, 5, 4, 3, 0, tzinfo=UTC), "America/Los_Angeles", datetime(2026, 5, 3, 7, tzinfo=UTC), 24),
        (datetime(2026, 3, 29, 12, 0, tzinfo=UTC), "Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        (datetime(2026, 10, 25, 12, 0, tzinfo=UTC), "Europe/Berlin", datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
        # Clocks in Cairo go from midnight straight to one o'clock.
        (datetime(2026, 4, 24, 12, 0, tzinfo=UTC), "Africa/Cairo", datetime(2026, 4, 23, 22, tzinfo=UTC), 23),
        (datetime(2026, 5, 4, 13, 0, tzinfo=UTC), "Mars/Olympus", datetime(2026, 5, 4, tzinfo=UTC), 24),
        (datetime(2026, 5, 4, 13, 0, tzinfo=UTC), "../etc/passwd", datetime(2026, 5, 4, tzinfo=UTC), 24),
    ],
)
def test_days(moment: datetime, zone: str, start: datetime, hours: int) -> None:
    first, following = sending_days.day_bounds(to_micros(moment), zone)
    assert first == to_micros(start)
    assert following - first == hours * HOUR


def test_a_day_begins_with_its_first_moment() -> None:
    start, following = sending_days.day_bounds(to_micros(datetime(2026, 5, 4, 13, tzinfo=UTC)), "Asia/Kolkata")
    assert sending_days.day_bounds(start, "Asia/Kolkata")[0] == start
    assert sending_days.day_bounds(start - 1, "Asia/Kolkata")[1] == start
    assert sending_days.day_bounds(following, "Asia/Kolkata")[0] == following
