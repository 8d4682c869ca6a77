"""Events of readers that wait for the database: no more than there is room for, and the rest is counted."""

import logging

import pytest

from command_center.actions.retry_buffer import RetryBuffer
from command_center.database.errors import FailureLog


def test_events_beyond_the_capacity_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    kept: RetryBuffer[int] = RetryBuffer(FailureLog(logging.getLogger("kept"), "events wait"), capacity=3)
    kept.add([1, 2])
    assert (len(kept), kept.lost_count) == (2, 0)
    kept.add([3, 4, 5])
    assert (len(kept), kept.lost_count) == (3, 2)
    assert "2 views and clicks are lost" in caplog.text
    assert kept.take_due() == [1, 2, 3]
    assert kept.seconds_until_retry() is None


def test_a_failed_attempt_is_followed_by_a_pause_until_a_success() -> None:
    kept: RetryBuffer[int] = RetryBuffer(FailureLog(logging.getLogger("kept"), "events wait"))
    kept.add([1])
    assert kept.seconds_until_retry() == 0
    kept.back_off()
    first = kept.seconds_until_retry()
    assert first is not None
    assert first > 0
    assert kept.take_due() == []
    kept.back_off()
    assert (kept.seconds_until_retry() or 0) > first
    kept.reset()
    assert kept.take_due() == [1]


def test_an_outage_is_one_line_under_one_reference(caplog: pytest.LogCaptureFixture) -> None:
    outage = FailureLog(logging.getLogger("outage"), "something waits")
    references = {outage.warn(OSError("gone")) for _ in range(1000)}
    assert len(references) == 1
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage() == f"something waits: gone (reference {references.pop()})"
