"""The modules of the product as syntax trees, for tests of its structure."""

import ast
from collections.abc import Iterator

from tests.support.paths import ROOT

IMPORT_ROOTS = ("command_center", "models", "resolvers", "schema")


def product_modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield the path of each module from the root, and its syntax tree. Generated migrations are left out."""
    for top in IMPORT_ROOTS:
        for path in sorted((ROOT / top).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())
