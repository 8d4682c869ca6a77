"""Durations: what is one at all, and which of them a filter may use."""

import pytest

from command_center.search.durations import Span, as_span, parse_duration


@pytest.mark.parametrize(
    "text, amount, unit, microseconds",
    [
        ("PT1S", 1, "S", 1_000_000),
        ("PT59S", 59, "S", 59_000_000),
        ("PT59M", 59, "M", 59 * 60_000_000),
        ("PT24H", 24, "H", 86_400_000_000),
        ("PT47H", 47, "H", 47 * 3_600_000_000),
        ("P1D", 1, "D", 86_400_000_000),
        ("P730D", 730, "D", 730 * 86_400_000_000),
    ],
)
def test_whole_numbers_of_one_unit_are_spans(text: str, amount: int, unit: str, microseconds: int) -> None:
    span = as_span(text)
    assert (span.amount, span.unit, span.microseconds, str(span)) == (amount, unit, microseconds, text)


@pytest.mark.parametrize(
    "text",
    ["PT60S", "PT60M", "PT48H", "P731D", "P0D", "PT0S", "P1M", "P1Y", "P1W", "P1DT2H", "PT1H30M", "P1DT0S", "PT1.5H",
     "PT1,5H", "P0.5D", "PT0.0S", "P" + "9" * 5_000 + "D"],
)  # fmt: skip
def test_other_well_formed_durations_are_refused_in_words(text: str) -> None:
    duration = parse_duration(text)
    assert str(duration) == text
    with pytest.raises(ValueError, match="whole"):
        as_span(duration)


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1DT", "1D", "P1", "p1d", "-P1D", "P-1D", "P1H", "PT1D", "3 days", "P1D ", "P1D\n",
     "P1W2D", "PT1M1H", "PT1.5H2M", "P.5D", "P1.D", "P٣D"],
)  # fmt: skip
def test_text_that_is_no_duration_is_malformed(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_leading_zeros_are_ignored() -> None:
    assert as_span("P003D") == Span(3, "D")


def test_a_day_equals_24_hours_but_keeps_its_notation() -> None:
    assert as_span("PT24H").microseconds == as_span("P1D").microseconds
    assert as_span("PT24H") != as_span("P1D")


def test_spans_speak_english() -> None:
    assert [as_span(text).words for text in ("P1D", "PT12H", "PT1M")] == ["1 day", "12 hours", "1 minute"]
