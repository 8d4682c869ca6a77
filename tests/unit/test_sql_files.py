"""Statements in `.sql` files: comments are left out, and parameters with names become numbered ones."""

from pathlib import Path

import pytest

from command_center.database.sql_files import NamedStatement, read_sql

ROWS = "SELECT id\nFROM t\nWHERE id = :id::bigint OR id > :at::bigint OR id < :id::bigint"


def test_parameters_are_numbered_and_casts_are_not_parameters() -> None:
    statement = NamedStatement(ROWS)
    assert statement.sql == "SELECT id\nFROM t\nWHERE id = $1::bigint OR id > $2::bigint OR id < $1::bigint"
    assert statement.values(at=2, id=1, other=3) == [1, 2]
    with pytest.raises(KeyError):
        statement.values(id=1)


def test_comments_and_empty_lines_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "sql_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "rows.sql").write_text("-- All: with a :name, and {braces}.\nSELECT id\n\n    -- Indented.\nFROM t\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert read_sql("sql_package", "rows.sql") == "SELECT id\nFROM t"
