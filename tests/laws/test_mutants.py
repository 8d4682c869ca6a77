"""The laws at work: with one thing broken in a copy of the product a law fails, with nothing broken it holds."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.laws.mutants import LAWS, MUTANTS, Mutant, copy_product, copy_with_mutant, run_law


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_law_catches_it(tmp_path: Path, mutant: Mutant) -> None:
    held, said = run_law(copy_with_mutant(tmp_path / "mutant", mutant), mutant.law, mutant.counts)
    assert not held, said
    assert "AssertionError" in said, said


@pytest.mark.parametrize("law, counts", LAWS.items(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_same_law_holds_for_the_product_as_it_is(tmp_path: Path, law: str, counts: Mapping[str, str]) -> None:
    held, said = run_law(copy_product(tmp_path / "copy"), law, counts)
    assert held, said
