"""Annotations say what a value is: the uses of `Any` and the errors of mypy that are ignored only become fewer."""

import ast
import re

from tests.support.paths import ROOT
from tests.support.product_sources import product_modules

USES_OF_ANY = 29
"""Keysets of pages, rows of SQL with columns of the caller's choice, and overridden methods of libraries."""
IGNORED_ERRORS = 11
_IGNORE = re.compile(r"#\s*type:\s*ignore")


def test_uses_of_any_only_become_fewer() -> None:
    uses = [
        f"{path}:{node.lineno}"
        for path, tree in product_modules()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.Attribute) and node.attr == "Any")
    ]
    assert len(uses) == USES_OF_ANY, f"Annotate precisely; or lower the number, if there are fewer: {uses}"


def test_ignored_errors_only_become_fewer() -> None:
    ignored = [
        f"{path}:{number}"
        for path, _ in product_modules()
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if _IGNORE.search(line)
    ]
    assert len(ignored) == IGNORED_ERRORS, f"Annotate precisely; or lower the number, if there are fewer: {ignored}"
