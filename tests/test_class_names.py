"""A search for a class finds one class: no two classes of the product share a name."""

import ast
from collections import defaultdict

from tests.support.product_sources import product_modules

OF_THE_ORM = {"Meta"}
"""Nested classes in which Tortoise expects the options of a table."""


def test_no_two_classes_share_a_name() -> None:
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for path, tree in product_modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name not in OF_THE_ORM:
                paths[node.name].append(path)
    assert {name: places for name, places in paths.items() if len(places) > 1} == {}
