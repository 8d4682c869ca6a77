"""Modules and functions are short enough to read, and modules do not import each other in a circle.

An exception needs a reason. Each test fails if an exception is missing, and also if one is no longer needed.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.support.paths import ROOT
from tests.support.product_sources import product_modules

MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 40
"""The most lines of a function, with its docstring and the functions inside it."""
MAX_TEST_NAME_CHARACTERS = 60

LONG_MODULES = {
    "command_center/database/connections.py": "Half of it is one class: the interface of both databases.",
    "command_center/graphql_engine/executor.py": "Its methods call each other for each level of a response.",
    "command_center/lists/matcher.py": "One class with the state of a pass; what needs no state is in other modules.",
    "resolvers/pagination.py": "One algorithm for both kinds of sources; the parts share its keysets.",
    "schema/mutation.py": "A root type: one short method for each mutation, with its description.",
}
LONG_FUNCTIONS = {
    "command_center/lists/batches.py:load_batch": "One pass over the invalidations, which fills a batch step by step.",
    "command_center/lists/membership_writer.py:_write_in_steps": "The steps of PostgreSQL's statement, in its order.",
    "command_center/server/app.py:create_app": "It wires the components; the order is easiest to see in one place.",
}


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yield the qualified name and the number of lines of each function."""
    for node in ast.iter_child_nodes(tree):
        inner = prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{prefix}{node.name}."
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1
        yield from functions(node, inner)


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports when it is imported itself: not in functions, and not only for a type checker."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield str(node.module)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_for_type_checkers(node):
            yield from imported_modules(node)


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_only_the_named_modules_are_long() -> None:
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path, _ in product_modules()}
    assert {path for path, length in lengths.items() if length > MAX_MODULE_LINES} == set(LONG_MODULES)


def test_only_the_named_functions_are_long() -> None:
    long = {
        f"{path}:{name}"
        for path, tree in product_modules()
        for name, length in functions(tree)
        if length > MAX_FUNCTION_LINES
    }
    assert long == set(LONG_FUNCTIONS)


def test_no_modules_import_each_other_in_a_circle() -> None:
    trees = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): tree for path, tree in product_modules()
    }
    graph = {name: {each for each in imported_modules(tree) if each in trees} - {name} for name, tree in trees.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        pytest.fail(" imports ".join(reversed(exc.args[1])))


def test_the_names_of_tests_are_short() -> None:
    paths = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "node_modules" not in path.parts]
    names = [name.rpartition(".")[2] for path in paths for name, _ in functions(ast.parse(path.read_text()))]
    assert [name for name in names if name.startswith("test_") and len(name) > MAX_TEST_NAME_CHARACTERS] == []
