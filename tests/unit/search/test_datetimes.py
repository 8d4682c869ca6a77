"""Moments: text and datetimes to microseconds and back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.search import datetimes as moments


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.000001Z", "2026-01-02T03:04:05.000001Z"),
        ("2026-01-02T03:04:05.5+01:00", "2026-01-02T02:04:05.500000Z"),
        ("2026-01-02T03:04:05.123456789-0130", "2026-01-02T04:34:05.123456Z"),
        ("2026-01-02T03:04+02", "2026-01-02T01:04:00Z"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_text_is_read_and_written_in_one_form(text: str, canonical: str) -> None:
    assert moments.format_moment(moments.parse_moment(text)) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z", "2026-13-01T00:00:00Z", "2026-01-02T24:00:00Z",
     "2026-01-02T03:04.5Z", "2026-01-02T03:04:05+24:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00",
     "20260102T030405Z", "2026-W01-1T00:00:00Z", "٢٠٢٦-01-02T03:04:05Z", "2026-01-02T03:04:05Z\n"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moments.parse_moment(text)


def test_the_epoch_is_zero_and_one_step_is_a_microsecond() -> None:
    assert moments.parse_moment("1970-01-01T00:00:00Z") == 0
    assert moments.parse_moment("1970-01-01T00:00:00.000001Z") == 1


def test_datetimes_are_aware_both_ways() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=1)))
    assert moments.to_datetime(moments.from_datetime(moment)) == moment
    assert moments.to_datetime(0).tzinfo is UTC
    with pytest.raises(ValueError, match="offset"):
        moments.from_datetime(moment.replace(tzinfo=None))


@given(st.datetimes(timezones=st.just(UTC)))
def test_no_microsecond_is_lost(moment: datetime) -> None:
    number = moments.from_datetime(moment)
    assert moments.parse_moment(moments.format_moment(number)) == number
