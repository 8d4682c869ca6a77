"""The README keeps up with the settings; its examples are run by test_docs."""

from typing import Any

import pytest

from server.settings import PREFIX, TABLE
from tests.documents import ROOT

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("setting", TABLE, ids=lambda setting: setting.name)
def test_its_table_holds_every_setting(setting: Any) -> None:
    line = next(line for line in README.splitlines() if line.startswith(f"| `{PREFIX}{setting.name}` |"))
    assert setting.meaning in line
    assert not setting.default or f"`{setting.default}`" in line
