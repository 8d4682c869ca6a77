"""Folding: what compares as equal."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.search.text import fold


@pytest.mark.parametrize("one, other", [("Straße", "STRASSE"), ("é", "E\u0301"), ("ΣΑΣ", "σας"), ("ﬁ", "FI")])
def test_case_and_composition_make_no_difference(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize("one, other", [("i", "ı"), ("e", "é"), ("a b", "ab"), ("²", "2")])
def test_other_differences_count(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.slow
def test_folding_twice_changes_no_character() -> None:
    characters = (chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF)
    assert [c for c in characters if fold(fold(c)) != fold(c)] == []


@given(st.text())
def test_folding_twice_changes_no_text(text: str) -> None:
    assert fold(fold(text)) == fold(text)
